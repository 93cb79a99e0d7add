"""Music written by rule: drum grooves, and bands of drums, bass, chords and a lead over a chord progression.

Times are quarters. Patterns are steps of a sixteenth over one bar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KICK, RIM, SNARE, CLAP, CLOSED, OPEN, CRASH, RIDE, TAMBOURINE, SHAKER, CONGA_HIGH, CONGA_LOW, TOM_HIGH, TOM_LOW = (
    36, 37, 38, 39, 42, 46, 49, 51, 54, 70, 62, 64, 48, 43,
)  # fmt: skip
Beat = tuple[float, float, int, int]  # onset and duration in quarters, pitch, velocity


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A manner of playing: its drum pattern, kits, bass, chords, leads and how swung it is."""

    name: str
    drums: tuple[tuple[int, str], ...]  # x hit, o soft hit, ? sometimes
    kits: tuple[int, ...]
    bass: tuple[str, str]  # instrument and manner: root, fifths, eighths, walking, syncopated
    chords: tuple[str, ...]
    manner: str  # block, arpeggio, offbeat, stabs, strum
    leads: tuple[str, ...]
    swing: float = 0.0
    quarters: int = 4


STYLES: tuple[Style, ...] = (
    Style(
        name="rock",
        kits=(0, 8, 16),
        bass=("bass", "eighths"),
        manner="strum",
        drums=((KICK, "x.....?.x.x....."), (SNARE, "....x.......x..?"), (CLOSED, "x.x.x.x.x.x.x.x.")),
        chords=("distorted guitar", "electric guitar"),
        leads=("electric guitar", "distorted guitar", "organ"),
    ),
    Style(
        name="pop",
        kits=(0, 8, 24),
        bass=("bass", "root"),
        manner="block",
        drums=(
            (KICK, "x..?..x.x..?..?."),
            (SNARE, "....x.......x..."),
            (CLOSED, "x.x.x.x.x.x.x.xo"),
            (CLAP, "............?..."),
        ),
        chords=("piano", "electric piano", "guitar", "synth pad"),
        leads=("synth lead", "piano", "electric guitar", "flute"),
    ),
    Style(
        name="electronic dance",
        kits=(24, 25),
        bass=("bass", "syncopated"),
        manner="stabs",
        drums=(
            (KICK, "x...x...x...x..."),
            (CLAP, "....x.......x..."),
            (OPEN, "..x...x...x...x."),
            (CLOSED, "xoxoxoxoxoxoxoxo"),
        ),
        chords=("synth pad", "synth lead"),
        leads=("synth lead",),
    ),
    Style(
        name="hip hop",
        kits=(25, 24),
        bass=("bass", "syncopated"),
        manner="block",
        drums=((KICK, "x..x....?.x....?"), (SNARE, "....x.......x..."), (CLOSED, "x.xox.x.x.xox?x.")),
        chords=("electric piano", "piano", "strings"),
        leads=("synth lead", "vibraphone", "flute"),
        swing=0.12,
    ),
    Style(
        name="jazz",
        kits=(32, 40),
        bass=("double bass", "walking"),
        manner="stabs",
        drums=(
            (RIDE, "x...x.x.x...x.x."),
            (CLOSED, "....x.......x..."),
            (KICK, "x.......?......."),
            (SNARE, "...?....?....?.."),
        ),
        chords=("piano", "guitar", "vibraphone"),
        leads=("saxophone", "trumpet", "clarinet", "piano", "vibraphone"),
        swing=0.33,
    ),
    Style(
        name="bossa nova",
        kits=(0, 32),
        bass=("double bass", "fifths"),
        manner="offbeat",
        drums=((KICK, "x..ox..ox..ox..o"), (RIM, "x..x..x...x..x.."), (SHAKER, "xoxoxoxoxoxoxoxo")),
        chords=("guitar", "electric piano"),
        leads=("flute", "saxophone", "guitar", "piano"),
    ),
    Style(
        name="funk",
        kits=(0, 8),
        bass=("bass", "syncopated"),
        manner="offbeat",
        drums=((KICK, "x.x...?...x..x.."), (SNARE, "....x..o.o..x..o"), (CLOSED, "xxxxxxxxxxxxxx?x")),
        chords=("electric guitar", "organ", "electric piano"),
        leads=("saxophone", "brass", "synth lead"),
    ),
    Style(
        name="reggae",
        kits=(0, 8),
        bass=("bass", "syncopated"),
        manner="offbeat",
        drums=((KICK, "........x......."), (RIM, "........x......?"), (CLOSED, "x.xox.xox.xox.xo")),
        chords=("guitar", "organ"),
        leads=("saxophone", "trombone", "organ", "harmonica"),
    ),
    Style(
        name="latin",
        kits=(0,),
        bass=("bass", "syncopated"),
        manner="stabs",
        drums=(
            (CONGA_LOW, "x..x..x...xx..x."),
            (CONGA_HIGH, "..x..x..x...x..x"),
            (SHAKER, "xoxoxoxoxoxoxoxo"),
            (KICK, "x.....x.x.....x."),
        ),
        chords=("piano", "guitar"),
        leads=("trumpet", "brass", "flute"),
    ),
    Style(
        name="country",
        kits=(0, 8),
        bass=("bass", "fifths"),
        manner="strum",
        drums=((KICK, "x.......x......."), (SNARE, "....x..?....x.x."), (CLOSED, "x.x.x.x.x.x.x.x.")),
        chords=("guitar", "banjo"),
        leads=("violin", "harmonica", "banjo", "electric guitar"),
    ),
    Style(
        name="ballad",
        kits=(0, 40),
        bass=("bass", "root"),
        manner="arpeggio",
        drums=((KICK, "x.........x....."), (RIM, "........x......."), (CLOSED, "x...x...x...x...")),
        chords=("piano", "guitar", "electric piano"),
        leads=("strings", "violin", "saxophone", "flute", "cello"),
    ),
    Style(
        name="waltz",
        kits=(0, 40),
        bass=("double bass", "root"),
        manner="offbeat",
        quarters=3,
        drums=((KICK, "x..........."), (SNARE, "....o...o..."), (CLOSED, "x...x...x...")),
        chords=("accordion", "piano", "guitar"),
        leads=("violin", "clarinet", "accordion", "flute"),
    ),
    Style(
        name="march",
        kits=(0, 48),
        bass=("tuba", "fifths"),
        manner="offbeat",
        drums=((KICK, "x.......x......."), (SNARE, "x..xx.x.x.xxx.xx"), (CRASH, "x...............")),
        chords=("brass", "horn"),
        leads=("trumpet", "clarinet", "flute"),
    ),
)
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS = {
    "major": (
        (0, 4, 5, 3),
        (0, 5, 3, 4),
        (0, 3, 4, 0),
        (0, 3, 0, 4),
        (1, 4, 0, 0),
        (0, 2, 3, 4),
        (5, 3, 0, 4),
        (0, 0, 3, 4),
    ),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 5, 3, 4), (0, 0, 3, 4), (0, 3, 6, 2), (0, 2, 5, 4)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What a band plays: beats of each part by its instrument ("drums" for the kit)."""

    style: Style
    kit: int
    parts: dict[str, list[Beat]]


def drum_beats(style: Style, bars: int, rng: np.random.Generator) -> list[Beat]:
    """Play a style's drum pattern with small changes from bar to bar and a fill every fourth."""
    beats: list[Beat] = []
    left_out = rng.random(len(style.drums)) < 0.12
    for bar in range(bars):
        fill = bar % 4 == 3 and rng.random() < 0.6
        steps = 4 * style.quarters
        for (pitch, pattern), out in zip(style.drums, left_out, strict=True):
            if out and len(style.drums) > 2:
                continue
            for step, mark in enumerate(pattern[:steps]):
                if mark == "." or (mark == "?" and rng.random() < 0.6) or (fill and step >= steps - 4):
                    continue
                velocity = (62 if mark == "o" else 96) + int(rng.integers(-10, 11)) + (8 if step % 4 == 0 else 0)
                beats.append((_at(style, bar, step), 0.2, pitch, min(velocity, 122)))
        if fill:
            toms = rng.choice([SNARE, TOM_HIGH, TOM_LOW], size=4)
            beats += [
                (_at(style, bar, steps - 4 + i), 0.2, int(t), 90 + 8 * i)
                for i, t in enumerate(toms)
                if rng.random() < 0.85
            ]
        if bar % 4 == 0 and rng.random() < 0.35:
            beats.append((_at(style, bar, 0), 1.0, CRASH, 92))
    return beats or [(_at(style, bar, 0), 0.2, KICK, 96) for bar in range(bars)]


