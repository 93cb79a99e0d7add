"""A small tonal piece for any instruments, key and metre, made by rule: four-part chords over a falling bass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.key import parse_key
from models.score.controls import TICKS_PER_QUARTER, ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.instruments import INSTRUMENTS

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_DEGREES = (0, 4, 5, 2, 3, 0, 3, 4)  # I V vi iii IV I IV V
_COMPOUND = ("3/8", "6/8", "9/8", "12/8")


def make_tonal_draft(
    instruments: tuple[str, ...], key: str = "C major", metre: str = "4/4", bars: int = 8, tempo_bpm: int = 96
) -> Draft:
    controls = ScoreControls(
        instruments=instruments, key=parse_key(key), metre=metre, tempo_bpm=tempo_bpm, bars=bars,
        texture="flowing", density="moderate", dynamics="mf", title="A piece made by rule",
    )  # fmt: skip
    parts = []
    for number, name in enumerate(instruments):
        kind = INSTRUMENTS[name]
        if kind.layout == "grand":
            upper = _line(controls, 72 if kind.low < 60 else 84, 6, kind.low, kind.high, chords=True)
            lower = _line(controls, 52 if kind.low < 52 else kind.low + 6, 12, kind.low, kind.high, chords=False)
            parts.append(Part(name, (upper, lower)))
        else:
            centre = (kind.low + kind.high) // 2 - 2 * number
            step = 6 if number == 0 else TICKS_PER_QUARTER
            parts.append(
                Part(name, (_line(controls, centre, step, kind.low, kind.high, chords=kind.layout == "chords"),))
            )
    return Draft(controls, tuple(parts))


def _line(controls: ScoreControls, centre: int, step: int, low: int, high: int, *, chords: bool) -> tuple[Note, ...]:
    scale = _SCALES[controls.key.mode]
    if controls.metre in _COMPOUND:
        step = 6 if step == 6 else 18
    notes: set[Note] = set()
    for bar in range(controls.bars):
        degree = 0 if bar == controls.bars - 1 else _DEGREES[bar % len(_DEGREES)]
        start, length = bar * controls.bar_ticks, controls.bar_ticks
        last = bar == controls.bars - 1
        onsets = [0] if last else list(range(0, length, step))
        for k, onset in enumerate(onsets):
            third = (degree + 2 * (k % 3)) % 7
            pitch_class = scale[third]
            if controls.key.mode == "minor" and degree == 4 and third == 6:
                pitch_class += 1  # the leading tone
            duration = length if last else min(step, length - onset)
            pitch = _near(controls.key.tonic + pitch_class, centre, low, high)
            notes.add(Note(start + onset, pitch, duration))
            if chords and k % 2 == 0:
                below = _near(controls.key.tonic + scale[degree], pitch - 6, low, high)
                if below != pitch:
                    notes.add(Note(start + onset, below, duration))
    return tuple(sorted(notes))


def _near(pitch_class: int, centre: int, low: int, high: int) -> int:
    return min((p for p in range(low, high + 1) if p % 12 == pitch_class % 12), key=lambda p: abs(p - centre))


@pytest.fixture(scope="session")
def tonal_draft() -> Callable[..., Draft]:
    return make_tonal_draft
