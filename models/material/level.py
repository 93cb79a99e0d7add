"""Levels of waveforms that are to be mixed.

Shapes: T samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SILENCE = 1e-5  # an RMS below it is not raised to one


def unit_rms(waveform_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a waveform with a root mean square of 1; silence stays silent."""
    return waveform_T / np.float32(max(float(np.sqrt(np.mean(waveform_T**2))), _SILENCE))
