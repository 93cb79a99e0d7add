"""Pieces depend on their recipes alone, follow their stories, and carry their codes."""

import io
import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import tiny_musiclm
import torch

from models.digests import digest_of_bytes
from models.generator import GenerationError
from models.musiclm.codes_file import CodesError, read_codes
from models.musiclm.joint_space import JointSpace
from models.musiclm.model import load_model
from models.personal import Opening, with_personal
from models.registry import load_generator
from models.weights import CorruptModelError, load_tensors, read_version, write_version


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return tiny_musiclm.version(tmp_path_factory.mktemp("musiclm") / "version")


def recipe(prompt="a flute", seed=1, duration_s=2.3, **controls):
    return {"prompt": prompt, "seed": seed, "duration_s": duration_s, "controls": controls}


def story(*sections):
    return [{"at_s": at, "prompt": prompt} for at, prompt in sections]


def hummed(hertz, seconds=2.0):
    """A file with a tone, and its digest."""
    file = io.BytesIO()
    soundfile.write(
        file,
        0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 22_050)) / 22_050),
        22_050,
        "PCM_16",
        format="WAV",
    )
    return file.getvalue(), digest_of_bytes(file.getvalue())


def make(version, recipes, slots=4, inputs=None, **how):
    generator = load_generator(version, slots=slots, **how)
    waiting, made = list(enumerate(recipes)), {}
    busy = 0
    while len(made) < len(recipes):
        while waiting and busy < slots:
            number, each = waiting.pop(0)
            generator.admit(str(number), each, inputs or {})
            busy += 1
        for outcome in generator.advance():
            busy -= 1
            made[int(outcome.key)] = generator.finish(outcome.result)
    return [made[number] for number in range(len(recipes))]


def legs(product):
    """How the take of each leg was chosen."""
    return next(stage.detail["legs"] for stage in product.stages if stage.name == "decode")


def data(product, role):
    return next(file.data for file in product.files if file.role == role)


def test_the_same_recipe_gives_the_same_bits_alone_and_in_company_and_in_any_slot(version):
    others = [recipe("rain", seed, 1.0 + seed / 3) for seed in range(5)]
    alone = make(version, [recipe()], slots=1)[0]
    first = make(version, [recipe(), *others], slots=3)[0]
    last = make(version, [*others, recipe()], slots=4)[-1]
    for role in ("codes", "waveform"):
        assert data(alone, role) == data(first, role) == data(last, role)


def test_seed_and_words_make_a_difference(version):
    pieces = make(version, [recipe(), recipe(seed=2), recipe("rain")])
    assert len({data(piece, "codes") for piece in pieces}) == 3


def test_guidance_by_tokens_is_a_setting_of_the_version(version, tmp_path):
    settings = json.loads((version.path / "config.json").read_text())
    settings["sampling"]["coarse"]["guided_by_tokens"] = False
    other = write_version(
        tmp_path / "other", load_tensors(version, "cpu"), settings, "---\nname: musiclm-tiny\n---\n"
    )
    del settings["sampling"]["coarse"]["guided_by_tokens"]  # as versions have it that came before the setting
    older = write_version(
        tmp_path / "older", load_tensors(version, "cpu"), settings, "---\nname: musiclm-tiny\n---\n"
    )
    codes, others, olders = (read_codes(data(make(v, [recipe()])[0], "codes")) for v in (version, other, older))
    assert np.array_equal(codes.semantic_Q, others.semantic_Q)
    assert not np.array_equal(codes.codes_FK, others.codes_FK)
    assert np.array_equal(others.codes_FK, olders.codes_FK)


