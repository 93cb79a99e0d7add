"""From a passage of music to the tokens that the score model learns, and back.

The labels in the header are measured on the very bars that follow, so that what the model is told is what it sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from models.key import Key
from models.score.controls import METRES, Density, Texture
from models.score.key import find_key, pitch_class_weights
from models.score.vocabulary import HIGHEST, LOWEST, VOCABULARY, StaffKind

Notes = Sequence[tuple[int, int, int]]  # (onset, duration, pitch) in ticks and semitones, sorted
CLEAR_LEAD = 0.08  # correlation by which the key of a passage leads the next best to be called clear
SPARSE_BELOW, DENSE_FROM = 0.85, 1.5  # attacks a quarter note and staff
MAX_CHORD = 5


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Bars of one metre, with everything the header says of them. Pitches are relative to the key's tonic."""

    metre: str
    bars: int
    tempo_bpm: float | None
    begins: bool
    ends: bool
    kinds: tuple[StaffKind, ...]
    staves: tuple[Notes, ...]
    key: Key
    clear: bool
    texture: Texture
    density: Density


def describe(
    *,
    metre: str,
    bars: int,
    tempo_bpm: float | None,
    begins: bool,
    ends: bool,
    staves: Sequence[tuple[StaffKind, Notes]],
) -> Excerpt:
    """Measure key, clarity, texture and density of the bars, and transpose them to a tonic of C."""
    key, lead = find_key(pitch_class_weights((p, d) for _, notes in staves for _, d, p in notes))
    shift = -tonic_shift(key)
    return Excerpt(
        metre=metre,
        bars=bars,
        tempo_bpm=tempo_bpm,
        begins=begins,
        ends=ends,
        kinds=tuple(kind for kind, _ in staves),
        staves=tuple([(o, d, p + shift) for o, d, p in notes] for _, notes in staves),
        key=key,
        clear=lead >= CLEAR_LEAD,
        texture=texture_of([notes for _, notes in staves]),
        density=density_of([notes for _, notes in staves], bars * METRES[metre]),
    )


def tonic_shift(key: Key) -> int:
    """Return by how many semitones a piece in C is moved to stand in the key, -5 to 6."""
    return key.tonic if key.tonic <= 6 else key.tonic - 12


def density_of(staves: Sequence[Notes], ticks: int) -> Density:
    """Classify the attacks a quarter note, averaged over the staves."""
    attacks = sum(len({onset for onset, _, _ in notes}) for notes in staves)
    rate = attacks / max(len(staves), 1) / max(ticks / 12, 1)
    return "sparse" if rate < SPARSE_BELOW else "moderate" if rate < DENSE_FROM else "dense"


def texture_of(staves: Sequence[Notes]) -> Texture:
    """Classify how the staves move together.

    chordal: most attacks bring three or more notes at once; contrapuntal: several lines that rarely attack together;
    flowing: a staff of quick single notes under slower ones; melody: anything else.
    """
    sounding: dict[int, int] = defaultdict(int)
    attacking: dict[int, int] = defaultdict(int)
    singles: list[int] = []
    for notes in staves:
        chords: dict[int, int] = defaultdict(int)
        for onset, _, _ in notes:
            chords[onset] += 1
            sounding[onset] += 1
        for onset in chords:
            attacking[onset] += 1
        singles.append(sum(size == 1 for size in chords.values()))
    if not sounding:
        return "melody"
    onsets = len(sounding)
    if sum(size >= 3 for size in sounding.values()) / onsets > 0.55:
        return "chordal"
    together = sum(attacking.values()) / onsets / len(staves)
    melodic = sum(1 for notes, single in zip(staves, singles, strict=True) if notes and single > 0.8 * len(notes))
    if len(staves) >= 2 and melodic >= 2 and together < 0.62 and melodic == len(staves):
        return "contrapuntal"
    lower = singles[1:] or singles
    if max(lower) / onsets > 0.6:
        return "flowing"
    return "melody"


