"""Waveforms at another sample rate."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray


def at_rate(waveform: NDArray[np.float32], sample_rate_hz: int, wanted_hz: int) -> NDArray[np.float32]:
    """Return a mono waveform at another sample rate.

    Raises:
        ValueError: it is not one channel of at least one finite sample.
    """
    if waveform.ndim != 1 or waveform.size == 0 or not np.isfinite(waveform).all():
        raise ValueError(f"a waveform of shape {waveform.shape} is not one channel of finite samples")
    heard = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
    if sample_rate_hz != wanted_hz:
        heard = torchaudio.functional.resample(heard, sample_rate_hz, wanted_hz)
    return heard.numpy()
