"""What tells how one piece follows from another: tempo, key and liveliness, heard by libsonare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import libsonare
import numpy as np
from numpy.typing import NDArray

_LISTENED_S: Final = 30.0
_KEY_S: Final = 12.0  # finding a key takes as long as all the rest together
_SLOWEST_HZ: Final = 0.5  # of notes: where fewer begin there is no beat, though libsonare names one even in silence


@dataclass(frozen=True, slots=True)
class Features:
    """Beats a minute (0: too little begins for any), a key as in "Eb major", and how many notes begin in a second."""

    tempo_bpm: float
    key: str
    energy: float


def features_of(waveform_T: NDArray[np.float32], sample_rate_hz: int) -> Features:
    """Return the features of the middle of a mono waveform."""
    heard = _middle(waveform_T, round(_LISTENED_S * sample_rate_hz))
    tempo = float(libsonare.detect_bpm(heard, sample_rate_hz))
    onsets = len(libsonare.detect_onsets(heard, sample_rate_hz)) / (len(heard) / sample_rate_hz)
    return Features(
        tempo_bpm=tempo if onsets >= _SLOWEST_HZ and np.isfinite(tempo) else 0.0,
        key=str(libsonare.detect_key(_middle(heard, round(_KEY_S * sample_rate_hz)), sample_rate_hz)),
        energy=onsets,
    )


def _middle(waveform_T: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    begin = max(0, (len(waveform_T) - most) // 2)
    return np.ascontiguousarray(waveform_T[begin : begin + most])
