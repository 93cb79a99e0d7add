"""Discriminators over complex STFTs (SoundStream, section III-E), and the losses of both sides.

A step may ask some of the resolutions only, which costs that much less.

Shapes: B batch, C channels, W frequency bins, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

FFT_LENGTHS = (256, 512, 1024)
_SLOPE = 0.2


class SpectrumDiscriminator(nn.Module):
    """Judges patches of one complex STFT."""

    window: Tensor

    def __init__(self, fft_length: int, channels: int = 16) -> None:
        super().__init__()
        self.fft_length = fft_length
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)
        c = channels
        sizes = ((2, c, 7, 1), (c, c, 5, 1), (c, 2 * c, 5, 2), (2 * c, 2 * c, 3, 1))
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(i, o, (k, 3), (2, stride), padding=(k // 2, 1))) for i, o, k, stride in sizes
        )
        self.out = weight_norm(nn.Conv2d(2 * c, 1, 3, padding=1))

    def forward(self, x_BT: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the score of every patch, and the features of every layer."""
        spectrum = torch.stft(x_BT, self.fft_length, self.fft_length // 4, window=self.window, return_complex=True)
        compressed = (spectrum.abs() + 1e-5) ** -0.7
        h = torch.stack([spectrum.real * compressed, spectrum.imag * compressed], dim=1)
        features = []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), _SLOPE)
            features.append(h)
        return self.out(h), features


@dataclass(frozen=True, slots=True)
class AdversarialLosses:
    """What the generator is told: hinge loss, and the relative distance of features to those of the target."""

    hinge: Tensor
    features: Tensor


class Discriminators(nn.Module):
    """One discriminator for each resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList(SpectrumDiscriminator(n) for n in FFT_LENGTHS)

    def of_generator(self, made_BT: Tensor, real_BT: Tensor, asked: Sequence[int]) -> AdversarialLosses:
        """Return the losses that train the codec; the discriminators' own gradients are to be thrown away."""
        hinge, distances = [], []
        for judge in self._judges(asked):
            with torch.no_grad():
                _, wanted = judge(real_BT)
            score, features = judge(made_BT)
            hinge.append(F.relu(1 - score).mean())
            distances += [
                (f - w).abs().mean() / w.abs().mean().clamp_min(1e-4) for f, w in zip(features, wanted, strict=True)
            ]
        return AdversarialLosses(torch.stack(hinge).mean(), torch.stack(distances).mean())

    def of_themselves(self, made_BT: Tensor, real_BT: Tensor, asked: Sequence[int]) -> Tensor:
        """Return the hinge loss that trains the discriminators."""
        losses = [
            F.relu(1 - judge(real_BT)[0]).mean() + F.relu(1 + judge(made_BT.detach())[0]).mean()
            for judge in self._judges(asked)
        ]
        return torch.stack(losses).mean()

    def _judges(self, asked: Sequence[int]) -> list[nn.Module]:
        return [self.each[index] for index in asked]
