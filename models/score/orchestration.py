"""From controls to staves: which staff each instrument fills, in what range, and the header the model is given."""

from __future__ import annotations

from collections import Counter

from models.key import Key
from models.score.controls import ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.encoding import Notes, tonic_shift
from models.score.grammar import StaffPlan
from models.score.instruments import INSTRUMENTS, Instrument
from models.score.key import find_key, pitch_class_weights
from models.score.vocabulary import HIGHEST, LOWEST, VOCABULARY, StaffKind

COMFORT = 18  # semitones either side of a staff's centre that it may use
DESK = 4  # semitones by which each further desk of one instrument lies lower
SPLIT = 60  # where a keyboard's hands meet, if it reaches that far


def plan_staves(controls: ScoreControls) -> tuple[StaffPlan, ...]:
    """Return one plan a staff, in score order, with pitches relative to the tonic."""
    shift = tonic_shift(controls.key)
    plans: list[StaffPlan] = []
    desks: Counter[str] = Counter()
    for name in controls.instruments:
        for kind, low, high, centre in _staves(INSTRUMENTS[name], desks[name]):
            low, high = max(low, centre - COMFORT), min(high, centre + COMFORT)
            token = VOCABULARY.staff(kind, centre - shift)
            plans.append(StaffPlan(kind, token, max(low - shift, LOWEST), min(high - shift, HIGHEST)))
        desks[name] += 1
    return tuple(plans)


def header_tokens(controls: ScoreControls, plans: tuple[StaffPlan, ...]) -> tuple[int, ...]:
    """Return the header that asks for the controls, a clear key and an opening."""
    token = VOCABULARY.token
    return (
        VOCABULARY.begin,
        token("mode", controls.key.mode),
        token("metre", controls.metre),
        VOCABULARY.tempo(controls.tempo_bpm),
        token("texture", controls.texture),
        token("density", controls.density),
        token("clarity", "clear"),
        token("opening", "start"),
        *(plan.token for plan in plans),
    )


def to_draft(controls: ScoreControls, staves: list[list[tuple[int, int, int]]]) -> Draft:
    """Gather decoded staves into parts, transposed to the key."""
    shift = tonic_shift(controls.key)
    remaining = iter(staves)
    parts = tuple(
        Part(name, tuple(_sounding(next(remaining), shift) for _ in range(staff_count(INSTRUMENTS[name]))))
        for name in controls.instruments
    )
    return Draft(controls, parts)


def staff_count(instrument: Instrument) -> int:
    """Return on how many staves an instrument is written."""
    return 2 if instrument.layout == "grand" else 1


def heard_key(staves: list[list[tuple[int, int, int]]], controls: ScoreControls) -> Key:
    """Return the key a listener's model hears in decoded staves, transposed to where they will stand."""
    shift = tonic_shift(controls.key)
    return find_key(pitch_class_weights((pitch + shift, ticks) for notes in staves for _, ticks, pitch in notes))[0]


def _staves(instrument: Instrument, desk: int) -> list[tuple[StaffKind, int, int, int]]:
    """Return (kind, low, high, centre) of each staff, in sounding pitch."""
    low, high = instrument.low, instrument.high
    if instrument.layout == "grand":
        split = min(max(SPLIT, low + 10), high - 14)
        return [
            ("upper", split - 8, high, min(split + 10, high - 10)),
            ("lower", low, split + 7, max(split - 12, low + 6)),
        ]
    centre = round(low + 0.42 * (high - low)) - DESK * desk
    return [("chords" if instrument.layout == "chords" else "line", low, high, max(centre, low + 8))]


def _sounding(notes: Notes, shift: int) -> tuple[Note, ...]:
    return tuple(sorted(Note(onset, pitch + shift, ticks) for onset, ticks, pitch in notes))