def header(excerpt: Excerpt) -> list[int]:
    """Return the tokens before the first bar."""
    token = VOCABULARY.token
    centres = [sum(p for _, _, p in notes) / len(notes) if notes else 60.0 for notes in excerpt.staves]
    return [
        VOCABULARY.begin,
        token("mode", excerpt.key.mode),
        token("metre", excerpt.metre),
        VOCABULARY.tempo(excerpt.tempo_bpm),
        token("texture", excerpt.texture),
        token("density", excerpt.density),
        token("clarity", "clear" if excerpt.clear else "vague"),
        token("opening", "start" if excerpt.begins else "middle"),
        *(VOCABULARY.staff(kind, centre) for kind, centre in zip(excerpt.kinds, centres, strict=True)),
    ]


def encode(excerpt: Excerpt) -> list[int]:
    """Return header, bars and, where the excerpt closes its piece, the end token."""
    tokens = header(excerpt)
    staff_tokens = tokens[len(tokens) - len(excerpt.kinds) :]
    bar_ticks = METRES[excerpt.metre]
    events = [_events(notes, bar_ticks, kind) for kind, notes in zip(excerpt.kinds, excerpt.staves, strict=True)]
    over = [0] * len(events)  # where the next event of each staff begins if nothing is said, in ticks into the bar
    for bar in range(excerpt.bars):
        tokens.append(VOCABULARY.bar(excerpt.bars - bar if excerpt.ends else None))
        for staff, staff_token in enumerate(staff_tokens):
            tokens.append(staff_token)
            implied = over[staff]
            for onset, duration, pitches in events[staff].get(bar, ()):
                if onset != implied:
                    tokens.append(VOCABULARY.token("at", onset))
                tokens += [VOCABULARY.token("pitch", pitch) for pitch in pitches]
                tokens.append(VOCABULARY.token("duration", duration))
                implied = onset + duration
            over[staff] = max(implied - bar_ticks, 0)
    if excerpt.ends:
        tokens.append(VOCABULARY.end)
    return tokens


def decode(tokens: Sequence[int], kinds: int, bar_ticks: int) -> tuple[list[list[tuple[int, int, int]]], int]:
    """Return the notes of each staff, relative to the tonic, and the number of bars.

    The inverse of `encode` up to the header; `tokens` are those of a finished or unfinished sequence.
    """
    staves: list[list[tuple[int, int, int]]] = [[] for _ in range(kinds)]
    over = [0] * kinds
    bar, staff, onset = -1, 0, 0
    pitches: list[int] = []
    for name, value in (VOCABULARY.names[token] for token in tokens):
        match name, value:
            case "bar", _:
                if bar >= 0:
                    over[staff] = max(onset - bar_ticks, 0)
                bar, staff = bar + 1, -1
            case "staff", _ if bar >= 0:
                if staff >= 0:
                    over[staff] = max(onset - bar_ticks, 0)
                staff += 1
                onset = over[staff]
            case "at", int(tick):
                onset = tick
            case "pitch", int(pitch):
                pitches.append(pitch)
            case "duration", int(ticks):
                staves[staff] += [(bar * bar_ticks + onset, ticks, pitch) for pitch in pitches]
                onset, pitches = onset + ticks, []
            case _:
                pass
    return [sorted(notes) for notes in staves], bar + 1


def _events(notes: Notes, bar_ticks: int, kind: StaffKind) -> dict[int, list[tuple[int, int, list[int]]]]:
    """Group notes of one onset and duration into chords, by bar: {bar: [(onset in the bar, duration, pitches)]}."""
    chords: dict[tuple[int, int], set[int]] = defaultdict(set)
    for onset, duration, pitch in notes:
        if LOWEST <= pitch <= HIGHEST:
            chords[onset, duration].add(pitch)
    bars: dict[int, list[tuple[int, int, list[int]]]] = defaultdict(list)
    for (onset, duration), pitches in sorted(chords.items()):
        chosen = sorted(pitches)[-1:] if kind == "line" else sorted(pitches)[:MAX_CHORD]
        bars[onset // bar_ticks].append((onset % bar_ticks, duration, chosen))
    return bars
