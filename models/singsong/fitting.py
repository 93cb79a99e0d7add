"""How well an accompaniment goes with what is sung: what takes are chosen by.

Shapes: T samples, G frames of the vocals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.singsong.features import chroma, onset_strength
from models.singsong.hearing import LOWEST_NOTE

_SMOOTH_S = 1.0
_STEADY = 1e-6  # what changes less does not change
_SPREAD_IN_TUNE, _SPREAD_IN_TIME = 0.027, 0.096
_REALLY_IN_TUNE = 0.074  # mean of real accompaniments


def suits(in_tune: float, in_time: float) -> float:
    """Return one figure of both (`fits`, `in_time`), in spreads among real accompaniments of other songs.

    To be more in tune than real accompaniments are is no better: that would be to sing along.
    """
    return min(in_tune, _REALLY_IN_TUNE) / _SPREAD_IN_TUNE + in_time / _SPREAD_IN_TIME


def in_time(
    accompaniment_T: NDArray[np.float32], sample_rate_hz: int, expected_G: NDArray[np.floating], rate_hz: float
) -> float:
    """Return how well an accompaniment keeps time: the correlation of its onsets with those that are expected."""
    frames = min(len(expected_G), int(len(accompaniment_T) / sample_rate_hz * rate_hz))
    onsets_G = onset_strength(accompaniment_T[: round(frames / rate_hz * sample_rate_hz)], sample_rate_hz, frames)
    if min(float(onsets_G.std()), float(expected_G[:frames].std())) < _STEADY:
        return 0.0
    return float(np.corrcoef(onsets_G, expected_G[:frames])[0, 1])


def fits(
    accompaniment_T: NDArray[np.float32], sample_rate_hz: int, notes_G: NDArray[np.int64], rate_hz: float
) -> float:
    """Return how well an accompaniment goes with the notes sung: how much more of it lies on them than on average.

    Frames are compared over a second, as a chord goes with the notes around it; 0 is chance, 1 is unison throughout.
    """
    frames = min(len(notes_G), int(len(accompaniment_T) / sample_rate_hz * rate_hz))
    sung = np.zeros((frames, 12))
    heard = notes_G[:frames] > 0
    sung[np.flatnonzero(heard), (notes_G[:frames][heard] + LOWEST_NOTE - 1) % 12] = 1
    width = max(round(_SMOOTH_S * rate_hz), 1)
    smooth = np.ones(width) / width
    played = chroma(accompaniment_T, sample_rate_hz, rate_hz)[:frames]
    sung, played = (
        np.stack([np.convolve(x, smooth, mode="same") for x in part.T], axis=1) for part in (sung, played)
    )
    usual = played.mean(axis=1)
    agreeing = (sung * played).sum(axis=1) - sung.sum(axis=1) * usual
    return float(agreeing.sum() / max(sung.sum(), 1e-9))
