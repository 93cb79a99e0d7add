"""What is estimated of a singing voice: its key from the notes that are heard, its tempo from where they begin.

Shapes: T samples, G frames, F frames of the onset curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.score.key import find_key, pitch_class_weights
from models.singsong.hearing import LOWEST_NOTE

_FFT, _HOP = 1024, 160
_LIKELY_BPM, _SPREAD_OCTAVES = 100.0, 0.9
_SLOWEST_BPM, _FASTEST_BPM = 45.0, 190.0
_SMOOTH_S = 1.0
_STEADY = 1e-6  # what changes less does not change
_SPREAD_IN_TUNE, _SPREAD_IN_TIME = 0.027, 0.083
_REALLY_IN_TUNE = 0.074  # mean of real accompaniments
Frames = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimates:
    """Tempo and key of a voice, and how sure each is: a periodicity (0 to 1), a lead of the best key over the second.

    A voice alone tells either only roughly: a tempo may well be half or double of what is felt.
    """

    tempo_bpm: float
    periodicity: float
    key: str | None
    key_lead: float


def estimate(mono_T: NDArray[np.float32], sample_rate_hz: int, notes_G: NDArray[np.int64]) -> Estimates:
    """Estimate from a waveform and the note tokens that were heard in it; no key if no note was."""
    bpm, periodicity = tempo(onset_curve(mono_T, sample_rate_hz), sample_rate_hz / _HOP)
    heard = notes_G[notes_G > 0] + LOWEST_NOTE - 1
    key, lead = find_key(pitch_class_weights((int(pitch), 1) for pitch in heard))
    return Estimates(round(bpm, 1), round(periodicity, 3), key.name if len(heard) else None, round(lead, 4))


def onset_curve(mono_T: NDArray[np.float32], sample_rate_hz: int) -> Frames:
    """Return how much the spectrum rises from frame to frame, at `sample_rate_hz` / 160 frames a second."""
    x = torch.from_numpy(np.ascontiguousarray(mono_T))
    spectrum = torch.stft(x, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True).abs()
    level = torch.log1p(100 * spectrum / spectrum.max().clamp_min(1e-9))
    rise = torch.relu(level[:, 2:] - level[:, :-2]).sum(dim=0).double().numpy()
    width = max(round(_SMOOTH_S * sample_rate_hz / _HOP), 1)
    around = np.convolve(rise, np.ones(width) / width, mode="same")
    return np.asarray(np.maximum(rise - around, 0.0))


def onset_strength(mono_T: NDArray[np.float32], sample_rate_hz: int, frames: int) -> Frames:
    """Return how much begins in each of so many frames, 0 to 1: 1 is as much as in the strongest fiftieth of them."""
    onsets_F = onset_curve(mono_T, sample_rate_hz)
    at = np.linspace(0, len(onsets_F), frames + 1).astype(int)
    peaks_G = np.maximum.reduceat(onsets_F, np.minimum(at[:-1], len(onsets_F) - 1))
    return np.asarray(np.clip(peaks_G / max(float(np.quantile(peaks_G, 0.98)), 1e-9), 0, 1))


def tempo(onsets_F: Frames, frame_rate_hz: float) -> tuple[float, float]:
    """Return the beats a minute whose period the onsets repeat in most, and how much they do."""
    centred = onsets_F - onsets_F.mean()
    power = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    repeated = np.fft.irfft(power)[: len(centred)]
    if repeated[0] <= 0:
        return _LIKELY_BPM, 0.0
    shortest = int(frame_rate_hz * 60 / _FASTEST_BPM)
    longest = min(int(frame_rate_hz * 60 / _SLOWEST_BPM), len(centred) - 1)
    if longest <= shortest:
        return _LIKELY_BPM, 0.0
    lags = np.arange(shortest, longest + 1)
    strength = repeated[lags] / repeated[0] * len(centred) / (len(centred) - lags)
    octaves = np.log2(60 * frame_rate_hz / lags / _LIKELY_BPM)
    best = int(np.argmax(strength * np.exp(-0.5 * (octaves / _SPREAD_OCTAVES) ** 2)))
    return float(60 * frame_rate_hz / lags[best]), float(np.clip(strength[best], 0, 1))


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


def in_time(
    accompaniment_T: NDArray[np.float32], sample_rate_hz: int, expected_G: NDArray[np.floating], rate_hz: float
) -> float:
    """Return how well an accompaniment keeps time: the correlation of its onsets with those that are expected."""
    frames = min(len(expected_G), int(len(accompaniment_T) / sample_rate_hz * rate_hz))
    onsets_G = onset_strength(accompaniment_T[: round(frames / rate_hz * sample_rate_hz)], sample_rate_hz, frames)
    if min(float(onsets_G.std()), float(expected_G[:frames].std())) < _STEADY:
        return 0.0
    return float(np.corrcoef(onsets_G, expected_G[:frames])[0, 1])


def suits(in_tune: float, in_time: float) -> float:
    """Return one figure of both (`fits`, `in_time`), in spreads among real accompaniments of other songs.

    To be more in tune than real accompaniments are is no better: that would be to sing along.
    """
    return min(in_tune, _REALLY_IN_TUNE) / _SPREAD_IN_TUNE + in_time / _SPREAD_IN_TIME


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
