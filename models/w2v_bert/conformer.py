"""Conformer blocks (Gulati et al. 2020), with rotary positions.

Shapes: B batch, F frames, D width, H heads, E head width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.transformer import rotate

_KERNEL = 15


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = FeedForward(width, dropout), FeedForward(width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.qkv, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.convolution = ConvolutionModule(width)
        self.norm = nn.LayerNorm(width)
        self.heads, self.dropout = heads, dropout

    def forward(self, x_BFD: Tensor, table_F2E: Tensor) -> Tensor:
        """Return the block's output; `table_F2E` is the rotary table of the frames' positions."""
        x_BFD = x_BFD + 0.5 * self.before(x_BFD)
        x_BFD = x_BFD + F.dropout(self._attend(self.attention_norm(x_BFD), table_F2E), self.dropout, self.training)
        x_BFD = x_BFD + F.dropout(self.convolution(x_BFD), self.dropout, self.training)
        x_BFD = x_BFD + 0.5 * self.after(x_BFD)
        y_BFD: Tensor = self.norm(x_BFD)
        return y_BFD

    def _attend(self, x_BFD: Tensor, table_F2E: Tensor) -> Tensor:
        q, k, v = self.qkv(x_BFD).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        q, k = rotate(q, table_F2E[None]), rotate(k, table_F2E[None])
        mixed_BHFE = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        y_BFD: Tensor = self.mixed(mixed_BHFE.transpose(1, 2).flatten(2))
        return y_BFD


class FeedForward(nn.Module):
    """Norm, four times the width, swish, and back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(width), dropout
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x_BFD: Tensor) -> Tensor:
        """Return what is to be added."""
        y_BFD: Tensor = self.down(F.silu(self.up(self.norm(x_BFD))))
        return F.dropout(y_BFD, self.dropout, self.training)


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise over time, pointwise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.taps = nn.Parameter(torch.randn(_KERNEL, width) / math.sqrt(_KERNEL))

    def forward(self, x_BFD: Tensor) -> Tensor:
        """Return what is to be added."""
        gated = F.glu(self.into(self.norm(x_BFD)), dim=-1)
        over_time = F.conv1d(
            gated.transpose(1, 2),
            self.taps.T[:, None].to(gated.dtype),
            padding=_KERNEL // 2,
            groups=self.taps.shape[1],
        )
        y_BFD: Tensor = self.out(F.silu(self.between(over_time.transpose(1, 2))))
        return y_BFD
