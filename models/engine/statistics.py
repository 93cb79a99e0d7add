"""How well an engine's slots and time are used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Sums over an engine's life."""

    steps: int = 0
    row_steps: int = 0  # rows that were fed
    slot_steps: int = 0  # rows that could have been
    waiting_row_steps: int = 0  # the same two while requests waited
    waiting_slot_steps: int = 0
    running_s: float = 0.0  # in the model
    total_s: float = 0.0
    drawing_s: float = 0.0

    @contextmanager
    def time(self, name: Literal["running_s", "drawing_s", "total_s"]) -> Iterator[None]:
        """Add the time of a block to one of the sums."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + time.perf_counter() - began)

    def count(self, rows: int, slots: int, *, waiting: bool) -> None:
        """Note a step."""
        self.steps += 1
        self.row_steps += rows
        self.slot_steps += slots
        self.waiting_row_steps += rows if waiting else 0
        self.waiting_slot_steps += slots if waiting else 0

    def since(self, before: Statistics) -> Statistics:
        """Return what came to be after `before`."""
        names = [field.name for field in fields(self)]
        return Statistics(**{name: getattr(self, name) - getattr(before, name) for name in names})

    @property
    def occupancy(self) -> float:
        """The share of slots that were fed."""
        return self.row_steps / max(self.slot_steps, 1)

    @property
    def occupancy_while_waiting(self) -> float:
        """The same, over the steps at which requests waited."""
        return self.waiting_row_steps / max(self.waiting_slot_steps, 1)

    @property
    def scheduling_share(self) -> float:
        """The share of time that went neither into the model nor into drawing codes."""
        return (self.total_s - self.running_s - self.drawing_s) / max(self.total_s, 1e-9)