def test_a_melody_is_heard_makes_a_difference_and_is_recorded(version):
    data_of_tone, digest = hummed(440)
    told = recipe(melody=digest)
    plain, first = make(version, [recipe()])[0], make(version, [told], inputs={"melody": data_of_tone})[0]
    company = make(version, [told] * 3, inputs={"melody": data_of_tone})[2]
    assert data(first, "codes") == data(company, "codes") != data(plain, "codes")
    listened = first.stages[0]
    assert (listened.name, listened.input_digest, listened.detail["frames"]) == ("listen", digest, 50)
    assert [stage.name for stage in first.stages[1:]] == [stage.name for stage in plain.stages]
    decoded = legs(first)[0]
    kept = [a + b for a, b in zip(decoded["likeness_of_takes"], decoded["melody_of_takes"], strict=True)]
    assert kept[decoded["take"]] == pytest.approx(max(kept), abs=1e-5)
    assert first.attributes["melody_followed"] == pytest.approx(decoded["melody_of_takes"][decoded["take"]], abs=1e-4)
    assert "melody_followed" not in plain.attributes


def after_melodies(folder, **settings):
    """A version whose melody net hears one pitch in the middle of the range in everything."""
    made = tiny_musiclm.version(folder, **settings)
    tensors = load_tensors(made, "cpu")
    tensors["melody.head.bias"][30] = 1000.0
    return write_version(folder, tensors, made.config, "---\nname: musiclm-tiny\n---\n")


def test_takes_are_told_a_melody_in_other_octaves_by_turns(tmp_path):
    octaves = after_melodies(tmp_path / "octaves", octaves=3, takes_with_melody=5)
    plain = after_melodies(tmp_path / "plain", takes_with_melody=5)
    tone, digest = hummed(440)
    told, given = recipe(melody=digest), {"melody": tone}
    alone, company = (make(octaves, [told] * n, inputs=given)[-1] for n in (1, 3))
    unmoved = make(plain, [told], inputs=given)[0]
    assert data(alone, "codes") == data(company, "codes")
    assert alone.attributes["takes"] == len(legs(alone)[0]["likeness_of_takes"]) == 5
    same = [a == b for a, b in zip(*(legs(x)[0]["likeness_of_takes"] for x in (alone, unmoved)), strict=True)]
    assert same == [True, False, False, True, False]
    assert make(octaves, [recipe()])[0].attributes["takes"] == 2
    assert data(make(octaves, [recipe()])[0], "codes") == data(make(plain, [recipe()])[0], "codes")


def test_what_has_a_melody_may_be_drawn_in_another_way(tmp_path):
    drawn = asdict(tiny_musiclm.sampling())
    other = drawn | {"semantic": drawn["semantic"] | {"guidance_scale": 5.0}}
    plain, guided = (
        after_melodies(tmp_path / name, sampling_with_melody=each) for name, each in (("a", drawn), ("b", other))
    )
    tone, digest = hummed(440)
    codes = [
        [data(make(made, [each], inputs=given)[0], "codes") for made in (plain, guided)]
        for each, given in ((recipe(), None), (recipe(melody=digest), {"melody": tone}))
    ]
    assert codes[0][0] == codes[0][1]
    assert codes[1][0] != codes[1][1]


def test_later_legs_keep_the_octave_of_the_take_that_was_kept(tmp_path):
    made = after_melodies(tmp_path / "legs", leg_s=1.0, octaves=3, takes_with_melody=3)
    generator, (tone, digest) = load_generator(made, slots=1), hummed(440)
    generator.admit("a", recipe(melody=digest), {"melody": tone})
    (piece,) = generator._pieces.values()
    told, outcomes = list(piece.tellings), []
    assert len({tuple(each.melody_Q.tolist()) for each in told}) == 3
    while not outcomes:
        outcomes = generator.advance()
        if piece.choices:
            assert piece.tellings == [told[piece.choices[0][1].best]]
    assert [each["octave"] for each in piece.choices_as_detail()] == [piece.tellings[0].octave] * 3
    assert {each.octave for each in told} == {0, -1, 1}


def test_another_melody_than_the_recipe_names_or_none_that_can_be_read_is_refused(version):
    generator, (tone, digest) = load_generator(version, slots=1), hummed(440)
    with pytest.raises(GenerationError, match="given was"):
        generator.admit("a", recipe(melody=digest), {"melody": hummed(550)[0]})
    with pytest.raises(GenerationError, match="the melody: cannot be read as sound"):
        generator.admit("a", recipe(melody=digest), {"melody": tone[:20]})


