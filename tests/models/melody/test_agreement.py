"""A take agrees with a melody when it rises and falls with it, in whatever key."""

import numpy as np
import pytest

from models.melody.agreement import agreement
from models.melody.contour import FIRST, REST, moved

TUNE = np.repeat(np.array([0, 2, 4, 7, 4, 2, 0, -3]) + FIRST + 24, 12).astype(np.uint8)


def test_the_tune_itself_agrees_wholly_and_so_does_its_transposition():
    assert agreement(TUNE, TUNE) == pytest.approx(1.0)
    assert agreement(TUNE, TUNE + 5) == pytest.approx(1.0)
    assert agreement(TUNE, moved(TUNE, 1)) == pytest.approx(1.0)


def test_another_tune_agrees_less_and_its_mirror_not_at_all():
    assert agreement(TUNE, np.roll(TUNE, 24)) < 0.7
    assert agreement(TUNE, 2 * TUNE[0] - TUNE) == pytest.approx(-1.0)


def test_what_is_left_out_counts_as_not_followed():
    half = TUNE.copy()
    half[48:] = REST
    assert 0.4 < agreement(TUNE, half) < 0.6


@pytest.mark.parametrize("heard", [np.full(96, REST, dtype=np.uint8), np.full(96, FIRST + 20, dtype=np.uint8)])
def test_silence_and_one_tone_follow_nothing(heard):
    assert agreement(TUNE, heard) == 0.0
