"""A separator that takes a voice out of a mix: a mask over the spectrogram, in the manner of Open-Unmix.

Stöter et al. 2019: scaled magnitudes, a narrow layer, bidirectional LSTMs with a way around them, and layers that
widen to a mask between 0 and 1; the phase stays the mix's. SingSong (section 3) makes its training pairs with such a
program, and what it leaves of the accompaniment in the voice is what its two remedies are for.

Shapes: B batch, T samples, F frames, W bins, H width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PART_FRAMES, _MARGIN_FRAMES = 2048, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparatorConfig:
    """Size of a separator."""

    fft_length: int = 1024
    hop_length: int = 256
    width: int = 192
    layers: int = 2


class Separator(nn.Module):
    """Mixes to voices."""

    window: Tensor

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.config, bins, width = config, config.fft_length // 2 + 1, config.width
        self.shift_W, self.scale_W = nn.Parameter(torch.zeros(bins)), nn.Parameter(torch.ones(bins))
        self.into, self.into_norm = nn.Linear(bins, width, bias=False), nn.LayerNorm(width)
        self.over_time = nn.LSTM(width, width // 2, config.layers, batch_first=True, bidirectional=True)
        self.middle, self.middle_norm = nn.Linear(2 * width, width, bias=False), nn.LayerNorm(width)
        self.out = nn.Linear(width, bins)
        self.register_buffer("window", torch.hann_window(config.fft_length), persistent=False)

    def spectrum(self, x_BT: Tensor) -> Tensor:
        """Return the complex spectrum_BFW."""
        config = self.config
        found = torch.stft(x_BT, config.fft_length, config.hop_length, window=self.window, return_complex=True)
        return found.transpose(1, 2)

    def mask(self, spectrum_BFW: Tensor) -> Tensor:
        """Return how much of every bin is the voice, mask_BFW in [0, 1]."""
        heard = spectrum_BFW.abs().clamp_min(1e-5).log()
        x_BFH = torch.tanh(self.into_norm(self.into((heard + self.shift_W + 4.0) * self.scale_W / 2.5)))
        over_BFH, _ = self.over_time(x_BFH)
        middle_BFH = F.relu(self.middle_norm(self.middle(torch.cat([x_BFH, over_BFH], dim=-1))))
        return torch.sigmoid(self.out(middle_BFH))

    def voice(self, mix_BT: Tensor) -> Tensor:
        """Return the voice in a mix, as long as the mix; long ones are heard in parts that overlap."""
        length, hop = mix_BT.shape[-1], self.config.hop_length
        part, margin = _PART_FRAMES * hop, _MARGIN_FRAMES * hop
        if length <= part + 2 * margin:
            return self._voice(mix_BT)
        voices = []
        for begin in range(0, length, part):
            left = min(margin, begin)
            voice_BT = self._voice(mix_BT[:, begin - left : begin + part + margin])
            voices.append(voice_BT[:, left : left + part])
        return torch.cat(voices, dim=-1)[:, :length]

    def _voice(self, mix_BT: Tensor) -> Tensor:
        spectrum_BFW = self.spectrum(mix_BT)
        voice_BFW = spectrum_BFW * self.mask(spectrum_BFW)
        config = self.config
        return torch.istft(
            voice_BFW.transpose(1, 2), config.fft_length, config.hop_length, window=self.window,
            length=mix_BT.shape[-1],
        )  # fmt: skip
