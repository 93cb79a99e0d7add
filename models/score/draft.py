"""A score draft: notes on a grid, part by part, before it is written, engraved or played."""

from __future__ import annotations

from dataclasses import dataclass

from models.score.controls import ScoreControls


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note. `onset` and `duration` in ticks (12 a quarter) from the start; `pitch` as it sounds (MIDI)."""

    onset: int
    pitch: int
    duration: int

    @property
    def end(self) -> int:
        """The tick at which it stops."""
        return self.onset + self.duration


@dataclass(frozen=True, slots=True)
class Part:
    """What one instrument plays: one staff, or two (upper, lower) where its layout is "grand".

    Notes of a staff are sorted and may overlap or share an onset with other durations (voices), except where the
    layout is "line"; no note of a staff overlaps another of its own pitch, and none sounds past the last bar.
    """

    instrument: str
    staves: tuple[tuple[Note, ...], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole piece: `parts` in the order of `controls.instruments`."""

    controls: ScoreControls
    parts: tuple[Part, ...]

    @property
    def ticks(self) -> int:
        """Length in ticks, whole bars."""
        return self.controls.bars * self.controls.bar_ticks

    @property
    def duration_s(self) -> float:
        """Length in seconds as written."""
        return self.controls.bars * self.controls.bar_s
