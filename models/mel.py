"""Log-mel spectrograms: what the semantic and the joint models hear.

Shapes: B batch, T samples, F frames, M bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

_FLOOR = 1e-5
_MEAN, _SPREAD = -5.0, 3.0  # roughly those of music at ordinary levels


@dataclass(frozen=True, slots=True, kw_only=True)
class MelConfig:
    """A spectrogram: rate, FFT and hop in samples, bands."""

    sample_rate_hz: int
    fft_length: int
    hop_length: int
    bands: int


class LogMel(nn.Module):
    """Waveforms to log-mel frames of about zero mean and unit spread."""

    window: Tensor
    filters_WM: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.fft_length), persistent=False)
        with torch.device("cpu"):  # torchaudio looks at the values, which a model on the meta device has not
            filters = melscale_fbanks(
                config.fft_length // 2 + 1, 30.0, config.sample_rate_hz / 2, config.bands, config.sample_rate_hz
            )
        self.register_buffer("filters_WM", filters.to(self.window.device), persistent=False)

    @torch.no_grad()
    def forward(self, x_BT: Tensor) -> Tensor:
        """Return mel_BFM, one frame a hop; T is a multiple of the hop."""
        margin = self.config.fft_length - self.config.hop_length
        padded = F.pad(x_BT, (margin // 2, margin - margin // 2))
        spectrum = torch.stft(
            padded,
            self.config.fft_length,
            self.config.hop_length,
            window=self.window,
            center=False,
            return_complex=True,
        )
        mel_BFM = (spectrum.abs().transpose(1, 2) @ self.filters_WM).clamp_min(_FLOOR).log()
        return (mel_BFM - _MEAN) / _SPREAD
