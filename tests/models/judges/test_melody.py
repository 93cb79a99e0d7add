"""Pitch contours."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.judges.melody import FRAME_RATE_HZ, Contour, MelodyJudge, contour_correlation, same_notes

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


def test_the_same_notes_are_the_same_in_any_octave_and_only_where_both_have_one():
    tune = np.repeat([0.0, 4.0, 7.0, 2.0], 30)
    mixed = tune + 12 * np.repeat([0, 1, -2, 1], 30) + 0.3
    assert same_notes(Contour(tune), Contour(mixed)) == 1.0
    assert same_notes(Contour(tune), Contour(tune + 1)) == 0.0
    half = np.where(np.arange(120) < 60, mixed, mixed + 6)
    assert same_notes(Contour(tune), Contour(half)) == pytest.approx(0.5)
    half[60:] = np.nan
    assert same_notes(Contour(tune), Contour(half)) == 1.0
    half[10:] = np.nan
    assert same_notes(Contour(tune), Contour(half)) == 0.0
