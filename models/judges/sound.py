"""Waveforms as the judges take them: float32, mono, at a rate of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]  # (samples,), about -1..1


def at_least(waveform: Waveform, samples: int) -> Waveform:
    """Return the waveform, with silence after it if it is shorter than `samples`."""
    return np.pad(waveform, (0, max(0, samples - waveform.size)))
