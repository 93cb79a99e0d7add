"""From a raw waveform to what is delivered: loudness (ITU-R BS.1770), peak, fades, FLAC."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from math import floor

import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray

LOUDNESS_LUFS = -16.0
PEAK_DBFS = -1.0
_FADE_IN_S, _FADE_OUT_S = 0.01, 0.25
_SILENT_LUFS = -60.0


class SilentError(ValueError):
    """There is nothing to hear in a waveform."""


@dataclass(frozen=True, slots=True)
class Master:
    """A delivered file and what was measured on it."""

    flac: bytes
    duration_s: float
    loudness_lufs: float
    peak_dbfs: float


def master(waveform_T: NDArray[np.float32], sample_rate_hz: int) -> Master:
    """Bring a waveform to LOUDNESS_LUFS, or less where its peak would pass PEAK_DBFS, and encode it (16 bits).

    Args:
        waveform_T: mono (T,), or channels (T, A).
        sample_rate_hz: its rate.

    Raises:
        SilentError: it is too quiet to be meant.
    """
    loudness, peak = loudness_lufs(waveform_T, sample_rate_hz), _peak_dbfs(waveform_T)
    if loudness < _SILENT_LUFS:
        raise SilentError(f"silent: {loudness:.0f} LUFS")
    gain_db = floor(100 * min(LOUDNESS_LUFS - loudness, PEAK_DBFS - peak)) / 100  # the same on any threads
    out = waveform_T * np.float32(10 ** (gain_db / 20))
    rising, falling = (round(s * sample_rate_hz) for s in (_FADE_IN_S, _FADE_OUT_S))
    by_time = out if out.ndim == 1 else out.T  # the last axis is time, as the fades need it
    by_time[..., :rising] *= np.linspace(0, 1, rising, dtype=np.float32)[: len(out)]
    by_time[..., -falling:] *= np.linspace(1, 0, falling, dtype=np.float32)[-len(out) :]
    file = BytesIO()
    soundfile.write(file, out, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return Master(file.getvalue(), len(out) / sample_rate_hz, round(loudness + gain_db, 2), round(peak + gain_db, 2))


def loudness_lufs(waveform_T: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return the integrated loudness; -70 for what is under its gate throughout."""
    channels_AT = np.ascontiguousarray(np.atleast_2d(waveform_T.T))
    loudness = float(torchaudio.functional.loudness(torch.from_numpy(channels_AT.copy()), sample_rate_hz))
    return loudness if np.isfinite(loudness) else -70.0


def _peak_dbfs(waveform_T: NDArray[np.float32]) -> float:
    return float(20 * np.log10(max(float(np.abs(waveform_T).max()), 1e-9)))
