"""Decoder-only transformer (Vaswani et al. 2017), pre-norm, with rotary positions (Su et al. 2021).

Shapes: B batch, T tokens, D width, H heads, E head width, V vocabulary, S cached tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig:
    """Size of a decoder."""

    vocabulary: int
    layers: int
    width: int
    heads: int
    feed_forward: int
    dropout: float = 0.0
    rotary_base: float = 10_000.0

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads


def rotary_table(config: TransformerConfig, positions: Tensor) -> Tensor:
    """Return cosines and sines for positions_..., as float32 of shape (..., 2, E/2)."""
    half = config.head_width // 2
    exponents = torch.arange(half, dtype=torch.float64, device=positions.device) / half
    angles = positions.double()[..., None] * torch.exp(-math.log(config.rotary_base) * exponents)
    return torch.stack((angles.cos(), angles.sin()), dim=-2).float()


def rotate(x_BTHE: Tensor, table_BT2E: Tensor) -> Tensor:
    """Turn each pair (first half, second half) of a head by the angle of its position."""
    first, second = x_BTHE.chunk(2, dim=-1)
    cos, sin = (t.to(x_BTHE.dtype) for t in table_BT2E[..., None, :, :].unbind(dim=-2))
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Block(nn.Module):
    """Self-attention and feed-forward, each behind a norm and added to the stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, config.width, bias=False)

    def forward(self, x_BTD: Tensor, table_BT2E: Tensor) -> Tensor:
        """Attend causally over the whole input."""
        q, k, v = self.project(x_BTD, table_BT2E)
        mixed_BHTE = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.absorb(x_BTD, mixed_BHTE.transpose(1, 2).flatten(2))

    def project(self, x_BTD: Tensor, table_BT2E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, each (B, T, H, E)."""
        q, k, v = self.qkv(self.attention_norm(x_BTD)).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        return rotate(q, table_BT2E), rotate(k, table_BT2E), v

    def absorb(self, x_BTD: Tensor, mixed_BTD: Tensor) -> Tensor:
        """Add what attention mixed, then the feed-forward."""
        x_BTD = x_BTD + self._drop(self.attention_out(mixed_BTD))
        return x_BTD + self._drop(self.down(F.gelu(self.up(self.feed_forward_norm(x_BTD)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Transformer(nn.Module):
    """Token embedding, blocks, norm, and logits through the same embedding."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """Return logits_BTV of every next token; positions are int64, any non-decreasing ones."""
        x_BTD = self.embedding(tokens_BT)
        table = rotary_table(self.config, positions_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, table)
        return self.logits(x_BTD)

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the scores of every token of the vocabulary for each position of the stream."""
        return F.linear(self.norm(x_BTD), self.embedding.weight)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the weights: normal, scaled down by depth where they write to the stream (GPT-2)."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim < 2:
                    continue
                scale = 0.02
                if name.endswith(("attention_out.weight", "down.weight")):
                    scale /= math.sqrt(2 * self.config.layers)
                parameter.normal_(0.0, scale, generator=generator)

    def count_parameters(self) -> int:
        """Return the number of weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def block(self, index: int) -> Block:
        """Return one block, typed."""
        return cast(Block, self.blocks[index])
