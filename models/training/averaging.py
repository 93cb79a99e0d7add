"""A running average of weights: what is measured and released is steadier than the last step."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Follows a module with an exponential average that forgets faster while it is young."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
        self._decay = decay

    @torch.no_grad()
    def follow(self, module: nn.Module, step: int) -> None:
        """Move a little towards `module`; buffers are taken as they are."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for kept, taken in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(taken)
