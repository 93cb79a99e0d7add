"""How a stretch of time is written: notes and rests of a bar as values that a player can read.

Times are ticks, twelve to a quarter note, counted from the bar's start. Every whole number of ticks can be
written: multiples of three as plain values, the others in triplets of a half, a quarter or an eighth note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from models.score.controls import METRES

ValueName = Literal["whole", "half", "quarter", "eighth", "16th", "32nd"]
BeamMark = Literal["start", "continue", "stop", "partial-left", "partial-right"]
_PLAIN: dict[int, tuple[ValueName, int]] = {  # ticks -> name and dots
    3: ("16th", 0), 6: ("eighth", 0), 9: ("eighth", 1), 12: ("quarter", 0), 18: ("quarter", 1),
    24: ("half", 0), 36: ("half", 1), 48: ("whole", 0), 72: ("whole", 1),
}  # fmt: skip
_IN_TRIPLET: dict[int, tuple[ValueName, int]] = {  # the same where three stand for two
    1: ("32nd", 0), 2: ("16th", 0), 3: ("16th", 1), 4: ("eighth", 0), 6: ("eighth", 1),
    8: ("quarter", 0), 16: ("half", 0),
}  # fmt: skip
_BEAMS: dict[ValueName, int] = {"eighth": 1, "16th": 2, "32nd": 3}
_STRENGTHS: dict[str, tuple[tuple[int, int], ...]] = {  # metre -> (every n ticks, weakness); the first that fits
    "2/4": ((24, 0), (12, 1), (6, 2), (3, 3)),
    "3/4": ((36, 0), (12, 1), (6, 2), (3, 3)),
    "4/4": ((48, 0), (24, 1), (12, 2), (6, 3), (3, 4)),
    "2/2": ((48, 0), (24, 1), (12, 2), (6, 3), (3, 4)),
    "3/2": ((72, 0), (24, 1), (12, 2), (6, 3), (3, 4)),
    "5/4": ((60, 0), (36, 1), (12, 2), (6, 3), (3, 4)),
    "3/8": ((18, 0), (6, 2), (3, 3)),
    "6/8": ((36, 0), (18, 1), (6, 3), (3, 4)),
    "9/8": ((54, 0), (18, 1), (6, 3), (3, 4)),
    "12/8": ((72, 0), (36, 1), (18, 2), (6, 4), (3, 5)),
}
_TRIPLET_STRENGTHS: dict[int, tuple[tuple[int, int], ...]] = {  # by what the triplet stands for
    24: ((24, 0), (8, 1)),
    12: ((12, 0), (4, 1), (2, 2), (1, 3)),
    6: ((6, 0), (2, 1), (1, 2)),
}
_COMPOUND = frozenset({"3/8", "6/8", "9/8", "12/8"})
_PAIRED = frozenset({"2/4", "4/4", "2/2", "3/2"})  # beats go two by two


@dataclass(frozen=True, slots=True)
class Span:
    """A note, chord or rest within one bar, before it is cut into written values."""

    start: int
    end: int
    is_rest: bool


@dataclass(frozen=True, slots=True)
class Written:
    """One written value. `source` is the index of its span; several of one span are tied together."""

    source: int
    start: int
    end: int
    name: ValueName
    dots: int
    in_triplet: bool = False
    bracket: Literal["start", "stop", None] = None
    beams: tuple[BeamMark, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    start: int
    end: int
    in_triplet: bool


def write_bar(spans: Sequence[Span], metre: str) -> list[Written]:
    """Cut the spans of one voice into written values with triplets and beams.

    The spans are in order and fill the bar of `metre` without gap or overlap; so do the values returned.
    """
    cuts = {span.start for span in spans} | {METRES[metre]}
    triplets = [w for w in _windows(cuts, metre) if w.in_triplet]
    written = [value for i, span in enumerate(spans) for value in _write_span(i, span, triplets, metre)]
    written = _bracket(written, triplets)
    return _beam(written, spans, metre)


def _windows(cuts: set[int], metre: str) -> Iterator[_Window]:
    """Yield the stretches that are plain or a triplet, none of them inside another."""
    start, bar = 0, METRES[metre]
    while start < bar:
        if metre in _PAIRED and start % 24 == 0 and (inner := _inside(cuts, start, 24)) and inner <= {8, 16}:
            yield _Window(start, start + 24, True)
            start += 24
            continue
        unit = 6 if metre in _COMPOUND else 12
        inner = _inside(cuts, start, unit)
        if unit == 12 and 6 in inner:
            for half in (start, start + 6):
                yield _Window(half, half + 6, any(cut % 3 for cut in _inside(cuts, half, 6)))
        else:
            yield _Window(start, start + unit, any(cut % 3 for cut in inner))
        start += unit


def _inside(cuts: set[int], start: int, length: int) -> set[int]:
    return {cut - start for cut in cuts if start < cut < start + length}


def _write_span(source: int, span: Span, triplets: list[_Window], metre: str) -> Iterator[Written]:
    at = span.start
    for window in triplets:
        if window.end <= at or window.start >= span.end:
            continue
        if at < window.start:
            yield from _write_plain(source, at, window.start, metre, is_rest=span.is_rest)
            at = window.start
        end = min(span.end, window.end)
        yield from _write_in_triplet(source, at, end, window)
        at = end
    if at < span.end:
        yield from _write_plain(source, at, span.end, metre, is_rest=span.is_rest)


def _write_plain(source: int, start: int, end: int, metre: str, *, is_rest: bool) -> Iterator[Written]:
    grid = _STRENGTHS[metre]
    if _can_stand(start, end, metre, is_rest=is_rest):
        name, dots = _PLAIN[end - start]
        yield Written(source, start, end, name, dots)
        return
    cut = _cut(start, end, grid, frozenset(_PLAIN))
    yield from _write_plain(source, start, cut, metre, is_rest=is_rest)
    yield from _write_plain(source, cut, end, metre, is_rest=is_rest)


def _can_stand(start: int, end: int, metre: str, *, is_rest: bool) -> bool:
    """Tell whether one plain value may cover the stretch without hiding the metre."""
    length, grid = end - start, _STRENGTHS[metre]
    if length not in _PLAIN or (metre in _COMPOUND and length in (24, 48)):
        return False
    if is_rest and (_PLAIN[length][1] > 0) and not (metre in _COMPOUND and length in (18, 36)):
        return False
    inner = min((_weakness(t, grid) for t in range(start + 3, end, 3)), default=None)
    if inner is None:
        return True
    first = _weakness(start, grid)
    if is_rest:
        return first < inner
    return first <= inner or (first - inner == 1 and _weakness(end, grid) <= first)


def _write_in_triplet(source: int, start: int, end: int, window: _Window) -> Iterator[Written]:
    if (end - start) in _IN_TRIPLET:
        name, dots = _IN_TRIPLET[end - start]
        yield Written(source, start, end, name, dots, in_triplet=True)
        return
    grid = _TRIPLET_STRENGTHS[window.end - window.start]
    cut = window.start + _cut(start - window.start, end - window.start, grid, frozenset(_IN_TRIPLET))
    yield from _write_in_triplet(source, start, cut, window)
    yield from _write_in_triplet(source, cut, end, window)


def _cut(start: int, end: int, grid: tuple[tuple[int, int], ...], writable: frozenset[int]) -> int:
    """Return where to cut: at the strongest place inside, late for what starts there or on a stronger one."""
    step = grid[-1][0]
    places = range(start + step, end, step)
    strongest = min(_weakness(t, grid) for t in places)
    cuts = [t for t in places if _weakness(t, grid) == strongest]
    if _weakness(start, grid) > strongest:
        return cuts[0]
    return next((t for t in reversed(cuts) if t - start in writable), cuts[0])


def _weakness(tick: int, grid: tuple[tuple[int, int], ...]) -> int:
    """Return 0 for the bar's start, more for weaker places of the metre."""
    if grid is _STRENGTHS["5/4"] and tick == 24 + 12:
        return 1
    return next((weak for every, weak in grid if tick % every == 0), grid[-1][1] + 1)


