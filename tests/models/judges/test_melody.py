"""Pitch contours."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.judges.melody import FRAME_RATE_HZ, Contour, MelodyJudge, contour_correlation

OTHER_TUNE = (12, 11, 9, 5, 7, 4, 0, 2, 0, -1, 0, 5, 9, 7, 11, 12)


@pytest.fixture(scope="module")
def judge() -> MelodyJudge:
    return MelodyJudge()


def test_a_tune_is_heard_at_its_pitches(judge):
    contour = judge.contour(play(73, tonic=69, tune=(0,)), SAMPLE_RATE_HZ).semitones_F
    assert np.nanmedian(contour) == pytest.approx(0.0, abs=0.3)
    assert np.isnan(contour).mean() < 0.5


def test_a_tune_correlates_with_itself_in_another_key_on_another_instrument(judge):
    flute = judge.contour(play(73, tonic=69), SAMPLE_RATE_HZ)
    violin = judge.contour(play(40, tonic=64), SAMPLE_RATE_HZ)
    other = judge.contour(play(40, tonic=64, tune=OTHER_TUNE), SAMPLE_RATE_HZ)
    assert contour_correlation(flute, violin) > 0.8
    assert contour_correlation(flute, other) < 0.4


def test_a_shift_is_found_where_one_is_allowed():
    melody = np.random.default_rng(0).normal(size=200).cumsum()
    late = np.concatenate([np.full(12, np.nan), melody])[:200]
    assert contour_correlation(Contour(melody), Contour(late), most_lag_s=0.25) == pytest.approx(1.0)
    assert contour_correlation(Contour(late), Contour(melody), most_lag_s=0.25) == pytest.approx(1.0)
    assert contour_correlation(Contour(melody), Contour(late)) < 0.99


def test_too_little_in_common_is_no_correlation():
    silent = Contour(np.full(round(4 * FRAME_RATE_HZ), np.nan))
    assert contour_correlation(silent, Contour(np.arange(250.0))) == 0.0
