"""Random numbers for training, keyed by what they are for, so that a run can be taken up at any step."""

from __future__ import annotations

import numpy as np
import torch


def generator(seed: int, purpose: int, step: int) -> np.random.Generator:
    """Return a generator for one purpose of one step."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, purpose, step]))


def torch_generator(seed: int, purpose: int, step: int) -> torch.Generator:
    """Return the same for tensors on the CPU."""
    return torch.Generator().manual_seed(int(generator(seed, purpose, step).integers(2**62)))
