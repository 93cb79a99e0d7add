"""Encoder and decoder as in the paper: strided and transposed convolutions on the waveform (section III-A, III-B).

Shapes: B batch, C channels, T samples, F codec frames, D latent width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 3, 9)


class ResidualUnit(nn.Module):
    """A dilated convolution and one over channels, added to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.narrow = nn.Conv1d(channels, channels, 1)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Return x plus what the unit adds."""
        added: Tensor = self.narrow(F.elu(self.wide(F.elu(x_BCT))))
        return x_BCT + added


class WaveformEncoder(nn.Module):
    """Waveform to latents: channels double with every stride."""

    def __init__(self, *, strides: Sequence[int], channels: int, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(1, channels, 7, padding=3)]
        for stride in strides:
            layers += [ResidualUnit(channels, dilation) for dilation in DILATIONS]
            layers += [nn.ELU(), _Fitted(nn.Conv1d(channels, 2 * channels, 2 * stride, stride), stride)]
            channels *= 2
        self.layers = nn.Sequential(*layers, nn.ELU(), nn.Conv1d(channels, latent, 3, padding=1))
        self.hop_length = math.prod(strides)

    @property
    def reach_frames(self) -> int:
        """How many frames on either side a latent depends on: a safe bound, not the least."""
        return 3 + 3 * sum(DILATIONS)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Return z_BFD for a waveform whose length is a multiple of the hop."""
        z_BDF: Tensor = self.layers(x_BT[:, None])
        return z_BDF.transpose(1, 2)


class WaveformDecoder(nn.Module):
    """Latents to waveform: the encoder's mirror image."""

    def __init__(self, *, strides: Sequence[int], channels: int, latent: int) -> None:
        super().__init__()
        channels *= 2 ** len(strides)
        layers: list[nn.Module] = [nn.Conv1d(latent, channels, 7, padding=3)]
        for stride in reversed(strides):
            layers += [nn.ELU(), _Cropped(nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride), stride)]
            channels //= 2
            layers += [ResidualUnit(channels, dilation) for dilation in DILATIONS]
        self.layers = nn.Sequential(*layers, nn.ELU(), nn.Conv1d(channels, 1, 7, padding=3))

    @property
    def reach_frames(self) -> int:
        """How many frames on either side a sample depends on: a safe bound, not the least."""
        return 4 + 3 * sum(DILATIONS)

    def forward(self, z_BFD: Tensor) -> Tensor:
        """Return x_BT, T = frames x hop."""
        x_B1T: Tensor = self.layers(z_BFD.transpose(1, 2))
        return x_B1T[:, 0]


class _Fitted(nn.Module):
    """A strided convolution whose output has exactly one frame a stride."""

    def __init__(self, inner: nn.Conv1d, stride: int) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, stride // 2, stride - stride // 2

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(F.pad(x, (self.before, self.after)))
        return y


class _Cropped(nn.Module):
    """A transposed convolution whose output has exactly `stride` samples a frame."""

    def __init__(self, inner: nn.ConvTranspose1d, stride: int) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, stride // 2, stride - stride // 2

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y[..., self.before : y.shape[-1] - self.after]
