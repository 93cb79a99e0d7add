"""Takes of one draft: which may begin, which are not needed any more, and which one is kept.

Takes are numbered from 0. The lowest-numbered one that is settled is kept, or else the last of all, or what was whole
before it if it is not; so it does not matter how many were made side by side, nor in which order they ended.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Takes(Generic[T]):
    """At most `limit` takes, each with what came of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ended: dict[int, T] = {}
        self._settled: set[int] = set()
        self._whole: set[int] = set()
        self.running: set[int] = set()

    def begin(self) -> int | None:
        """Begin the next take that may still be wanted; return its number, None if there is none."""
        first_settled = min(self._settled, default=self._limit)
        for number in range(first_settled):
            if number not in self.running and number not in self._ended:
                self.running.add(number)
                return number
        return None

    def end(self, number: int, came_of_it: T, *, settled: bool, whole: bool = True) -> None:
        """Take note that a running take has ended.

        Args:
            number: which.
            came_of_it: its outcome.
            settled: it need not be made anew.
            whole: it came to its end; one that did not is kept only if none before it did.
        """
        self.running.remove(number)
        self._ended[number] = came_of_it
        if settled:
            self._settled.add(number)
        if whole:
            self._whole.add(number)

    def drop(self, number: int) -> None:
        """Forget a running take; it may begin again."""
        self.running.remove(number)

    def kept(self) -> tuple[int, T] | None:
        """Return number and outcome of the take that is kept, once no other can take its place."""
        last = min(self._settled, default=self._limit - 1)
        if all(number in self._ended for number in range(last + 1)):
            number = max((each for each in self._whole if each <= last), default=last)
            return number, self._ended[number]
        return None
