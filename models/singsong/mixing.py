"""A voice and its accompaniment as a mix and two stems, aligned to the sample: mix = vocals + accompaniment.

The stems have the rate and channels of the vocals, so that nothing is lost of them; the accompaniment is brought to
that rate. A rate below the accompaniment's own is raised to it.

Shapes: T samples, A channels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray

from models.mastering import LOUDNESS_LUFS, PEAK_DBFS, loudness_lufs

_FADE_OUT_S = 0.25
_SILENT_LUFS = -60.0
_MOST_CHANNELS = 2  # of the result: more are mixed down to one
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixed:
    """Three FLAC files of one length and rate, and what was measured on the mix."""

    mix: bytes
    vocals: bytes
    accompaniment: bytes
    sample_rate_hz: int
    loudness_lufs: float
    peak_dbfs: float
    vocals_gain_db: float
    accompaniment_gain_db: float


def mix(vocals_TA: Samples, vocals_rate_hz: int, played_T: Samples, played_rate_hz: int, balance_db: float) -> Mixed:
    """Mix, with the accompaniment `balance_db` louder than the vocals, at the loudness of all that is delivered.

    The result is as long as the accompaniment: longer vocals are cut, shorter ones are followed by silence.

    Raises:
        ValueError: either cannot be heard.
    """
    rate = max(vocals_rate_hz, played_rate_hz)
    vocals_TA = _at_rate(vocals_TA, vocals_rate_hz, rate)
    if vocals_TA.shape[1] > _MOST_CHANNELS:
        vocals_TA = vocals_TA.mean(axis=1, keepdims=True)
    played_TA = _at_rate(played_T[:, None], played_rate_hz, rate)
    length = round(len(played_T) / played_rate_hz * rate)
    played_TA = np.repeat(_fitted(played_TA, length), vocals_TA.shape[1], axis=1)
    vocals_TA = _fitted(vocals_TA, length)
    fading = min(round(_FADE_OUT_S * rate), length)
    played_TA[length - fading :] *= np.linspace(1, 0, fading, dtype=np.float32)[:, None]
    sung_lufs, played_lufs = loudness_lufs(vocals_TA, rate), loudness_lufs(played_TA, rate)
    if played_lufs < _SILENT_LUFS:
        raise ValueError("the accompaniment is silent")
    if sung_lufs < _SILENT_LUFS:
        raise ValueError("the vocals are silent for as long as the accompaniment is asked to be")
    gain_db = sung_lufs + balance_db - played_lufs
    both_TA = vocals_TA + played_TA * _gain(gain_db)
    loudness, peak = loudness_lufs(both_TA, rate), float(20 * np.log10(max(float(np.abs(both_TA).max()), 1e-9)))
    stem_peak = max(float(np.abs(vocals_TA).max()), float(np.abs(played_TA).max() * _gain(gain_db)))
    loudest = max(peak, float(20 * np.log10(max(stem_peak, 1e-9))))
    common_db = np.floor(100 * min(LOUDNESS_LUFS - loudness, PEAK_DBFS - loudest)) / 100  # the same on any threads
    vocals_TA = vocals_TA * _gain(common_db)
    played_TA = played_TA * _gain(np.round(gain_db, 2) + common_db)
    return Mixed(
        mix=_flac(vocals_TA + played_TA, rate),
        vocals=_flac(vocals_TA, rate),
        accompaniment=_flac(played_TA, rate),
        sample_rate_hz=rate,
        loudness_lufs=round(loudness + float(common_db), 2),
        peak_dbfs=round(peak + float(common_db), 2),
        vocals_gain_db=round(float(common_db), 2),
        accompaniment_gain_db=round(float(np.round(gain_db, 2) + common_db), 2),
    )


def _at_rate(samples_TA: Samples, rate_hz: int, wanted_hz: int) -> Samples:
    if rate_hz == wanted_hz:
        return samples_TA
    channels_AT = torch.from_numpy(np.ascontiguousarray(samples_TA.T))
    return np.ascontiguousarray(torchaudio.functional.resample(channels_AT, rate_hz, wanted_hz).numpy().T)


def _fitted(samples_TA: Samples, length: int) -> Samples:
    return np.pad(samples_TA[:length], ((0, max(length - len(samples_TA), 0)), (0, 0)))


def _gain(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))


def _flac(samples_TA: Samples, rate_hz: int) -> bytes:
    file = io.BytesIO()
    samples = samples_TA[:, 0] if samples_TA.shape[1] == 1 else samples_TA
    soundfile.write(file, samples, rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()
