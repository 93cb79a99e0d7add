"""Clefs: which one each bar of a staff is written in: few ledger lines, few changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from models.score.instruments import Instrument

Clef = Literal["treble", "alto", "tenor", "bass"]
_MIDDLE: dict[Clef, int] = {"treble": 34, "alto": 28, "tenor": 26, "bass": 22}  # middle line, in steps above C0
_ALLOWED: dict[str, tuple[Clef, ...]] = {
    "cello": ("bass", "tenor", "treble"),
    "double bass": ("bass", "tenor", "treble"),
    "bassoon": ("bass", "tenor"),
    "trombone": ("bass", "tenor"),
    "viola": ("alto", "treble"),
    "horn": ("treble", "bass"),
    "choir": ("treble", "bass"),
    "strings": ("treble", "bass"),
    "marimba": ("treble", "bass"),
}
_CHANGE = 30.0  # ledger lines that a change of clef is worth
_UNUSUAL = 1.5  # a bar out of the staff's own clef


def choose_clefs(instrument: Instrument, staff: int, bars: Sequence[Sequence[int]]) -> list[Clef]:
    """Return the clef of each bar. `bars` hold the written heights of their notes, in steps above C0."""
    if instrument.layout == "grand":
        own: Clef = "treble" if staff == 0 else "bass"
        allowed: tuple[Clef, ...] = (own, "bass" if staff == 0 else "treble")
    else:
        own = instrument.clef
        allowed = _ALLOWED.get(instrument.name, (own,))
    return _cheapest_way(own, allowed, bars)


def _cheapest_way(own: Clef, allowed: Sequence[Clef], bars: Sequence[Sequence[int]]) -> list[Clef]:
    """Find the sequence of clefs of least cost (Viterbi)."""
    best: dict[Clef, float] = {clef: 0.0 if clef == own else _CHANGE / 2 for clef in allowed}
    back: list[dict[Clef, Clef]] = []
    for steps in bars:
        came: dict[Clef, Clef] = {}
        now: dict[Clef, float] = {}
        for clef in allowed:
            came[clef] = min(allowed, key=lambda c: best[c] + _CHANGE * (c != clef))
            before = best[came[clef]] + _CHANGE * (came[clef] != clef)
            now[clef] = before + sum(_ledgers(s, clef) ** 1.5 for s in steps) + _UNUSUAL * (clef != own)
        best = now
        back.append(came)
    clef = min(allowed, key=lambda c: best[c])
    way: list[Clef] = []
    for came in reversed(back):
        way.append(clef)
        clef = came[clef]
    return way[::-1]


def _ledgers(step: int, clef: Clef) -> int:
    return max(0, abs(step - _MIDDLE[clef]) - 4) // 2
