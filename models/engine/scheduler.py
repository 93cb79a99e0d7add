"""Which sequences run, and in which rows of the cache.

The longest expected first: long ones begun last would end alone. A sequence takes one row for each of its
conditionings and keeps them to its end. One that needs more rows than are free is waited for, so that it is not
passed by for ever.
"""

from __future__ import annotations

from models.engine.sequence import Sequence


class Scheduler:
    """Waiting and running sequences over a fixed number of slots."""

    def __init__(self, slots: int) -> None:
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._free = list(range(slots))

    def __len__(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait for its turn."""
        self.waiting.append(sequence)
        self.waiting.sort(key=lambda each: -each.expected)  # stable: first come, first served among equals

    def admit(self) -> list[Sequence]:
        """Give free slots to the sequences whose turn it is, and return these."""
        admitted = []
        while self.waiting and len(self.waiting[0].rows) <= len(self._free):
            sequence = self.waiting.pop(0)
            for row in sequence.rows:
                row.slot = self._free.pop(0)
            self.running.append(sequence)
            admitted.append(sequence)
        return admitted

    def release(self, sequence: Sequence) -> None:
        """Take a running sequence off its slots."""
        self.running.remove(sequence)
        for row in sequence.rows:
            self._free.append(row.slot)
            row.slot = -1
        self._free.sort()

    def find(self, key: str) -> Sequence | None:
        """Return the sequence of a request, if it is waiting or running."""
        return next((each for each in (*self.running, *self.waiting) if each.request.key == key), None)
