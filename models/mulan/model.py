"""Two towers into one space of 128 dimensions (Huang et al. 2022, section 3), and its residual quantiser.

The audio tower is a ResNet (He et al. 2016) over log-mel windows of 10 s; longer audio is the mean of windows at
1 s stride. The text tower is a frozen sentence encoder and a learnt projection. Tokens are the residual codes of a
vector of either tower (MusicLM, section 3.1).

Shapes: B batch, T samples, F frames, M bands, C channels, E = 128, S sentence width, K codebooks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.mel import LogMel, MelConfig
from models.mulan.sentences import WIDTH
from models.soundstream.quantiser import ResidualVQ


@dataclass(frozen=True, slots=True, kw_only=True)
class MulanConfig:
    """Size of the towers. `channels` has one entry a stage; each stage halves both axes."""

    mel: MelConfig
    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    width: int = 128
    text_hidden: int = 512
    window_s: float = 10.0
    stride_s: float = 1.0
    codebooks: int = 12
    entries: int = 1024


def small() -> MulanConfig:
    """Return the size that ships."""
    return MulanConfig(
        mel=MelConfig(sample_rate_hz=16_000, fft_length=1024, hop_length=256, bands=64),
        channels=(32, 64, 128, 192), blocks=(1, 1, 1, 1), codebooks=8, entries=256,
    )  # fmt: skip


def paper() -> MulanConfig:
    """Return a ResNet-50's depth and MusicLM's 12 codebooks of 1024."""
    return MulanConfig(
        mel=MelConfig(sample_rate_hz=16_000, fft_length=1024, hop_length=160, bands=64),
        channels=(256, 512, 1024, 2048), blocks=(3, 4, 6, 3), text_hidden=768,
    )  # fmt: skip


class ResidualBlock(nn.Module):
    """Two convolutions, added to the input; the first may halve both axes."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(into, out, 3, stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(1, out)
        self.second = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(1, out)
        self.skip = nn.Conv2d(into, out, 1, stride, bias=False)

    def forward(self, x_BCFM: Tensor) -> Tensor:
        """Return the block's output."""
        y = F.relu(self.first_norm(self.first(x_BCFM)))
        return F.relu(self.skip(x_BCFM) + self.second_norm(self.second(y)))


class AudioTower(nn.Module):
    """Log-mel windows to vectors of length 1."""

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        self.mel = LogMel(config.mel)
        first = config.channels[0]
        self.stem = nn.Conv2d(1, first, 5, 2, padding=2, bias=False)
        blocks, before = list[nn.Module](), first
        for channels, count in zip(config.channels, config.blocks, strict=True):
            blocks += [
                ResidualBlock(before if i == 0 else channels, channels, 2 if i == 0 else 1) for i in range(count)
            ]
            before = channels
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Linear(2 * before, config.width)

    def forward(self, x_BT: Tensor) -> Tensor:
        """Return vector_BE for waveforms of any length."""
        return self.of_mel(self.mel(x_BT))

    def of_mel(self, mel_BFM: Tensor) -> Tensor:
        """Return vector_BE for log-mel frames."""
        h = self.blocks(F.relu(self.stem(mel_BFM[:, None].contiguous(memory_format=torch.channels_last))))
        pooled = torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1)
        return F.normalize(self.out(pooled).float(), dim=-1)


class TextTower(nn.Module):
    """Sentence vectors to the joint space."""

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, config.text_hidden), nn.Linear(config.text_hidden, config.width)
        self.straight = nn.Linear(WIDTH, config.width, bias=False)

    def forward(self, sentence_BS: Tensor) -> Tensor:
        """Return vector_BE."""
        return F.normalize(self.straight(sentence_BS) + self.down(F.gelu(self.up(sentence_BS))), dim=-1)


class Mulan(nn.Module):
    """Both towers, their temperature, and the quantiser that audio and text share."""

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        self.config = config
        self.audio, self.text = AudioTower(config), TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.quantiser = ResidualVQ(codebooks=config.codebooks, entries=config.entries, width=config.width)

    def similarity(self, audio_BE: Tensor, text_BE: Tensor) -> Tensor:
        """Return scores_BB of every audio with every text."""
        return self.log_scale.clamp(max=math.log(60.0)).exp() * audio_BE @ text_BE.T

    @torch.inference_mode()
    def embed_audio(self, waveform_T: Tensor) -> Tensor:
        """Return vector_E of audio of any length: the normalised mean over windows."""
        rate = self.config.mel.sample_rate_hz
        window, stride = round(self.config.window_s * rate), round(self.config.stride_s * rate)
        hop = self.config.mel.hop_length
        if len(waveform_T) <= window:
            padded = F.pad(waveform_T, (0, -len(waveform_T) % hop))
            return cast(Tensor, self.audio(padded[None])[0])
        windows = waveform_T.unfold(0, window - window % hop, stride)
        return F.normalize(torch.stack([self.audio(one[None])[0] for one in windows]).mean(dim=0), dim=-1)

    @torch.inference_mode()
    def embed_text(self, sentence_S: Tensor) -> Tensor:
        """Return vector_E of a sentence vector."""
        return cast(Tensor, self.text(sentence_S[None])[0])

    @torch.inference_mode()
    def tokens(self, vector_E: Tensor) -> Tensor:
        """Return tokens_K, int64, of a vector of either tower."""
        return self.quantiser.encode(vector_E[None, None])[0, 0]

    @torch.inference_mode()
    def vector(self, tokens_K: Tensor) -> Tensor:
        """Return vector_E that tokens stand for, of length 1."""
        return F.normalize(self.quantiser.decode(tokens_K[None, None])[0, 0], dim=-1)
