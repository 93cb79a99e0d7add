"""What a stage in training is held to: how unlikely the codes are to it, codebook by codebook.

Shapes: B batch, N steps, K codebooks, V entries.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEFT_OUT = -1


def nats_by_codebook(logits_BNKV: Tensor, codes_BNK: Tensor, hole: int) -> Tensor:
    """Return the mean cross-entropy of each codebook in nats (K,), in float32; where `hole` is the code, none."""
    targets_BNK = codes_BNK.masked_fill(codes_BNK == hole, _LEFT_OUT)
    return torch.stack(
        [
            F.cross_entropy(
                logits_BNKV[:, :, k].flatten(0, 1).float(), targets_BNK[:, :, k].flatten(), ignore_index=_LEFT_OUT
            )
            for k in range(codes_BNK.shape[-1])
        ]
    )
