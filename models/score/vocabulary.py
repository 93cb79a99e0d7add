"""Tokens of the score model and the rhythmic grid they live on.

A sequence is a header of controls, then bars; each bar holds its staves in score order, each staff its events:

    mode metre tempo texture density clarity opening staff... | bar staff (at? pitch+ duration)* staff ... | bar ...

Pitches are relative to the tonic: every piece is written as if in C, and transposed when it is decoded. `at` (ticks
into the bar) stands only where an event does not begin where the one before it ended. A bar token counts down the
last bars, so that the model knows when to close.

Grid: a quarter note has 12 ticks. Binary notes begin and last multiples of 3 (a sixteenth); eighth-note triplets
(4 ticks) stay inside their beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from models.digests import digest_of_bytes
from models.score.controls import DENSITIES, METRES, TEXTURES

StaffKind = Literal["line", "chords", "upper", "lower"]
STAFF_KINDS: tuple[StaffKind, ...] = ("line", "chords", "upper", "lower")
TEMPO_BANDS = (56, 68, 80, 96, 112, 132, 160)  # upper bounds of all bands but the last, quarter notes a minute
COUNTDOWN = 8  # bars before the end that are counted
LOWEST, HIGHEST = 15, 114  # MIDI pitches relative to a tonic of C
REGISTER_WIDTH = 4  # semitones a register step
REGISTERS = 20
BEAT = 12


@dataclass(frozen=True, slots=True)
class Grid:
    """Which onsets (ticks into the bar) and durations exist, and which go together."""

    onsets: tuple[int, ...]
    durations: tuple[int, ...]

    def fits(self, onset: int, duration: int) -> bool:
        """Tell whether a note that begins `onset` ticks into its bar may last `duration` ticks."""
        if onset % 3 == 0 and duration % 3 == 0:
            return True
        beat = onset % BEAT
        return duration in (4, 8) and beat in (0, 4, 8) and beat + duration <= BEAT

    def shorten(self, onset: int, duration: int) -> int:
        """Return the longest duration that fits and is not longer, or the shortest that fits."""
        fitting = [d for d in self.durations if self.fits(onset, d)]
        return max((d for d in fitting if d <= duration), default=fitting[0])

    def snap(self, onset: float, duration: float) -> tuple[int, int]:
        """Return the nearest onset of the grid and the nearest duration that fits it."""
        near = min(self.onsets, key=lambda tick: abs(tick - onset))
        return near, min((d for d in self.durations if self.fits(near, d)), key=lambda d: abs(d - duration))


GRID = Grid(
    onsets=tuple(tick for tick in range(max(METRES.values()) + 1) if tick % 3 == 0 or tick % 4 == 0),
    durations=(
        3,
        4,
        6,
        8,
        9,
        12,
        15,
        18,
        21,
        24,
        27,
        30,
        33,
        36,
        42,
        45,
        48,
        54,
        60,
        66,
        72,
        84,
        96,
        108,
        120,
        144,
    ),
)


class Vocabulary:
    """Every token by name and by number. The order is part of the weights: change it and they are void."""

    def __init__(self) -> None:
        groups: dict[str, tuple[object, ...]] = {
            "special": ("pad", "begin", "end"),
            "mode": ("major", "minor"),
            "metre": tuple(METRES),
            "tempo": (*range(len(TEMPO_BANDS) + 1), "unknown"),
            "texture": TEXTURES,
            "density": DENSITIES,
            "clarity": ("clear", "vague"),  # how plainly the key is heard in the passage
            "opening": ("start", "middle"),
            "bar": (*range(1, COUNTDOWN + 1), "open"),
            "staff": tuple(f"{kind}:{register}" for kind in STAFF_KINDS for register in range(REGISTERS)),
            "at": GRID.onsets[:-1],
            "pitch": tuple(range(LOWEST, HIGHEST + 1)),
            "duration": GRID.durations,
        }
        self.names: tuple[tuple[str, object], ...] = tuple(
            (group, value) for group, values in groups.items() for value in values
        )
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.pad, self.begin, self.end = (self.token("special", v) for v in groups["special"])

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def digest(self) -> str:
        """Digest of all names in order: weights belong to one vocabulary."""
        return digest_of_bytes(repr(self.names).encode())

    def token(self, group: str, value: object) -> int:
        """Return the number of a token; KeyError if there is none of that name."""
        return self._numbers[group, value]

    @cached_property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """First and one-past-last number of each group."""
        spans: dict[str, tuple[int, int]] = {}
        for number, (group, _) in enumerate(self.names):
            first, _last = spans.get(group, (number, number))
            spans[group] = (first, number + 1)
        return spans

    def staff(self, kind: StaffKind, centre: float) -> int:
        """Return the token of a staff whose notes lie around `centre` (relative pitch)."""
        register = min(max(round((centre - 24) / REGISTER_WIDTH), 0), REGISTERS - 1)
        return self.token("staff", f"{kind}:{register}")

    def bar(self, remaining: int | None) -> int:
        """Return the token of a bar with `remaining` bars left, itself included; None: the end is not in sight."""
        return self.token("bar", remaining if remaining is not None and remaining <= COUNTDOWN else "open")

    def tempo(self, bpm: float | None) -> int:
        """Return the token of the band a tempo lies in."""
        return self.token("tempo", "unknown" if bpm is None else sum(bpm >= bound for bound in TEMPO_BANDS))


VOCABULARY = Vocabulary()
