"""How far ahead a worker takes work: what it finished in the last second, or a few times its slots.

A worker of slow pieces holds few of them, so that others find work and little is lost with it; one of quick pieces
takes them in large groups, so that an order, a write to the disk and a commit are paid once for many.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 1.0
_MOST: Final = 1_024
_SLOTS_AHEAD: Final = 3  # those in the generator and those being finished
_SHARE: Final = 4  # of what is held, so much is claimed at once


class Pace:
    """Counts what was finished lately. Used from one thread at a time."""

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._clock = slots, clock
        self._finished: deque[tuple[float, int]] = deque()

    def finished(self, number: int) -> None:
        """Take note that so many items are off the worker's hands."""
        self._finished.append((self._clock(), number))

    def holds_at_most(self) -> int:
        """Return how many items the worker may have in hand."""
        return max(_SLOTS_AHEAD * self._slots, self._lately())

    def claims_at_once(self, free: int) -> int:
        """Return how many items the worker asks for when so many of its slots are free."""
        return max(free, self._lately() // _SHARE)

    def _lately(self) -> int:
        since = self._clock() - _WINDOW_S
        while self._finished and self._finished[0][0] < since:
            self._finished.popleft()
        return min(sum(number for _, number in self._finished), _MOST)