def test_a_piece_lasts_as_long_as_asked_and_is_audible(version):
    piece = make(version, [recipe(duration_s=2.33)])[0]
    heard, rate = soundfile.read(io.BytesIO(data(piece, "waveform")))
    assert (rate, len(heard)) == (16_000, round(2.33 * 16_000))
    assert piece.duration_s == pytest.approx(2.33)
    assert 0.01 < np.abs(heard).max() <= 0.9


def test_the_waveform_comes_of_the_codes(version):
    piece = make(version, [recipe()])[0]
    codes = read_codes(data(piece, "codes"))
    model = load_model(version, "cpu", torch.float32)
    again = model.codec.decode(torch.from_numpy(codes.codes_FK)[None])[0].numpy()
    heard, _ = soundfile.read(io.BytesIO(data(piece, "waveform")), dtype="float32")
    middle = slice(4000, 30_000)  # between the fades
    gain = float(heard[middle] @ again[middle] / (again[middle] @ again[middle]))
    assert np.abs(heard[middle] - gain * again[middle]).max() < 1e-4


def test_a_story_tells_each_section_its_own_words(tmp_path):
    one_take = tiny_musiclm.version(tmp_path / "version", takes=1)
    told = make(one_take, [recipe(story=story((0, "a flute"), (1.2, "rain"))), recipe(), recipe("rain")])
    codes = [read_codes(data(piece, "codes")).semantic_Q for piece in told]
    assert np.array_equal(codes[0][:25], codes[1][:25])  # the first window knows nothing of the second section
    assert not np.array_equal(codes[0][25:], codes[1][25:])


def test_taste_tokens_are_told_as_the_tokens_of_words_are_and_are_in_no_record(tmp_path):
    one_take = tiny_musiclm.version(tmp_path / "version", takes=1)
    space = JointSpace(one_take)
    opening = Opening("ab" * 32, space.tokens(space.of_words("a flute")))
    told = with_personal(recipe("new", taste=opening.commitment()), opening.as_json())
    by_taste, by_words = make(one_take, [told, recipe()])
    assert data(by_taste, "codes") == data(by_words, "codes")
    assert by_taste.stages[0].output_digest == opening.commitment()
    assert "mulan_tokens" not in by_taste.stages[0].detail


def test_taste_tokens_that_are_erased_or_of_another_model_are_refused(version):
    generator = load_generator(version, slots=1)
    opening = Opening("ab" * 32, [99, 0, 0])
    personal = recipe("new", taste=opening.commitment())
    with pytest.raises(GenerationError, match="is erased"):
        generator.admit("a", personal)
    with pytest.raises(GenerationError, match="3 numbers below 8"):
        generator.admit("a", with_personal(personal, opening.as_json()))


def test_every_stage_is_recorded_and_names_what_the_one_before_gave(version):
    stages = make(version, [recipe()])[0].stages
    assert [stage.name for stage in stages] == ["condition", "semantic", "coarse", "fine", "decode", "master"]
    assert all(a.output_digest == b.input_digest for a, b in pairwise(stages[:4]))


def test_the_kept_take_is_the_one_nearest_to_its_words(version):
    (chosen,) = legs(make(version, [recipe()])[0])
    likenesses = chosen["likeness_of_takes"]
    assert len(likenesses) == 2
    assert chosen["take"] == likenesses.index(max(likenesses))


def test_a_control_of_scores_is_refused(version):
    generator = load_generator(version, slots=1)
    with pytest.raises(GenerationError, match="no control 'key'"):
        generator.admit("a", recipe(key="C major"))


def test_weights_that_do_not_fit_are_refused(version, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("model.safetensors", "card.md"):
        (folder / name).write_bytes((version.path / name).read_bytes())
    config = (version.path / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"decoder_blocks": 2', '"decoder_blocks": 3'))
    with pytest.raises(CorruptModelError, match=r"do not fit its config.json"):
        load_model(read_version(folder), "cpu", torch.float32)


def test_what_is_no_file_of_codes_is_refused():
    with pytest.raises(CodesError, match="not a file of codes"):
        read_codes(b"RIFF....WAVE")