def _bracket(written: list[Written], triplets: list[_Window]) -> list[Written]:
    starts, ends = {w.start for w in triplets}, {w.end for w in triplets}
    return [
        replace(value, bracket="start" if value.start in starts else "stop" if value.end in ends else None)
        if value.in_triplet
        else value
        for value in written
    ]


def _beam(written: list[Written], spans: Sequence[Span], metre: str) -> list[Written]:
    out = list(written)
    group: list[int] = []
    for i, value in enumerate(written):
        joins = value.name in _BEAMS and not spans[value.source].is_rest
        if group and not (joins and _same_beam(written, group[0], i, metre)):
            _mark(out, group)
            group = []
        if joins:
            group.append(i)
    _mark(out, group)
    return out


def _same_beam(written: list[Written], first: int, last: int, metre: str) -> bool:
    a, b = written[first].start, written[last].start
    unit = 18 if metre in _COMPOUND else 12
    if a // unit == b // unit:
        return True
    if metre in _PAIRED and a // 24 == b // 24:  # four plain eighths of half a bar go together
        half = [v for v in written if v.start // 24 == a // 24]
        return all(v.name == "eighth" and not v.dots and not v.in_triplet for v in half)
    return False


def _mark(written: list[Written], group: list[int]) -> None:
    if len(group) < 2:
        return
    counts = [_BEAMS[written[i].name] for i in group]
    for k, i in enumerate(group):
        marks: list[BeamMark] = []
        for level in range(counts[k]):
            before = k > 0 and counts[k - 1] > level
            after = k + 1 < len(group) and counts[k + 1] > level
            if before and after:
                marks.append("continue")
            elif before or after:
                marks.append("stop" if before else "start")
            else:
                marks.append("partial-right" if k == 0 else "partial-left")
        written[i] = replace(written[i], beams=tuple(marks))


def gaps(spans: Sequence[Span], bar: int) -> list[Span]:
    """Return the spans with rests between them, so that together they fill a bar of `bar` ticks."""
    marks = [Span(0, 0, True), *spans, Span(bar, bar, True)]
    filled: list[Span] = []
    for left, right in pairwise(marks):
        if left.end > left.start:
            filled.append(left)
        if right.start > left.end:
            filled.append(Span(left.end, right.start, True))
    return filled
