"""Codes that a stage in training is given back as it would have drawn them itself.

A stage that has only seen true codes before a step goes astray by what it draws in use: every draw that is a little
off makes the next one worse. Scheduled sampling (Bengio et al. 2015) shows it its own draws in training; here all
steps are drawn at once, from one pass over the true codes (Mihaylova and Martins 2019).

Shapes: B batch, N steps, K codebooks, V entries.
"""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_back(codes_BNK: Tensor, logits_BNKV: Tensor, hole: int, most: float, rng: torch.Generator) -> Tensor:
    """Return the codes, some steps of each item as they are drawn from logits; holes stay.

    Of each item another share of the steps is drawn, at most `most`. `rng` is a generator of the CPU.
    """
    batch, steps, _ = codes_BNK.shape
    share_B = most * torch.rand(batch, generator=rng)
    drawn_BN = torch.rand(batch, steps, generator=rng) < share_B[:, None]
    race_BNKV = torch.empty(logits_BNKV.shape).exponential_(generator=rng).log()  # the first of exponential clocks
    found_BNK = (logits_BNKV.float() - race_BNKV.to(logits_BNKV.device)).argmax(dim=-1)
    kept_BNK = ~drawn_BN[..., None].to(codes_BNK.device) | (codes_BNK == hole)
    return torch.where(kept_BNK, codes_BNK, found_BNK)
