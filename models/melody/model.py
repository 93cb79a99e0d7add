"""Hears the melody in a recording: for each frame its highest voice's pitch, or that there is none.

A small convolutional net over a spectrogram of three bins a semitone, on which a harmonic of every pitch lies a fixed
number of bins higher (harmonic stacking: Bittner et al., "Deep salience representations", 2017).

Shapes: B batch, T samples, F frames, L bins, H harmonics, C channels, P pitches and a rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.melody.contour import FIRST, FRAME_RATE_HZ, HIGHEST, LOWEST, REST

SAMPLE_RATE_HZ = 16_000
HOP_LENGTH = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)
FFT_LENGTH = 2048
_BINS_A_SEMITONE = 3
_HARMONICS = (0.5, 1, 2, 3, 4, 5, 6)
_FLOOR = 1e-4
PITCHES = HIGHEST - LOWEST + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MelodyNetConfig:
    """Widths of the layers."""

    channels: int = 16
    context: int = 96


def small() -> MelodyNetConfig:
    """Return the net that ships: 0.1 million parameters."""
    return MelodyNetConfig()


class MelodyNet(nn.Module):
    """Waveforms to classes of a melody."""

    window: Tensor
    filters_HLW: Tensor

    def __init__(self, config: MelodyNetConfig) -> None:
        super().__init__()
        self.config, width, context = config, config.channels, config.context
        self.register_buffer("window", torch.hann_window(FFT_LENGTH), persistent=False)
        self.register_buffer("filters_HLW", _filters(), persistent=False)
        self.local = nn.Sequential(
            nn.Conv2d(len(_HARMONICS), width, (3, 7), padding=(1, 3)), nn.GELU(),
            nn.Conv2d(width, width, (3, 5), padding=(1, 2)), nn.GELU(),
            nn.Conv2d(width, width, (3, 3), padding=(1, 1)), nn.GELU(),
        )  # fmt: skip
        self.semitones = nn.Conv2d(width, 4, (1, _BINS_A_SEMITONE), stride=(1, _BINS_A_SEMITONE))
        self.lines = nn.Sequential(
            nn.Conv1d(4 * PITCHES, context, 5, padding=2), nn.GELU(),
            nn.Conv1d(context, context, 5, padding=4, dilation=2), nn.GELU(),
        )  # fmt: skip
        self.own = nn.Conv2d(4, 1, 1)
        self.head = nn.Conv1d(context, PITCHES + 1, 1)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Return logits_BFP: a rest, then the pitches from the lowest; T is a multiple of HOP_LENGTH."""
        stacked_BHFL = self.spectrum(x_BT)
        each_BCFP = F.gelu(self.semitones(self.local(stacked_BHFL)))
        lines_BPF = self.head(self.lines(each_BCFP.transpose(2, 3).flatten(1, 2)))
        own_BPF = F.pad(self.own(each_BCFP)[:, 0].transpose(1, 2), (0, 0, 1, 0))
        return cast(Tensor, (lines_BPF + own_BPF).transpose(1, 2))

    @torch.no_grad()
    def spectrum(self, x_BT: Tensor) -> Tensor:
        """Return log magnitudes_BHFL, the H-th moved down by its harmonic, each clip's loudest at the same level."""
        margin = FFT_LENGTH - HOP_LENGTH
        padded = F.pad(x_BT.float(), (margin // 2, margin - margin // 2))
        bins = torch.stft(
            padded, FFT_LENGTH, HOP_LENGTH, window=self.window, center=False, return_complex=True
        ).abs()  # (B, W, F)
        stacked = torch.einsum("bwf,hlw->bhfl", bins, self.filters_HLW)
        loudest = stacked.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
        return torch.log10(stacked / loudest + _FLOOR) / 2 + 1

    @torch.no_grad()
    def classes(self, x_BT: Tensor) -> Tensor:
        """Return classes_BF as models.melody.contour counts them."""
        heard_BF = self(x_BT).argmax(dim=-1)
        return torch.where(heard_BF == 0, REST, heard_BF - 1 + FIRST)


def _filters() -> Tensor:
    """Return triangular filters_HLW around every bin times every harmonic, at least as wide as a bin of the FFT."""
    frequencies_W = torch.arange(FFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / FFT_LENGTH
    bins_L = torch.arange(PITCHES * _BINS_A_SEMITONE)
    pitches_L = LOWEST + (bins_L - 1) / _BINS_A_SEMITONE
    base_L = 440.0 * 2 ** ((pitches_L - 69) / 12)
    rows = []
    for harmonic in _HARMONICS:
        centre_L = base_L * harmonic
        half_L = (centre_L * math.log(2) / 12 / _BINS_A_SEMITONE).clamp(min=SAMPLE_RATE_HZ / FFT_LENGTH)
        rows.append((1 - (frequencies_W - centre_L[:, None]).abs() / half_L[:, None]).clamp(min=0))
    return torch.stack(rows)
