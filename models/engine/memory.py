"""How many slots a device's memory has room for."""

from __future__ import annotations

from dataclasses import replace

import psutil
import torch

from models.engine.backend import CacheSize
from models.engine.requests import EngineError
from models.transformer import TrunkConfig

SHARE = 0.5  # of the memory that is free, at most: the rest is for what is not the cache, and for other workers


def free_bytes(device: str) -> int:
    """Return the memory of a device that nobody uses."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def slots_within(memory_bytes: float, size: CacheSize, config: TrunkConfig, itemsize: int, *, rows: int = 1) -> int:
    """Return as many of a cache's slots as fit into some memory, a multiple of the `rows` a sequence takes.

    Raises:
        EngineError: not even one sequence does.
    """
    each = replace(size, slots=rows).bytes(config, itemsize)
    fitting = min(int(memory_bytes // each), size.slots // rows)
    if fitting < 1:
        raise EngineError(
            f"the cache of one sequence takes {each / 2**20:.0f} MB, {memory_bytes / 2**20:.0f} MB are there for it"
        )
    return fitting * rows
