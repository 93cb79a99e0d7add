"""Accompaniments depend on recipes and vocals alone, lie on the vocals to the sample, and say what was heard."""

import io

import numpy as np
import pytest
import soundfile
import tiny_singsong

from models.digests import digest_of_bytes
from models.generator import GenerationError
from models.making import make_all
from models.musiclm.codes_file import read_codes
from models.registry import load_generator
from models.weights import UnusableModelError

VOICE = tiny_singsong.file(tiny_singsong.sung())


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return tiny_singsong.version(tmp_path_factory.mktemp("singsong") / "version")


@pytest.fixture(scope="module")
def generator(version):
    return load_generator(version, slots=4)


def recipe(vocals=VOICE, seed=1, duration_s=2.0, prompt="accompaniment", **asked):
    accompany = {"vocals": digest_of_bytes(vocals), **asked}
    return {"prompt": prompt, "seed": seed, "duration_s": duration_s, "controls": {"accompany": accompany}}, vocals


def make(generator, *pieces):
    recipes = {str(number): each for number, (each, _) in enumerate(pieces)}
    made = dict(make_all(generator, recipes, lambda key: {"vocals": pieces[int(key)][1]}))
    return [made[key] for key in recipes]


def data(product, role):
    return next(file.data for file in product.files if file.role == role)


def heard(product, role):
    samples, rate = soundfile.read(io.BytesIO(data(product, role)), always_2d=True)
    return samples, rate


def listened(product):
    return next(stage.detail for stage in product.stages if stage.name == "listen")


def test_the_same_recipe_gives_the_same_bits_alone_and_in_company(version, generator):
    others = [recipe(seed=seed, duration_s=1.0 + seed / 3) for seed in (5, 6, 7)]
    alone = make(load_generator(version, slots=1), recipe())[0]
    beside = make(generator, *others, recipe())[-1]
    for role in ("codes", "waveform", "accompaniment", "vocals"):
        assert data(alone, role) == data(beside, role)


def test_vocals_words_and_seed_make_a_difference(generator):
    other = tiny_singsong.file(tiny_singsong.sung(1.0, before_s=1.0))
    pieces = make(generator, recipe(), recipe(seed=2), recipe(prompt="harp"), recipe(other))
    assert len({data(piece, "codes") for piece in pieces}) == 4


def test_the_mix_is_the_sum_of_stems_that_lie_on_each_other_to_the_sample(generator):
    piece = make(generator, recipe())[0]
    mix, vocals, accompaniment = (heard(piece, role)[0] for role in ("waveform", "vocals", "accompaniment"))
    assert mix.shape == vocals.shape == accompaniment.shape
    assert np.abs(mix - vocals - accompaniment).max() < 3 / 32768
    original = tiny_singsong.sung()
    gain = float((vocals * original).sum() / (original**2).sum())
    assert np.abs(vocals - gain * original).max() < 3 / 32768


def test_the_silence_before_a_voice_is_kept(generator):
    piece = make(generator, recipe(tiny_singsong.file(tiny_singsong.sung(before_s=0.7)), duration_s=2.7))[0]
    vocals, rate = heard(piece, "vocals")
    first = np.flatnonzero(np.abs(vocals[:, 0]) > 0.01)[0]
    assert first / rate == pytest.approx(0.7, abs=0.01)
    assert heard(piece, "waveform")[0].shape == (round(2.7 * rate), 1)


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (8_000, 1), (48_000, 1)])
def test_any_rate_and_number_of_channels_will_do(generator, rate_hz, channels):
    vocals = tiny_singsong.file(tiny_singsong.sung(rate_hz=rate_hz, channels=channels), rate_hz)
    mix, rate = heard(make(generator, recipe(vocals))[0], "waveform")
    assert (rate, mix.shape) == (max(rate_hz, 16_000), (2 * max(rate_hz, 16_000), channels))


def test_vocals_may_be_longer_than_a_window_and_the_accompaniment_shorter_or_longer_than_they(generator):
    long = tiny_singsong.file(tiny_singsong.sung(12.0))
    pieces = make(generator, recipe(long, duration_s=12.0), recipe(duration_s=1.1), recipe(duration_s=3.0))
    assert [round(len(heard(piece, "waveform")[0]) / 16_000, 3) for piece in pieces] == [12.0, 1.1, 3.0]
    assert read_codes(data(pieces[0], "codes")).codes_FK.shape == (600, 4)


def test_the_balance_is_obeyed(generator):
    quiet, loud = make(generator, recipe(balance_db=-12.0), recipe(balance_db=6.0))

    def above(piece):
        stems = [heard(piece, role)[0] for role in ("accompaniment", "vocals")]
        return 10 * np.log10(np.mean(stems[0] ** 2) / np.mean(stems[1] ** 2))

    assert above(loud) - above(quiet) == pytest.approx(18.0, abs=0.1)


def test_the_lineage_says_what_was_heard_and_how(generator, version):
    plain, separated = make(generator, recipe(), recipe(separate=True))
    told = listened(plain)
    assert (told["role"], told["separator"], told["noise_db"]) == ("vocals", None, -20.0)
    assert {"tempo_bpm", "key"} <= set(told["estimates"])
    assert listened(separated)["separator"] == version.digest
    assert next(stage for stage in plain.stages if stage.name == "listen").input_digest == digest_of_bytes(VOICE)


def test_eight_bits_are_a_warning_in_the_lineage(generator):
    vocals = tiny_singsong.file(tiny_singsong.sung(), subtype="PCM_U8")
    piece = make(generator, recipe(vocals))[0]
    assert any("8 bits" in warning for warning in listened(piece)["warnings"])
    assert piece.attributes["warnings"] == listened(piece)["warnings"]


def test_an_instrument_instead_of_a_voice_is_a_warning_in_the_lineage(generator):
    bias = generator._model.separator.out.bias
    try:
        bias.fill_(5.0)  # the separator takes all of it for a voice
        voice = make(generator, recipe())[0]
        bias.fill_(-5.0)  # and nothing
        instrument = make(generator, recipe())[0]
    finally:
        bias.fill_(0.0)
    assert not any("instrument" in warning for warning in listened(voice)["warnings"])
    assert any("sounds like an instrument" in warning for warning in listened(instrument)["warnings"])


def test_other_vocals_than_the_recipe_names_are_refused(generator):
    with pytest.raises(GenerationError, match="the recipe names the vocals sha256"):
        generator.admit("x", recipe()[0], {"vocals": tiny_singsong.file(tiny_singsong.sung(1.0))})


def test_a_version_without_its_musiclm_says_which_parts_it_lacks(tmp_path):
    version = tiny_singsong.version(tmp_path / "models" / "version")
    other = tiny_singsong.tiny_musiclm.version(tmp_path / "models" / "tiny-musiclm", seed=5)
    assert other.digest
    with pytest.raises(UnusableModelError, match=r"no MusicLM has the codec.*looked at .*musiclm-tiny"):
        load_generator(version)
