"""Waveforms as the judges take them: float32, mono, at a rate of their own."""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

Waveform = NDArray[np.float32]  # (samples,), about -1..1


def at_rate(waveform: Waveform, sample_rate_hz: int, wanted_hz: int) -> Waveform:
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


def at_least(waveform: Waveform, samples: int) -> Waveform:
    """Return the waveform, with silence after it if it is shorter than `samples`."""
    return np.pad(waveform, (0, max(0, samples - waveform.size)))