def band(style: Style, tonic: int, mode: str, bars: int, rng: np.random.Generator) -> Band:
    """Write bass, chords and, mostly, a lead over a progression of four chords, with drums.

    Args:
        style: the manner.
        tonic: pitch class, 0 to 11.
        mode: "major" or "minor".
        bars: how many.
        rng: where the choices come from.
    """
    scale = _MAJOR if mode == "major" else _MINOR
    options = _PROGRESSIONS[mode]
    progression = options[int(rng.integers(len(options)))]
    roots = [progression[bar % 4] for bar in range(bars)]
    chords_by = str(rng.choice(style.chords))
    parts: dict[str, list[Beat]] = {"drums": drum_beats(style, bars, rng)}
    parts[style.bass[0]] = [b for bar, root in enumerate(roots) for b in _bass(style, bar, root, tonic, scale, rng)]
    parts[chords_by] = [b for bar, root in enumerate(roots) for b in _chords(style, bar, root, tonic, scale)]
    lead = str(rng.choice(style.leads))
    if lead not in parts and rng.random() < 0.75:
        parts[lead] = _lead(style, roots, tonic, scale, rng)
    return Band(style=style, kit=int(rng.choice(style.kits)), parts=parts)


def _at(style: Style, bar: int, step: float) -> float:
    late = style.swing / 2 if round(step) % 4 == 2 else 0.0
    return bar * style.quarters + step / 4 + late


