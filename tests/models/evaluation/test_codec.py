"""A codec beside its references."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.evaluation.clip import Clip
from models.evaluation.codec import RoundTripError, codebook_use, evaluate_codec, low_pass, opus
from models.judges.yamnet import Yamnet

CLIPS = [Clip(play(program), SAMPLE_RATE_HZ, prompt=name) for program, name in ((0, "piano"), (73, "flute"))]


@pytest.fixture(scope="module")
def yamnet() -> Yamnet:
    return Yamnet.load()


def evaluate(round_trip, yamnet):
    return evaluate_codec(round_trip, CLIPS, name="solos", yamnet=yamnet, visqol_clips=0)


def test_a_codec_that_changes_nothing_equals_the_identity_and_a_low_pass_the_low_pass(yamnet):
    nothing, dull = evaluate(lambda x, _: x.copy(), yamnet), evaluate(low_pass, yamnet)
    assert nothing.codec == nothing.identity
    assert dull.codec == dull.low_pass
    assert nothing.identity.mel == nothing.identity.tags_kl == 0
    assert dull.codec.mel > 0.1
    assert (nothing.clips, nothing.visqol_clips, nothing.codec.visqol) == (2, 0, None)


def test_the_tags_before_and_after_are_told_of_each_clip(yamnet):
    before_after = evaluate(lambda x, _: 0 * x, yamnet).tags
    assert [change.clip for change in before_after] == ["piano", "flute"]
    assert before_after[1].before[0][0] in ("Music", "Flute", "Wind instrument, woodwind instrument")
    assert before_after[1].after[0][0] == "Silence"


def test_opus_at_its_lowest_is_below_ten_kbps_and_keeps_the_length():
    sound = CLIPS[0].waveform[::3]
    decoded, bits = opus(sound, 16_000)
    assert decoded.shape == sound.shape
    assert bits / CLIPS[0].duration_s < 10_000


@pytest.mark.parametrize("broken", [lambda x, _: x[:-1], lambda x, _: x * np.float32("nan")])
def test_a_codec_that_gives_back_what_cannot_be_compared_is_refused(yamnet, broken):
    with pytest.raises(RoundTripError, match="the codec made shape"):
        evaluate(broken, yamnet)


def test_codebook_use_is_the_share_of_entries_that_occur():
    assert codebook_use(np.array([[0, 1], [0, 2], [0, 3], [0, 1]]), 4) == [0.25, 0.75]
