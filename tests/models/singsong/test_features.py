"""Where something begins is found in sounds of any length."""

import numpy as np
import pytest

from models.singsong.features import onset_curve, onset_strength

RATE = 16_000


@pytest.mark.parametrize("seconds", [0.7, 1.0, 1.01, 1.02, 3.0])
def test_a_click_is_found_in_a_sound_of_any_length(seconds):
    samples = 1e-3 * np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
    samples[len(samples) // 2 :][:80] += 0.5
    curve = onset_curve(samples, RATE)
    assert abs(int(curve.argmax()) / (RATE / 160) - seconds / 2) < 0.04
    frames = round(seconds * 25)
    strength = onset_strength(samples, RATE, frames)
    assert len(strength) == frames
    assert abs((strength.argmax() + 0.5) / 25 - seconds / 2) < 0.06
