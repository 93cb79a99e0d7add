"""Encoder and decoder over spectra: STFT, ConvNeXt blocks (Liu et al. 2022), iSTFT head (Vocos, Siuzdak 2023).

All layers work at the codec's frame rate, which on a CPU learns some three times faster than the transposed
convolutions of the paper (models/soundstream/seanet.py) at equal size.

Shapes: B batch, T samples, F codec frames, D width, W frequency bins, N = FFT length.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7


class ConvNeXtBlock(nn.Module):
    """A convolution over time within each channel, then a perceptron over the channels of each frame."""

    def __init__(self, width: int, expansion: int = 3) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(KERNEL, width) / math.sqrt(KERNEL))
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x_BFD: Tensor) -> Tensor:
        """Return x plus what the block adds."""
        added_BFD: Tensor = self.scale * self.down(F.gelu(self.up(self.norm(along_time(x_BFD, self.taps)))))
        return x_BFD + added_BFD


def along_time(x_BFD: Tensor, taps_KD: Tensor) -> Tensor:
    """Convolve each channel over time with its own taps; frames beyond the ends are zero."""
    reach = (len(taps_KD) - 1) // 2
    padded = F.pad(x_BFD, (0, 0, reach, reach))
    frames = x_BFD.shape[1]
    out = padded[:, :frames] * taps_KD[0]
    for k in range(1, len(taps_KD)):
        out = torch.addcmul(out, padded[:, k : k + frames], taps_KD[k])
    return out


class SpectralEncoder(nn.Module):
    """Waveform to latents: one frame for each hop."""

    window: Tensor

    def __init__(self, *, hop_length: int, fft_length: int, width: int, blocks: int, latent: int) -> None:
        super().__init__()
        self.hop_length, self.fft_length = hop_length, fft_length
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)
        self.into = nn.Linear(3 * (fft_length // 2 + 1), width)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(blocks)))
        self.out = nn.Linear(width, latent)

    @property
    def reach_frames(self) -> int:
        """How many frames on either side a latent depends on, those the STFT overlaps included."""
        return len(self.blocks) * (KERNEL // 2) + -(-self.fft_length // (2 * self.hop_length))

    def forward(self, x_BT: Tensor) -> Tensor:
        """Return z_BFD for a waveform whose length is a multiple of the hop."""
        margin = (self.fft_length - self.hop_length) // 2
        spectrum_BWF = torch.stft(
            F.pad(x_BT, (margin, margin)), self.fft_length, self.hop_length,
            window=self.window, center=False, return_complex=True,
        )  # fmt: skip
        magnitude = spectrum_BWF.abs().clamp_min(1e-4)
        root = 0.3 / magnitude.sqrt()
        features = torch.cat([magnitude.log(), spectrum_BWF.real * root, spectrum_BWF.imag * root], dim=1)
        z_BFD: Tensor = self.out(self.blocks(self.into(features.transpose(1, 2))))
        return z_BFD


class SpectralDecoder(nn.Module):
    """Latents to waveform: magnitudes and phases, overlapped and added."""

    window: Tensor

    def __init__(self, *, hop_length: int, fft_length: int, width: int, blocks: int, latent: int) -> None:
        super().__init__()
        self.hop_length, self.fft_length = hop_length, fft_length
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)
        self.into = nn.Linear(latent, width)
        self.taps = nn.Parameter(torch.randn(KERNEL, width) / math.sqrt(KERNEL))
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * (fft_length // 2 + 1))

    @property
    def reach_frames(self) -> int:
        """How many frames on either side a sample depends on."""
        return (len(self.blocks) + 1) * (KERNEL // 2) + -(-self.fft_length // (2 * self.hop_length))

    def forward(self, z_BFD: Tensor) -> Tensor:
        """Return x_BT, T = frames x hop."""
        x_BFD = self.blocks(along_time(self.into(z_BFD), self.taps))
        log_magnitude, phase = self.out(self.norm(x_BFD)).float().transpose(1, 2).chunk(2, dim=1)
        magnitude = log_magnitude.clamp(max=6.0).exp()
        return self._overlap_add(torch.complex(magnitude * phase.cos(), magnitude * phase.sin()))

    def _overlap_add(self, spectrum_BWF: Tensor) -> Tensor:
        frames = spectrum_BWF.shape[-1]
        pieces_BNF = torch.fft.irfft(spectrum_BWF, self.fft_length, dim=1) * self.window[:, None]
        weights_1NF = self.window.square()[None, :, None].expand(1, -1, frames)
        length = (frames - 1) * self.hop_length + self.fft_length
        margin = (self.fft_length - self.hop_length) // 2
        sums, weights = (
            F.fold(x, (1, length), (1, self.fft_length), stride=(1, self.hop_length))[
                :, 0, 0, margin : length - margin
            ]
            for x in (pieces_BNF, weights_1NF)
        )
        return sums / weights.clamp_min(1e-8)
