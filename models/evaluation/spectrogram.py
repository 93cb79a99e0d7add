"""Pictures of clips: level in dB over time and mel frequency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torchaudio
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from models.evaluation.clip import Clip

MEL_BANDS, FFT = 96, 1024
LOWEST_DB = -80.0
TICKS_HZ = (250, 1000, 4000, 16000)


def write_spectrogram(clip: Clip, path: Path) -> None:
    """Write a PNG of 640 x 180 pixels, whatever the clip's length."""
    picture = Picture(figsize=(6.4, 1.8), dpi=100, layout="constrained")
    FigureCanvasAgg(picture)
    with mpl.rc_context({"font.size": 7}):
        _draw(picture.add_subplot(), clip)
        picture.savefig(path, format="png")


def write_spectrograms(clips: Sequence[Clip], path: Path) -> None:
    """Write a JPEG of 640 pixels' width (a PNG would be three times as large) with clips, each under its prompt."""
    picture = Picture(figsize=(8.0, 1.6 * len(clips)), dpi=80, layout="constrained")
    FigureCanvasAgg(picture)
    with mpl.rc_context({"font.size": 8}):
        for row, clip in enumerate(clips, start=1):
            axes = picture.add_subplot(len(clips), 1, row)
            _draw(axes, clip)
            axes.set_title(clip.prompt, loc="left")
        picture.savefig(path, format="jpeg", pil_kwargs={"quality": 85})


def _draw(axes: Axes, clip: Clip) -> None:
    mel = torchaudio.transforms.MelSpectrogram(
        clip.sample_rate_hz, n_fft=FFT, hop_length=FFT // 4, n_mels=MEL_BANDS, power=1.0
    )
    levels = 20 * np.log10(mel(torch.from_numpy(np.ascontiguousarray(clip.waveform))).numpy() + 1e-6)
    levels -= levels.max()
    axes.imshow(
        levels, origin="lower", aspect="auto", vmin=LOWEST_DB, vmax=0, extent=(0, clip.duration_s, 0, MEL_BANDS)
    )
    shown = [hz for hz in TICKS_HZ if hz < clip.sample_rate_hz / 2]
    top = _mel(clip.sample_rate_hz / 2)
    axes.set_yticks([MEL_BANDS * _mel(hz) / top for hz in shown], [f"{hz} Hz" for hz in shown])
    axes.set_xlabel("s", loc="right")


def _mel(hertz: float) -> float:
    return float(np.log1p(hertz / 700.0))
