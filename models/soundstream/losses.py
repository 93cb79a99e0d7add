"""What a reconstruction is held against: mel and complex spectra at several resolutions.

Shapes: B batch, T samples, W frequency bins, M mel bands, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

FLOOR = 1e-4  # of mel magnitudes, before the logarithm


class Spectra(nn.Module):
    """STFTs of one length, a quarter apart, and their mel bands."""

    window: Tensor
    bands_WM: Tensor

    def __init__(self, sample_rate_hz: int, fft_length: int, bands: int) -> None:
        super().__init__()
        self.fft_length = fft_length
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)
        filters = melscale_fbanks(fft_length // 2 + 1, 0.0, sample_rate_hz / 2, bands, sample_rate_hz)
        self.register_buffer("bands_WM", filters, persistent=False)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Return spectrum_BWF, complex."""
        return torch.stft(x_BT, self.fft_length, self.fft_length // 4, window=self.window, return_complex=True)

    def log_mel(self, spectrum_BWF: Tensor) -> Tensor:
        """Return log10 of the mel magnitudes, (B, F, M)."""
        return (spectrum_BWF.abs().transpose(1, 2) @ self.bands_WM).clamp_min(FLOOR).log10()


@dataclass(frozen=True, slots=True)
class ReconstructionLosses:
    """Mean absolute difference of log10 mels, and of complex spectra beside the target's magnitude."""

    mel: Tensor
    spectrum: Tensor


class Reconstruction(nn.Module):
    """Both losses, averaged over the resolutions asked for."""

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__()
        sizes = {256: 40, 512: 64, 1024: 80, 2048: 120}
        self.scales = nn.ModuleList(Spectra(sample_rate_hz, n, bands) for n, bands in sizes.items())

    def forward(self, made_BT: Tensor, target_BT: Tensor, scales: Sequence[int]) -> ReconstructionLosses:
        """Compare two waveforms at the resolutions with these indices."""
        mel, spectrum = [], []
        for index in scales:
            scale = self.scales[index]
            assert isinstance(scale, Spectra)
            with torch.no_grad():
                target = scale(target_BT)
                target_mel = scale.log_mel(target)
            made = scale(made_BT)
            mel.append(F.l1_loss(scale.log_mel(made), target_mel))
            difference = torch.view_as_real(made - target).abs().mean()
            spectrum.append(difference / torch.view_as_real(target).abs().mean().clamp_min(1e-3))
        return ReconstructionLosses(torch.stack(mel).mean(), torch.stack(spectrum).mean())
