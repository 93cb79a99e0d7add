"""What tells how one piece follows from another."""

import numpy as np
import pytest

from models.taste.features import features_of

RATE = 16_000
TIME = np.arange(12 * RATE) / RATE


def test_a_click_every_half_second_is_120_beats_a_minute():
    clicks = (np.random.default_rng(0).standard_normal(len(TIME)) * np.exp(-40 * (TIME % 0.5))).astype(np.float32)
    heard = features_of(0.3 * clicks, RATE)
    assert min(abs(np.log2(heard.tempo_bpm / 120) - octave) for octave in (-1, 0, 1)) < 0.05
    assert heard.energy == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(
    "sound", [np.zeros(len(TIME)), 0.3 * np.sin(2 * np.pi * 220 * TIME)], ids=["silence", "a tone"]
)
def test_where_nothing_begins_there_is_no_tempo(sound):
    assert features_of(sound.astype(np.float32), RATE).tempo_bpm == 0
