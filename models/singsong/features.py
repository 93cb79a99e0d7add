"""What is measured of a waveform frame by frame: where something begins, and which pitch classes sound.

Shapes: T samples, G frames, F frames of the onset curve.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_FFT, _HOP = 1024, 160
_AROUND_S = 1.0
Frames = NDArray[np.float64]


def onset_curve(mono_T: NDArray[np.float32], sample_rate_hz: int) -> Frames:
    """Return how much the spectrum rises from frame to frame, at `sample_rate_hz` / 160 frames a second."""
    x = torch.from_numpy(np.ascontiguousarray(mono_T))
    spectrum = torch.stft(x, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True).abs()
    level = torch.log1p(100 * spectrum / spectrum.max().clamp_min(1e-9))
    rise = torch.relu(level[:, 2:] - level[:, :-2]).sum(dim=0).double().numpy()
    width = max(round(_AROUND_S * sample_rate_hz / _HOP), 1)
    around = np.convolve(rise, np.ones(width) / width)[(width - 1) // 2 :][: len(rise)]
    return np.asarray(np.maximum(rise - around, 0.0))


def onset_strength(mono_T: NDArray[np.float32], sample_rate_hz: int, frames: int) -> Frames:
    """Return how much begins in each of so many frames, 0 to 1: 1 is as much as in the strongest fiftieth of them."""
    onsets_F = onset_curve(mono_T, sample_rate_hz)
    at = np.linspace(0, len(onsets_F), frames + 1).astype(int)
    peaks_G = np.maximum.reduceat(onsets_F, np.minimum(at[:-1], len(onsets_F) - 1))
    return np.asarray(np.clip(peaks_G / max(float(np.quantile(peaks_G, 0.98)), 1e-9), 0, 1))


def chroma(mono_T: NDArray[np.float32], sample_rate_hz: int, frame_rate_hz: float) -> Frames:
    """Return chroma_G12, the power of every pitch class in each frame; rows sum to 1, or are 0 in silence."""
    hop, length = round(sample_rate_hz / frame_rate_hz), 4096
    x = torch.from_numpy(np.ascontiguousarray(mono_T))
    spectrum = (
        torch.stft(x, length, hop, window=torch.hann_window(length), return_complex=True).abs().double().numpy()
    )
    hz = np.arange(length // 2 + 1) * sample_rate_hz / length
    used = (hz > 80) & (hz < 2000)
    pitch = 69 + 12 * np.log2(hz[used] / 440)
    near = np.exp(-0.5 * ((pitch - np.round(pitch)) / 0.25) ** 2)
    folded = np.zeros((12, int(used.sum())))
    folded[np.round(pitch).astype(int) % 12, np.arange(int(used.sum()))] = near
    found = (folded @ spectrum[used] ** 1.5).T
    sums = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, sums, out=np.zeros_like(found), where=sums > 1e-9))
