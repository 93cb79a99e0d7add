"""Long form: a stage makes one window after the other, each continuing the end of the one before.

MusicLM, section 5.4 (there 15 s are continued by 15 s). Units are a stage's own frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Frames [start, start + length); the first `given` are there already."""

    start: int
    given: int
    length: int

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Windowing:
    """How long a window is, and how much of it the one before gives."""

    length: int
    given: int

    def over(self, begin: int, end: int) -> Iterator[Window]:
        """Yield windows that make frames [begin, end); those before are there already."""
        while begin < end:
            given = min(self.given, begin)
            start = begin - given
            window = Window(start, given, min(self.length, end - start))
            yield window
            begin = window.end
