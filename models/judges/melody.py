"""A judge of melodies: the pitch contour that swift-f0 hears, and how alike two contours are.

Shapes: F frames of 16 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from swift_f0 import SwiftF0

from models.judges.sound import Waveform
from models.resampling import at_rate

SAMPLE_RATE_HZ = 16_000
FRAME_RATE_HZ = 62.5
VOICED = 0.5
FEWEST_FRAMES = 30


@dataclass(frozen=True, slots=True)
class Contour:
    """A pitch for each frame, in semitones above A4 = 0; NaN where none is heard."""

    semitones_F: NDArray[np.float64]


class MelodyJudge:
    """swift-f0, loaded once."""

    def __init__(self) -> None:
        self._pitch = SwiftF0(threads=1)

    def contour(self, waveform: Waveform, sample_rate_hz: int) -> Contour:
        """Return the contour of the leading voice.

        Raises:
            ValueError: the waveform is not one channel of finite samples.
        """
        heard = self._pitch.detect(at_rate(waveform, sample_rate_hz, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
        semitones = 12 * np.log2(heard.pitch_hz / 440.0)
        return Contour(np.where(heard.confidence >= VOICED, semitones, np.nan))


def contour_correlation(a: Contour, b: Contour, most_lag_s: float = 0.0) -> float:
    """Return Pearson's correlation of two contours over the frames where both have a pitch.

    It is the same for a melody and its transposition. With `most_lag_s` the best of all shifts up to that many
    seconds counts: chance then lies above 0, so compare with shuffled pairs measured likewise. Contours that share
    too few frames, or stay on one pitch, follow nothing: 0.
    """
    most = round(most_lag_s * FRAME_RATE_HZ)
    return max(_correlation(*_shifted(a.semitones_F, b.semitones_F, lag)) for lag in range(-most, most + 1))


def same_notes(a: Contour, b: Contour) -> float:
    """Return the share of frames, of those where both contours have a pitch, that have the same note in any octave.

    Nearer than half a semitone counts as the same: 1 / 12 by chance. Contours that share too few frames: 0.
    """
    ours, theirs = _where_both(*_shifted(a.semitones_F, b.semitones_F, 0))
    if len(ours) < FEWEST_FRAMES:
        return 0.0
    apart = theirs - ours
    return float((np.abs(apart - 12 * np.round(apart / 12)) < 0.5).mean())


def _shifted(
    a_F: NDArray[np.float64], b_F: NDArray[np.float64], lag: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a_F, b_F = (a_F[lag:], b_F) if lag >= 0 else (a_F, b_F[-lag:])
    shared = min(len(a_F), len(b_F))
    return a_F[:shared], b_F[:shared]


def _where_both(
    a_F: NDArray[np.float64], b_F: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = ~np.isnan(a_F) & ~np.isnan(b_F)
    return a_F[both], b_F[both]


def _correlation(a_F: NDArray[np.float64], b_F: NDArray[np.float64]) -> float:
    a, b = _where_both(a_F, b_F)
    if len(a) < FEWEST_FRAMES or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
