"""Decoder-only transformer (Vaswani et al. 2017), pre-norm, with rotary positions (Su et al. 2021).

A trunk turns embedded inputs into hidden states; a model puts its own embeddings before it and its own heads behind.
Training runs a trunk over whole sequences; `models.engine` runs the same blocks step by step.

Shapes: B batch, T tokens, D width, H heads, E head width, V vocabulary, M rows of a memory that is attended to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """Size of a trunk. Without `rotary_base`, positions are left to the embeddings.

    `gated` gives the feed-forward a second matrix that gates the first (Shazeer 2020), as in T5 1.1.
    """

    layers: int
    width: int
    heads: int
    feed_forward: int
    dropout: float = 0.0
    rotary_base: float | None = 10_000.0
    cross_attention: bool = False
    gated: bool = False

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig(TrunkConfig):
    """Size of a decoder of one sequence of tokens."""

    vocabulary: int


def rotary_table(config: TrunkConfig, positions: Tensor) -> Tensor:
    """Return cosines and sines for positions_..., as float32 of shape (..., 2, E/2).

    Without `rotary_base` they are of angle zero.
    """
    half = config.head_width // 2
    exponents = torch.arange(half, dtype=torch.float64, device=positions.device) / half
    rates = torch.exp(-math.log(config.rotary_base) * exponents) if config.rotary_base else 0 * exponents
    angles = positions.double()[..., None] * rates
    return torch.stack((angles.cos(), angles.sin()), dim=-2).float()


def rotate(x_BTHE: Tensor, table_BT2E: Tensor) -> Tensor:
    """Turn each pair (first half, second half) of a head by the angle of its position."""
    first, second = x_BTHE.chunk(2, dim=-1)
    cos, sin = (t.to(x_BTHE.dtype) for t in table_BT2E[..., None, :, :].unbind(dim=-2))
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class CrossAttention(nn.Module):
    """Attention to a memory, behind a norm."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key_value = nn.Linear(config.width, 2 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x_BTD: Tensor, memory_BMD: Tensor) -> Tensor:
        """Return what each position hears of the memory."""
        q_BTHE = self.query(self.norm(x_BTD)).unflatten(-1, (self.heads, -1))
        k_BMHE, v_BMHE = self.remember(memory_BMD)
        mixed_BHTE = F.scaled_dot_product_attention(
            q_BTHE.transpose(1, 2), k_BMHE.transpose(1, 2), v_BMHE.transpose(1, 2)
        )
        return cast(Tensor, self.out(mixed_BHTE.transpose(1, 2).flatten(2)))

    def remember(self, memory_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory's keys and values, each (B, M, H, E): they do not change from step to step."""
        key, value = self.key_value(memory_BMD).unflatten(-1, (2, self.heads, -1)).unbind(dim=-3)
        return key, value


class Block(nn.Module):
    """Self-attention, attention to a memory if there is one, and feed-forward, each behind a norm."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary = config.heads, config.dropout, config.rotary_base is not None
        self.attention_norm = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.cross = CrossAttention(config) if config.cross_attention else None
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feed_forward, bias=False)
        self.gate = nn.Linear(config.width, config.feed_forward, bias=False) if config.gated else None
        self.down = nn.Linear(config.feed_forward, config.width, bias=False)

    def forward(self, x_BTD: Tensor, table_BT2E: Tensor, memory_BMD: Tensor | None = None) -> Tensor:
        """Attend causally over the whole input, and to the memory."""
        q, k, v = self.project(x_BTD, table_BT2E)
        mixed_BHTE = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            dropout_p=self.dropout if self.training else 0.0,
        )
        x_BTD = x_BTD + self._drop(self.attention_out(mixed_BHTE.transpose(1, 2).flatten(2)))
        if self.cross is not None and memory_BMD is not None:
            x_BTD = x_BTD + self._drop(self.cross(x_BTD, memory_BMD))
        return self.feed(x_BTD)

    def project(self, x_BTD: Tensor, table_BT2E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, each (B, T, H, E)."""
        q, k, v = self.qkv(self.attention_norm(x_BTD)).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        if not self.rotary:
            return q, k, v
        return rotate(q, table_BT2E), rotate(k, table_BT2E), v

    def feed(self, x_BTD: Tensor) -> Tensor:
        """Add the feed-forward to the stream."""
        normed_BTD = self.feed_forward_norm(x_BTD)
        wide_BTF = F.gelu(self.up(normed_BTD))
        if self.gate is not None:
            wide_BTF = wide_BTF * self.gate(normed_BTD)
        return x_BTD + self._drop(self.down(wide_BTF))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Trunk(nn.Module):
    """Blocks and a norm: what is between a model's embeddings and its heads."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def hidden(self, x_BTD: Tensor, positions_BT: Tensor, memory_BMD: Tensor | None = None) -> Tensor:
        """Return hidden_BTD over whole sequences, normed; positions are int64, any non-decreasing ones."""
        table = rotary_table(self.config, positions_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, table, memory_BMD)
        return cast(Tensor, self.norm(x_BTD))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the blocks' weights: normal, scaled down by depth where they write to the stream (GPT-2)."""
        with torch.no_grad():
            for name, parameter in self.blocks.named_parameters():
                if parameter.ndim < 2:
                    continue
                scale = 0.02
                if name.endswith(("out.weight", "down.weight")):
                    scale /= math.sqrt(2 * self.config.layers)
                parameter.normal_(0.0, scale, generator=generator)

    def count_parameters(self) -> int:
        """Return the number of weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def block(self, index: int) -> Block:
        """Return one block, typed."""
        return cast(Block, self.blocks[index])


class Transformer(Trunk):
    """A trunk over one sequence of tokens: their embedding before it, and logits through the same embedding."""

    codebooks = 1

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocabulary, config.width)

    @property
    def trunk(self) -> Trunk:
        """The trunk, as the engine asks for it."""
        return self

    @property
    def head_KVD(self) -> Tensor:
        """What scores the tokens: their embedding."""
        return self.embedding.weight[None]

    def forward(self, tokens_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """Return logits_BTV of every next token; positions are int64, any non-decreasing ones."""
        return F.linear(self.hidden(self.embedding(tokens_BT), positions_BT), self.embedding.weight)

    def embed(self, codes_SK: Tensor, positions_S: Tensor) -> Tensor:  # noqa: ARG002  # positions are rotary
        """Return x_SD: the embedded tokens."""
        return cast(Tensor, self.embedding(codes_SK[:, 0]))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the embedding, and then the blocks."""
        with torch.no_grad():
            self.embedding.weight.normal_(0.0, 0.02, generator=generator)
        super().reset_parameters(generator)
