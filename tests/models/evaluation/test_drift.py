"""Beginnings and ends of long pieces."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.evaluation.drift import drift, drift_figures

TUNE = play(0, duration_s=8.0)


def test_a_piece_that_goes_on_as_it_began_does_not_drift():
    found = drift(np.concatenate([TUNE, TUNE]), SAMPLE_RATE_HZ, part_s=8.0)
    assert (found.level_change_db, found.entropy_change_bits, found.tempo_change_octaves) == (0, 0, 0)
    assert found.silent_share == 0


def test_a_piece_that_dies_away_is_found_out():
    found = drift(np.concatenate([TUNE, 0.01 * TUNE, 0 * TUNE]), SAMPLE_RATE_HZ, part_s=8.0)
    assert found.level_change_db < -60
    assert found.silent_share == pytest.approx(1 / 3, abs=0.1)


def test_a_piece_that_turns_to_noise_gains_entropy():
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(TUNE)).astype(np.float32)
    found = drift(np.concatenate([TUNE, noise]), SAMPLE_RATE_HZ, part_s=8.0)
    assert found.entropy_change_bits > 3
    assert found.last.spectral_entropy_bits == pytest.approx(9.4, abs=0.1)


def test_a_piece_too_short_to_compare_is_refused():
    with pytest.raises(ValueError, match="no two parts"):
        drift(TUNE, SAMPLE_RATE_HZ, part_s=5.0)


def test_what_has_no_beat_has_no_tempo_to_drift():
    kept, beatless = (
        drift(np.concatenate([TUNE, TUNE]), SAMPLE_RATE_HZ, part_s=8.0, beat=each) for each in (True, False)
    )
    assert beatless.tempo_change_octaves is None
    [figure] = [f for f in drift_figures([kept, beatless]) if "tempo" in f.name]
    assert (figure.generated, figure.clips) == (0.0, 1)
    assert not any("tempo" in f.name for f in drift_figures([beatless]))
