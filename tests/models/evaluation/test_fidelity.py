"""Distances of waveforms whose distance is known."""

import numpy as np
import pytest
from sounds import play

from models.evaluation.codec import low_pass
from models.evaluation.fidelity import mel_distance, si_sdr_db, visqol

RATE_HZ = 48_000
NOISE = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)


def test_ten_times_quieter_is_one_away_in_mels():
    assert mel_distance(NOISE, 0.1 * NOISE, RATE_HZ) == pytest.approx(1.0, abs=1e-4)


def test_nothing_below_the_floor_counts():
    assert mel_distance(1e-9 * NOISE, 0 * NOISE, RATE_HZ) == 0.0


def test_noise_a_tenth_as_loud_is_twenty_db_below_whatever_the_gain():
    other = np.random.default_rng(1).standard_normal(RATE_HZ).astype(np.float32)
    other -= NOISE * (other @ NOISE) / (NOISE @ NOISE)
    for gain in (1.0, 0.3):
        assert si_sdr_db(NOISE, gain * (NOISE + 0.1 * other)) == pytest.approx(20.0, abs=0.1)


def test_visqol_rates_the_same_sound_best_and_a_dull_one_lower():
    sound = play(0, duration_s=1.0)
    assert visqol(sound, sound, RATE_HZ) > 4.5
    assert visqol(sound, low_pass(sound, RATE_HZ, 1000.0), RATE_HZ) < 4.0
