"""What runs a model's trunk and heads over the cache: the border between scheduling and arithmetic.

A backend keeps keys and values of every row (slot) in memory that is allocated once. Rows do not affect each other:
no bit of a row's logits depends on what other rows hold, or on which of them are run.

Shapes: R rows run, D width, K codebooks, V vocabulary, C inputs of a chunk, M rows of a memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.transformer import TrunkConfig


class BackendUnavailableError(Exception):
    """This backend cannot run this model here; the message says why."""


CHUNK = 32  # inputs of a prefill; fewer go through steps, as everything else does


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSize:
    """What the cache has room for: `slots` rows of `length` inputs and of `memory` rows to attend to."""

    slots: int
    length: int
    positions: int  # inputs of a row altogether: past `length`, those after its prefix are forgotten
    memory: int = 0

    def bytes(self, config: TrunkConfig, itemsize: int) -> int:
        """Return the memory that keys and values take, of numbers of `itemsize` bytes."""
        memory = self.memory if config.cross_attention else 0
        return 2 * config.layers * self.slots * (self.length + memory) * config.width * itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One row's part of a step: the input at `position` is written to cache entry `entry`, of then `filled`."""

    slot: int
    position: int
    entry: int
    filled: int


@dataclass(frozen=True, slots=True)
class SavedRow:
    """What the cache held of a row that was taken off, exactly: keys and values, and those of the memory."""

    tensors: tuple[Tensor, ...]


class Backend(Protocol):
    """Runs steps and chunks."""

    name: str
    device: torch.device
    dtype: torch.dtype  # of inputs

    def step(self, feeds: Sequence[Feed], x_RD: Tensor) -> NDArray[np.float32]:
        """Feed one input to each of some rows; return their logits_RKV."""

    def prefill(self, slot: int, position: int, x_CD: Tensor) -> None:
        """Feed CHUNK inputs to one row, into the cache entries of their positions."""

    def remember(self, slot: int, memory_MD: Tensor | None) -> None:
        """Let a row attend to a memory from now on."""

    def save(self, slot: int, filled: int) -> SavedRow:
        """Return a copy of what the cache holds of a row."""

    def restore(self, slot: int, saved: SavedRow) -> None:
        """Put a copy back, into any row."""
