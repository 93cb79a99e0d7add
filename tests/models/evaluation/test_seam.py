"""Clicks and gaps."""

import numpy as np
import pytest

from models.evaluation.seam import seam

RATE_HZ = 16_000
TIMES_S = np.arange(4 * RATE_HZ) / RATE_HZ
TONE = (0.3 * np.sin(2 * np.pi * 220 * TIMES_S)).astype(np.float32)
OTHER = (0.3 * np.sin(2 * np.pi * 331 * TIMES_S + 1)).astype(np.float32)


def spliced(at_s: float) -> np.ndarray:
    return np.where(at_s > TIMES_S, TONE, OTHER)


def test_a_hard_cut_is_a_click_and_a_smooth_change_is_none():
    fade = np.clip((TIMES_S - 1.5) / 1.0, 0, 1).astype(np.float32)
    assert seam(spliced(2.0), RATE_HZ, 2.0).click_ratio > 5
    assert seam((1 - fade) * TONE + fade * OTHER, RATE_HZ, 2.0).click_ratio < 1.5


def test_a_gap_is_measured():
    gap = TONE.copy()
    gap[2 * RATE_HZ : 2 * RATE_HZ + RATE_HZ // 2] = 0
    assert seam(gap, RATE_HZ, 2.0).silence_s == pytest.approx(0.5, abs=0.04)
    assert seam(TONE, RATE_HZ, 2.0).silence_s == 0.0


def test_a_moment_outside_is_refused():
    with pytest.raises(ValueError, match="not inside"):
        seam(TONE, RATE_HZ, 4.0)
