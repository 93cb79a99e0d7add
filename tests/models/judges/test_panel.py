"""What the judges hear in a SoundFont that nothing was fitted to."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.judges.instruments import INSTRUMENTS, judged_as
from models.judges.panel import Hearing, Panel
from models.key import Key


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel.load()


def hear(panel: Panel, program: int, tonic: int = 60, **how) -> Hearing:
    return panel.hear(play(program, tonic=tonic, **how), SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    ("program", "tonic", "instrument"),
    [(0, 60, "piano"), (19, 60, "organ"), (40, 67, "violin"), (52, 60, "choir"), (56, 67, "trumpet"),
     (73, 72, "flute"), (71, 62, "clarinet"), (12, 67, "mallets")],
)  # fmt: skip
def test_an_instrument_is_heard_as_what_it_is(panel, program, tonic, instrument):
    assert hear(panel, program, tonic).instrument == instrument


@pytest.mark.parametrize(("program", "scene"), [(122, "waves"), (123, "birds")])
def test_a_scene_is_heard_as_what_it_is(panel, program, scene):
    assert hear(panel, program).scene == scene


def test_a_beat_scores_higher_for_drums(panel):
    assert hear(panel, 0, drums=True).drums > hear(panel, 0).drums + 2


def test_the_same_tune_scores_higher_the_faster_it_is(panel):
    slow, middle, fast = (hear(panel, 0, notes_per_s=rate).speed for rate in (1, 3, 8))
    assert slow < middle < fast


def test_a_tune_in_c_major_is_heard_in_c_major(panel):
    assert hear(panel, 0).key == Key(0, "major")


def test_a_clip_is_heard_alike_whatever_was_heard_before_it(panel):
    first = hear(panel, 40)
    hear(panel, 73)
    again = hear(panel, 40)
    assert first.instruments == again.instruments
    assert np.array_equal(first.music_embeddings_PD, again.music_embeddings_PD)
    assert np.array_equal(first.sound_embeddings_PD, again.sound_embeddings_PD)


def test_what_lasts_less_than_a_patch_is_heard_too(panel):
    assert np.isfinite(panel.hear(play(0)[:4800], SAMPLE_RATE_HZ).music_embeddings_PD).all()


@pytest.mark.parametrize("broken", [np.zeros((2, 100)), np.zeros(0), np.array([0.0, np.nan])])
def test_what_is_no_mono_waveform_is_refused(panel, broken):
    with pytest.raises(ValueError, match="not one channel of finite samples"):
        panel.hear(broken.astype(np.float32), SAMPLE_RATE_HZ)


def test_labels_are_judged_as_one_of_the_classes_or_not_at_all():
    assert judged_as("piano") == "piano"
    assert judged_as("vibraphone") == "mallets"
    assert judged_as("bagpipes") is None
    assert len(INSTRUMENTS) == 11
