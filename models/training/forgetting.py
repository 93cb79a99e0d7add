"""Codes that a stage in training is not given back.

The codes just before a step say nearly everything of it, so a stage that is always given them has little to learn
from what else it is told. Where it forgets them, that is all there is to go by.

Shapes: B batch, N steps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def forgotten(batch: int, steps: int, share: float, rng: np.random.Generator) -> Tensor:
    """Draw forgotten_BN: of half of so large a share of the items all steps, of the others a part that is drawn."""
    part_B, kind_B = rng.random(batch), rng.random(batch)
    part_B[kind_B < share / 2] = 1.0
    part_B[kind_B >= share] = 0.0
    return torch.from_numpy(rng.random((batch, steps)) < part_B[:, None])
