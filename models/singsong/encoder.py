"""An encoder over the tokens of a voice: conformer blocks that look both ways.

Shapes: B batch, G frames, A tokens of a frame, E width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.transformer import TrunkConfig, rotary_table
from models.w2v_bert.conformer import ConformerBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Size of what hears the vocals: `codebooks` of `entries`, at `frame_rate_hz`."""

    codebooks: int
    entries: int
    frame_rate_hz: float
    width: int = 128
    heads: int = 4
    layers: int = 3


class VocalEncoder(nn.Module):
    """Tokens to frames."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.codes = nn.Embedding(config.codebooks * config.entries, config.width)
        nn.init.normal_(self.codes.weight, std=0.3)
        self.blocks = nn.ModuleList(ConformerBlock(config.width, config.heads, 0.0) for _ in range(config.layers))
        self._rotary = TrunkConfig(layers=1, width=config.width, heads=config.heads, feed_forward=1)

    def forward(self, vocals_BGA: Tensor, added_BGE: Tensor | None = None) -> Tensor:
        """Return frames_BGE; `added_BGE` is what else is known of each frame."""
        offsets = torch.arange(self.config.codebooks, device=vocals_BGA.device) * self.config.entries
        x_BGE: Tensor = self.codes(vocals_BGA + offsets).sum(dim=-2)
        if added_BGE is not None:
            x_BGE = x_BGE + added_BGE
        table = rotary_table(self._rotary, torch.arange(x_BGE.shape[1], device=x_BGE.device)).to(x_BGE.dtype)
        for block in self.blocks:
            x_BGE = block(x_BGE, table)
        return x_BGE
