"""Tempi: the beat that a metre is felt in, and the Italian word for a tempo."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from models.score.controls import TICKS_PER_QUARTER, ScoreControls

_WORDS = ((40, "Grave"), (52, "Largo"), (62, "Lento"), (72, "Adagio"), (92, "Andante"), (108, "Moderato"),
          (120, "Allegretto"), (152, "Allegro"), (176, "Vivace"), (10_000, "Presto"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class BeatUnit:
    """The note value that is counted."""

    name: str
    dots: int
    ticks: int


_QUARTER, _DOTTED_QUARTER, _EIGHTH, _HALF = (
    BeatUnit("quarter", 0, 12), BeatUnit("quarter", 1, 18), BeatUnit("eighth", 0, 6), BeatUnit("half", 0, 24),
)  # fmt: skip
_UNITS = {"6/8": _DOTTED_QUARTER, "9/8": _DOTTED_QUARTER, "12/8": _DOTTED_QUARTER, "3/8": _EIGHTH,
          "2/2": _HALF, "3/2": _HALF}  # fmt: skip


def beat_unit(metre: str) -> BeatUnit:
    """Return the value that a metre is counted in."""
    return _UNITS.get(metre, _QUARTER)


def tempo_word(controls: ScoreControls) -> str:
    """Return the Italian word for the tempo, by the beat that is felt."""
    unit = _DOTTED_QUARTER if controls.metre == "3/8" else beat_unit(controls.metre)
    beats = controls.tempo_bpm * TICKS_PER_QUARTER / unit.ticks
    if unit is _HALF:
        beats *= 1.4  # a half-note beat at 60 feels quicker than a quarter at 60
    return _WORDS[bisect_right([limit for limit, _ in _WORDS[:-1]], beats)][1]