def _degree(tonic: int, scale: tuple[int, ...], degree: int, octave: int) -> int:
    return 12 * (octave + degree // 7) + tonic + scale[degree % 7]


def _bass(
    style: Style, bar: int, root: int, tonic: int, scale: tuple[int, ...], rng: np.random.Generator
) -> list[Beat]:
    pitch, fifth = (_degree(tonic, scale, root + d, 2) for d in (0, 4))
    pitch, fifth = ((p - 12 if p > 48 else p) for p in (pitch, fifth))
    n = style.quarters
    match style.bass[1]:
        case "root":
            return [(_at(style, bar, 0), n * 0.9, pitch, 92)]
        case "fifths":
            return [(_at(style, bar, 0), 1.4, pitch, 94), (_at(style, bar, 2 * n), 1.4, fifth, 88)]
        case "eighths":
            return [(_at(style, bar, s), 0.45, pitch, 92 + 6 * (s % 4 == 0)) for s in range(0, 4 * n, 2)]
        case "walking":
            steps = [pitch, *(_degree(tonic, scale, root + int(d), 2) for d in rng.integers(-2, 6, n - 1))]
            return [(_at(style, bar, 4 * i), 0.9, p - 12 if p > 50 else p, 90) for i, p in enumerate(steps)]
        case _:
            hits = [0, *(s for s in range(3, 4 * n) if rng.random() < 0.22)]
            return [(_at(style, bar, s), 0.4, pitch + (12 if rng.random() < 0.15 else 0), 94) for s in hits]


def _chords(style: Style, bar: int, root: int, tonic: int, scale: tuple[int, ...]) -> list[Beat]:
    pitches = sorted(48 + (_degree(tonic, scale, root + d, 4) - 48) % 17 for d in (0, 2, 4))
    n = style.quarters
    match style.manner:
        case "block":
            return [(_at(style, bar, 0), n * 0.95, p, 72) for p in pitches]
        case "arpeggio":
            order = [pitches[i % 3] + (12 if i % 6 >= 3 else 0) for i in range(2 * n)]
            return [(_at(style, bar, 2 * i), 0.9, p, 70) for i, p in enumerate(order)]
        case "offbeat":
            starts = range(4, 4 * n, 4) if n == 3 else range(2, 4 * n, 4)
            return [(_at(style, bar, s), 0.4, p, 74) for s in starts for p in pitches]
        case "stabs":
            return [(_at(style, bar, s), 0.35, p, 80) for s in (0, 3, 6, 10, 12)[: n + 1] for p in pitches]
        case _:
            return [
                (_at(style, bar, s) + 0.02 * i, 0.45, p, 74)
                for s in range(0, 4 * n, 2)
                for i, p in enumerate(pitches)
            ]


def _lead(style: Style, roots: list[int], tonic: int, scale: tuple[int, ...], rng: np.random.Generator) -> list[Beat]:
    """Walk the scale in a rhythm that repeats every second bar, landing on chord tones on strong beats."""
    steps = 4 * style.quarters
    rhythms = [sorted({0, *(int(s) for s in rng.choice(steps, int(rng.integers(3, 8))))}) for _ in range(2)]
    degree, beats = int(rng.integers(4, 9)), list[Beat]()
    for bar, root in enumerate(roots):
        rhythm = rhythms[bar % 2]
        for step, following in zip(rhythm, [*rhythm[1:], steps], strict=True):
            if rng.random() < 0.1:
                continue
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 13))
            if step % 8 == 0:
                degree = min((root + d + 7 * o for d in (0, 2, 4) for o in (0, 1)), key=lambda d: abs(d - degree))
            length = max((following - step) / 4 * 0.92, 0.15)
            beats.append(
                (_at(style, bar, step), length, _degree(tonic, scale, degree, 5), 88 + int(rng.integers(-8, 9)))
            )
    return beats
