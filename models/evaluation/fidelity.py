"""How near a waveform comes to the one it should be: mel distance, SI-SDR, ViSQOL.

None of them may stand alone: a 3.5 kHz low-pass wins on SI-SDR, and ViSQOL hardly sees the bit rate.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from visqol import VisqolApi

from models.judges.sound import Waveform
from models.resampling import at_rate

MEL_BANDS, MEL_FFT, MEL_HOP, MEL_FLOOR = 80, 1024, 256, 1e-4
VISQOL_RATE_HZ = 48_000
SMALLEST_ENERGY = 1e-9


def mel_distance(reference: Waveform, measured: Waveform, sample_rate_hz: int) -> float:
    """Return the mean difference of log10 mel magnitudes: 80 bands, 1024 FFT, hop 256, floor 1e-4."""
    return float(np.abs(_log_mel(reference, sample_rate_hz) - _log_mel(measured, sample_rate_hz)).mean())


def si_sdr_db(reference: Waveform, measured: Waveform) -> float:
    """Return the scale-invariant ratio of signal to distortion in dB (Le Roux et al. 2019)."""
    x, y = reference.astype(np.float64), measured.astype(np.float64)
    target = float(x @ y) / max(float(x @ x), SMALLEST_ENERGY) * x
    error = y - target
    signal, distortion = (max(float(part @ part), SMALLEST_ENERGY) for part in (target, error))
    return float(10 * np.log10(signal / distortion))


def visqol(reference: Waveform, measured: Waveform, sample_rate_hz: int) -> float:
    """Return ViSQOL's mean opinion score in its audio mode, 1 to about 4.73."""
    x, y = (at_rate(w, sample_rate_hz, VISQOL_RATE_HZ).astype(np.float64) for w in (reference, measured))
    return float(_visqol().measure_from_arrays(x, y, VISQOL_RATE_HZ).moslqo)


def _log_mel(waveform: Waveform, sample_rate_hz: int) -> NDArray[np.float32]:
    mel = _mel(sample_rate_hz)(torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)))
    found: NDArray[np.float32] = mel.clamp_min(MEL_FLOOR).log10().numpy()
    return found


@functools.cache
def _mel(sample_rate_hz: int) -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        sample_rate_hz, n_fft=MEL_FFT, hop_length=MEL_HOP, n_mels=MEL_BANDS, power=1.0
    )


@functools.cache
def _visqol() -> VisqolApi:
    api = VisqolApi()
    api.create(mode="audio")
    return api
