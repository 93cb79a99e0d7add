"""What the score model is shown: excerpts of passages in many scorings, drawn by counter.

Item n of a seed is the same on every machine and after every restart. A passage is heard as it stands, as any part
of its ensemble, with its voice in the pianist's right hand, or gathered on one staff, so that the model knows
ensembles that the corpus does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.score.controls import METRES
from models.score.corpus import Passage, Staff
from models.score.encoding import MAX_CHORD, Notes, describe, encode
from models.score.vocabulary import GRID, VOCABULARY, StaffKind

Staves = list[tuple[StaffKind, Notes]]
SHORTEST_BARS = 4
POOL = 8  # batches drawn together and sorted by length


class ScoreDataset:
    """Token sequences of fixed length from passages, item by item."""

    def __init__(self, passages: Sequence[Passage], *, length: int, seed: int, varied: bool = True) -> None:
        """Take the passages; `varied` draws other scorings and octaves than the written ones."""
        if not passages:
            raise ValueError("no passages to learn from")
        self.passages, self.length, self.seed, self.varied = passages, length, seed, varied
        sizes = np.array([sum(len(staff.notes) for staff in p.staves) for p in passages], dtype=float)
        self._share = np.cumsum(np.minimum(sizes, 600.0))
        self._pool: tuple[int, list[list[int]], NDArray[np.int64]] | None = None

    def item(self, number: int) -> list[int]:
        """Return at most `length` tokens of item `number`."""
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=number))
        passage = self.passages[int(np.searchsorted(self._share, rng.random() * self._share[-1], side="right"))]
        return self.excerpt(passage, rng)

    def excerpt(self, passage: Passage, rng: np.random.Generator) -> list[int]:
        """Return the tokens of a random run of bars of the passage."""
        staves: Staves = [(s.kind, s.notes) for s in passage.staves]
        if self.varied:
            staves = rescored(passage.staves, rng)
        latest = max(passage.bars - SHORTEST_BARS, 0)
        first = 0 if rng.random() < (0.6 if passage.begins else 0.3) else int(rng.integers(0, latest + 1))
        bar_ticks = METRES[passage.metre]
        last = min(passage.bars, first + self._bars_that_fit(staves, bar_ticks, first, passage.bars))
        cut = [(kind, crop(notes, first * bar_ticks, last * bar_ticks)) for kind, notes in staves]
        excerpt = describe(
            metre=passage.metre,
            bars=last - first,
            tempo_bpm=passage.tempo_bpm,
            begins=passage.begins and first == 0,
            ends=passage.ends and last == passage.bars,
            staves=cut,
        )
        return encode(excerpt)[: self.length]

    def _bars_that_fit(self, staves: Staves, bar_ticks: int, first: int, bars: int) -> int:
        """Guess how many bars from `first` on fill the length: about 2.6 tokens an attack."""
        budget = self.length - 16
        for count in range(bars - first):
            start = (first + count) * bar_ticks
            attacks = sum(sum(start <= o < start + bar_ticks for o, _, _ in notes) for _, notes in staves)
            budget -= int(1.9 * attacks) + 1 + len(staves)
            if budget < 0:
                return max(count, 1)
        return bars - first

    def batch(self, number: int, size: int) -> NDArray[np.int64]:
        """Return batch `number` of `size` rows, padded at the end to its longest row.

        Items are drawn POOL batches at a time and sorted by length, so that little of a batch is padding; which
        batch of its pool comes when is drawn too, so that lengths do not rise and fall with time.
        """
        pool, place = divmod(number, POOL)
        if self._pool is None or self._pool[0] != pool:
            rng = np.random.Generator(np.random.Philox(key=self.seed + 1, counter=pool))
            items = sorted((self.item(pool * POOL * size + n) for n in range(POOL * size)), key=len)
            self._pool = pool, items, rng.permutation(POOL)
        start = int(self._pool[2][place]) * size
        return padded(self._pool[1][start : start + size])


def padded(items: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return the sequences as rows, padded at the end to the longest."""
    rows = np.full((len(items), max(map(len, items))), VOCABULARY.pad, dtype=np.int64)
    for row, tokens in enumerate(items):
        rows[row, : len(tokens)] = tokens
    return rows


def crop(notes: Notes, start: int, end: int) -> list[tuple[int, int, int]]:
    """Return the notes that begin in [start, end), counted from start and ended at end."""
    return [(o - start, d if o + d <= end else _cut(o - start, end - o), p) for o, d, p in notes if start <= o < end]


def _cut(onset: int, ticks: int) -> int:
    """Return the longest duration there is for what remains of a note."""
    return ticks if ticks in GRID.durations else GRID.shorten(onset, ticks)


def rescored(staves: Sequence[Staff], rng: np.random.Generator) -> Staves:
    """Draw a scoring that the passage can be played in, and sometimes another octave."""
    written: Staves = [(s.kind, s.notes) for s in staves if s.notes]
    lines = [notes for kind, notes in written if kind == "line"]
    hands = [(kind, notes) for kind, notes in written if kind != "line"]
    options: list[tuple[float, Callable[[], Staves]]] = [(4.0, lambda: written)]
    if hands and lines:
        upper, lower = hands[0][1], hands[-1][1]
        options += [
            (2.5, lambda: [("upper", gather([*lines[:1], upper])), ("lower", lower)]),
            (1.5, lambda: list(hands)),
            (1.0, lambda: [("line", lines[0])]),
            (1.0, lambda: [("line", lines[0]), ("chords", gather([upper, lower]))]),
            (0.5, lambda: [("chords", gather([lines[0], upper]))]),
        ]
    elif len(lines) >= 2:
        options += [
            (3.0, lambda: [("line", n) for n in _some(lines, rng)]),
            (1.0, lambda: [("upper", gather(lines[:-1])), ("lower", lines[-1])]),
            (0.7, lambda: [("chords", gather(lines))]),
            (0.7, lambda: [("line", lines[0]), ("chords", gather(lines[1:]))]),
            (0.7, lambda: [("line", lines[0]), ("upper", gather(lines[1:-1])), ("lower", lines[-1])]),
        ]
    elif hands:
        options.append((0.7, lambda: [("chords", gather([hands[0][1]]))]))
    shares = np.cumsum([share for share, _ in options])
    chosen = options[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))][1]()
    octaves = 12 * int(rng.choice((-1, 0, 0, 0, 0, 0, 0, 1)))
    return [(kind, [(o, d, p + octaves) for o, d, p in notes]) for kind, notes in chosen if notes] or written


def gather(staves: Sequence[Notes]) -> list[tuple[int, int, int]]:
    """Lay several staves on one; where a pitch is struck twice the longer note stays."""
    longest: dict[tuple[int, int], int] = {}
    for onset, duration, pitch in (note for notes in staves for note in notes):
        longest[onset, pitch] = max(duration, longest.get((onset, pitch), 0))
    merged = sorted((onset, duration, pitch) for (onset, pitch), duration in longest.items())
    kept: dict[int, int] = {}
    for onset, _, _ in merged:
        kept[onset] = kept.get(onset, 0) + 1
    return [n for n in merged if kept[n[0]] <= MAX_CHORD or n[2] in _outer(merged, n[0])]


def _outer(notes: Notes, onset: int) -> set[int]:
    pitches = sorted(p for o, _, p in notes if o == onset)
    return {pitches[0], *pitches[-(MAX_CHORD - 1) :]}


def _some(lines: Sequence[Notes], rng: np.random.Generator) -> list[Notes]:
    count = int(rng.integers(1, len(lines) + 1))
    return [lines[i] for i in sorted(rng.choice(len(lines), size=count, replace=False))]
