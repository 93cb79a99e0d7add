"""k-means (Lloyd 1982) over frames that fit into memory.

Shapes: N frames, C centres, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 16_384


def kmeans(frames_ND: Tensor, classes: int, *, iterations: int, random: torch.Generator) -> Tensor:
    """Return centres_CD; a centre that lost all frames takes a random one."""
    centres_CD = frames_ND[torch.randperm(len(frames_ND), generator=random)[:classes]].clone()
    for _ in range(iterations):
        assigned_N = torch.cat([assign(chunk, centres_CD) for chunk in torch.split(frames_ND, _CHUNK)])
        counts_C = torch.bincount(assigned_N, minlength=classes)
        sums_CD = torch.zeros_like(centres_CD).index_add_(0, assigned_N, frames_ND)
        centres_CD = sums_CD / counts_C.clamp_min(1)[:, None]
        if empty := int((counts_C == 0).sum()):
            centres_CD[counts_C == 0] = frames_ND[torch.randint(len(frames_ND), (empty,), generator=random)]
    return centres_CD


def assign(frames_ND: Tensor, centres_CD: Tensor) -> Tensor:
    """Return the index of the nearest centre for each frame."""
    return (centres_CD.square().sum(dim=1) - 2 * frames_ND @ centres_CD.T).argmin(dim=-1)
