"""How well an accompaniment goes with what is sung: what takes are chosen by.

Shapes: T samples, G frames of the vocals, C = 12 pitch classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.key import Key
from models.score.key import nearness
from models.singsong.features import Frames, chroma, onset_strength
from models.singsong.hearing import LOWEST_NOTE

_SMOOTH_S = 1.0
_STEADY = 1e-6  # what changes less does not change
_SPREAD_IN_TUNE, _SPREAD_IN_TIME, _SPREAD_IN_KEY = 0.027, 0.096, 0.45
_REALLY_IN_TUNE = 0.074  # mean of real accompaniments


@dataclass(frozen=True, slots=True)
class Fit:
    """How an accompaniment goes with a voice: in tune with its notes, in time with its pulse, in its key."""

    in_tune: float
    in_time: float
    in_key: float

    @property
    def total(self) -> float:
        """One figure of all, in spreads among real accompaniments of other songs.

        To be more in tune than real accompaniments are is no better: that would be to sing along. The key counts
        twice: a listener forgives the rest sooner.
        """
        tune = min(self.in_tune, _REALLY_IN_TUNE) / _SPREAD_IN_TUNE
        return tune + self.in_time / _SPREAD_IN_TIME + 2 * self.in_key / _SPREAD_IN_KEY


def fit(
    accompaniment_T: NDArray[np.float32],
    sample_rate_hz: int,
    notes_G: NDArray[np.int64],
    pulse_G: NDArray[np.floating],
    key: Key,
    rate_hz: float,
) -> Fit:
    """Return how an accompaniment goes with notes, pulse and key of a voice, at `rate_hz` frames a second."""
    played_GC = chroma(accompaniment_T, sample_rate_hz, rate_hz)
    frames = int(len(accompaniment_T) / sample_rate_hz * rate_hz)
    return Fit(
        in_tune=round(fits(played_GC[:frames], notes_G, rate_hz), 6),
        in_time=round(in_time(accompaniment_T, sample_rate_hz, pulse_G, rate_hz), 6),
        in_key=round(nearness(played_GC.mean(axis=0), key), 6),
    )


def in_time(
    accompaniment_T: NDArray[np.float32], sample_rate_hz: int, expected_G: NDArray[np.floating], rate_hz: float
) -> float:
    """Return how well an accompaniment keeps time: the correlation of its onsets with those that are expected."""
    frames = min(len(expected_G), int(len(accompaniment_T) / sample_rate_hz * rate_hz))
    onsets_G = onset_strength(accompaniment_T[: round(frames / rate_hz * sample_rate_hz)], sample_rate_hz, frames)
    if min(float(onsets_G.std()), float(expected_G[:frames].std())) < _STEADY:
        return 0.0
    return float(np.corrcoef(onsets_G, expected_G[:frames])[0, 1])


def fits(played_GC: Frames, notes_G: NDArray[np.int64], rate_hz: float) -> float:
    """Return how well a chroma goes with the notes sung: how much more of it lies on them than on average.

    Frames are compared over a second, as a chord goes with the notes around it; 0 is chance, 1 is unison throughout.
    """
    frames = min(len(notes_G), len(played_GC))
    sung = np.zeros((frames, 12))
    heard = notes_G[:frames] > 0
    sung[np.flatnonzero(heard), (notes_G[:frames][heard] + LOWEST_NOTE - 1) % 12] = 1
    width = max(round(_SMOOTH_S * rate_hz), 1)
    smooth = np.ones(width) / width
    sung, played = (
        np.stack([np.convolve(x, smooth, mode="same") for x in part.T], axis=1) for part in (sung, played_GC[:frames])
    )
    usual = played.mean(axis=1)
    agreeing = (sung * played).sum(axis=1) - sung.sum(axis=1) * usual
    return float(agreeing.sum() / max(sung.sum(), 1e-9))
