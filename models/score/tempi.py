"""Tempi: the beat that a metre is counted in, and the Italian word for a tempo."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from models.score.controls import TICKS_PER_QUARTER, ScoreControls

_WORDS = ((40, "Grave"), (52, "Largo"), (62, "Lento"), (72, "Adagio"), (92, "Andante"), (108, "Moderato"),
          (120, "Allegretto"), (152, "Allegro"), (176, "Vivace"))  # fmt: skip
_FASTEST = "Presto"


@dataclass(frozen=True, slots=True)
class BeatUnit:
    """The note value that is counted."""

    name: str
    dots: int
    ticks: int


_QUARTER = BeatUnit("quarter", 0, 12)
_DOTTED_QUARTER = BeatUnit("quarter", 1, 18)
_EIGHTH = BeatUnit("eighth", 0, 6)
_UNITS = {"6/8": _DOTTED_QUARTER, "9/8": _DOTTED_QUARTER, "12/8": _DOTTED_QUARTER, "3/8": _EIGHTH}


def beat_unit(metre: str) -> BeatUnit:
    """Return the value that a metre's tempo is given in; quarters for every simple metre, two-two included."""
    return _UNITS.get(metre, _QUARTER)


def felt_bpm(tempo_bpm: float, metre: str) -> float:
    """Return how fast a tempo in quarters a minute feels in a metre, as if it were in quarter beats."""
    if metre in ("2/2", "3/2"):
        return tempo_bpm * 0.7
    ticks = _DOTTED_QUARTER.ticks if metre == "3/8" else beat_unit(metre).ticks
    return tempo_bpm * TICKS_PER_QUARTER / ticks


def tempo_word(controls: ScoreControls) -> str:
    """Return the Italian word for the tempo, by the beat that is felt."""
    place = bisect_right([limit for limit, _ in _WORDS], felt_bpm(controls.tempo_bpm, controls.metre))
    return _WORDS[place][1] if place < len(_WORDS) else _FASTEST
