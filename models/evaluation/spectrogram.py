"""A picture of a clip: level in dB over time and mel frequency."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torchaudio
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from models.evaluation.clip import Clip

MEL_BANDS, FFT = 96, 1024
LOWEST_DB = -80.0
TICKS_HZ = (250, 1000, 4000, 16000)


def write_spectrogram(clip: Clip, path: Path) -> None:
    """Write a PNG of 640 x 180 pixels, whatever the clip's length."""
    mel = torchaudio.transforms.MelSpectrogram(
        clip.sample_rate_hz, n_fft=FFT, hop_length=FFT // 4, n_mels=MEL_BANDS, power=1.0
    )
    levels = 20 * np.log10(mel(torch.from_numpy(np.ascontiguousarray(clip.waveform))).numpy() + 1e-6)
    levels -= levels.max()
    picture = Picture(figsize=(6.4, 1.8), dpi=100, layout="constrained")
    FigureCanvasAgg(picture)
    with mpl.rc_context({"font.size": 7}):
        axes = picture.add_subplot()
        axes.imshow(
            levels, origin="lower", aspect="auto", vmin=LOWEST_DB, vmax=0, extent=(0, clip.duration_s, 0, MEL_BANDS)
        )
        shown = [hz for hz in TICKS_HZ if hz < clip.sample_rate_hz / 2]
        top = _mel(clip.sample_rate_hz / 2)
        axes.set_yticks([MEL_BANDS * _mel(hz) / top for hz in shown], [f"{hz} Hz" for hz in shown])
        axes.set_xlabel("s", loc="right")
        picture.savefig(path, format="png")


def _mel(hertz: float) -> float:
    return float(np.log1p(hertz / 700.0))
