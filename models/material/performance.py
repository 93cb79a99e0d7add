"""Clips as notes: which instruments play which lines, how fast, how loud, in which room.

Every choice comes from a generator keyed by (seed, clip), so a clip does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.material.grooves import STYLES, band, drum_beats
from models.material.instruments import ACCOMPANIMENTS, ENSEMBLES, LEADS, SOUNDS
from models.material.labels import TEMPI, Labels, Tempo
from models.material.scores import Notes, Piece
from models.material.synth import DRUM_CHANNEL, Note, Room
from models.score.key import find_key, pitch_class_weights

_CERTAIN_KEY = 0.04  # how far the best key must lead
_LEAD_IN_S = 1.5  # notes before the clip sound into it
_TRIES = 12
_FITTING = {"slow": (0.4, 4.5), "medium": (0.8, 8.0), "fast": (2.5, 14.0)}  # onsets a second that suit a tempo
Voice = tuple[str, Notes]  # an instrument and its notes, in quarters


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Notes of one clip, ready for the synth."""

    labels: Labels
    sources: tuple[str, ...]
    notes: tuple[Note, ...]
    programs: tuple[tuple[int, int], ...]
    room: Room
    start_s: float


class UnplayableError(ValueError):
    """No passage was found that suits what was drawn; draw again with another key."""


def perform(
    kind: Literal["solo", "ensemble", "band", "drums"],
    pieces: Sequence[Piece],
    duration_s: float,
    rng: np.random.Generator,
) -> Performance:
    """Arrange one clip.

    Raises:
        UnplayableError: nothing suitable was found.
    """
    tempo = _draw_tempo(rng)
    bpm = float(rng.uniform(*TEMPI[tempo]))
    if kind in ("band", "drums"):
        return _by_rule(kind, tempo, bpm, duration_s, rng)
    for _ in range(_TRIES):
        piece = pieces[int(rng.integers(len(pieces)))]
        voices = _solo(piece, rng) if kind == "solo" else _ensemble(piece, rng)
        length_q = (duration_s + _LEAD_IN_S) * bpm / 60
        cut = _excerpt(voices, length_q, rng) if voices else None
        if cut is None:
            continue
        rate = len({float(onset) for _, notes in cut for onset in notes[:, 0]}) / (duration_s + _LEAD_IN_S)
        if not _FITTING[tempo][0] <= rate <= _FITTING[tempo][1]:
            continue
        fitted = _into_ranges(cut, rng)
        labels = Labels(kind=kind, tempo=tempo, tempo_bpm=round(bpm, 1), onsets_per_s=round(rate, 2))
        return _played(fitted, labels, (piece.file,), bpm, rng)
    raise UnplayableError(f"no passage suits a {tempo} {kind}")


def _draw_tempo(rng: np.random.Generator) -> Tempo:
    options: tuple[Tempo, ...] = ("slow", "medium", "fast")
    return options[int(rng.integers(3))]


def _solo(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    names = list(SOUNDS)
    weights = np.array([SOUNDS[name].weight for name in names])
    name = str(rng.choice(names, p=weights / weights.sum()))
    if not SOUNDS[name].chords:
        return [(name, piece.lines[int(rng.integers(len(piece.lines)))])]
    if piece.keyboard is not None and rng.random() < 0.85:
        return [(name, piece.keyboard)]
    return [(name, line) for line in piece.lines] if len(piece.lines) > 1 else []


def _ensemble(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    if piece.keyboard is not None:
        lead, under = str(rng.choice(LEADS)), str(rng.choice(ACCOMPANIMENTS))
        return [(lead, piece.lines[0]), (under, piece.keyboard)] if lead != under else []
    if len(piece.lines) < 2:
        return []
    names = ENSEMBLES[int(rng.integers(len(ENSEMBLES)))]
    voices = list(zip(names, piece.lines, strict=False))
    if len(voices) > 2 and rng.random() < 0.25:
        first = int(rng.integers(len(voices) - 1))
        voices = voices[first : first + 2]
    return voices


def _excerpt(voices: list[Voice], length_q: float, rng: np.random.Generator) -> list[Voice] | None:
    """Cut the same quarters out of every voice; None if a voice is silent there or the music is too thin."""
    end_q = max(float((notes[:, 0] + notes[:, 1]).max()) for _, notes in voices)
    if end_q < length_q:
        return None
    start = float(np.floor(rng.uniform(0, end_q - length_q)))
    cut = []
    for name, notes in voices:
        inside = notes[(notes[:, 0] >= start) & (notes[:, 0] < start + length_q)].copy()
        if len(inside) < 3:
            return None
        inside[:, 0] -= start
        cut.append((name, inside))
    return cut


def _into_ranges(voices: list[Voice], rng: np.random.Generator) -> list[Voice]:
    """Transpose all by one interval, then each by octaves into its range; drop what still lies outside."""
    shift = int(rng.integers(-5, 7))
    fitted = []
    for name, notes in voices:
        sound = SOUNDS[name]
        moved = notes.copy()
        moved[:, 2] += shift
        octaves = max(range(-4, 5), key=lambda o: (_inside(moved[:, 2] + 12 * o, sound.low, sound.high), -abs(o)))
        moved[:, 2] += 12 * octaves
        fitted.append((name, moved[(moved[:, 2] >= sound.low) & (moved[:, 2] <= sound.high)]))
    return fitted


def _inside(pitches: Notes, low: int, high: int) -> int:
    return int(((pitches >= low) & (pitches <= high)).sum())


def _by_rule(
    kind: Literal["band", "drums"], tempo: Tempo, bpm: float, duration_s: float, rng: np.random.Generator
) -> Performance:
    style = STYLES[int(rng.integers(len(STYLES)))]
    bars = int(np.ceil((duration_s + _LEAD_IN_S) * bpm / 60 / style.quarters)) + 1
    labels = Labels(kind=kind, tempo=tempo, tempo_bpm=round(bpm, 1), style=style.name, drums=True)
    if kind == "drums":
        kit = int(rng.choice(style.kits))
        drums = np.array(drum_beats(style, bars, rng), dtype=np.float32)
        return _played([], labels, (), bpm, rng, drums=drums, kit=kit)
    mode: Literal["major", "minor"] = "major" if rng.random() < 0.5 else "minor"
    played = band(style, int(rng.integers(12)), mode, bars, rng)
    voices = [(name, np.array(beats, dtype=np.float32)) for name, beats in played.parts.items() if name != "drums"]
    drums = np.array(played.parts["drums"], dtype=np.float32)
    return _played(voices, labels, (), bpm, rng, drums=drums, kit=played.kit)


def _played(
    voices: list[Voice],
    labels: Labels,
    sources: tuple[str, ...],
    bpm: float,
    rng: np.random.Generator,
    *,
    drums: Notes | None = None,
    kit: int = 0,
) -> Performance:
    loudness = float(rng.uniform(0, 1))
    base = 52 + 58 * loudness
    notes: list[Note] = []
    programs: list[tuple[int, int]] = []
    names = list(dict.fromkeys(name for name, _ in voices))
    channels = [c for c in range(16) if c != DRUM_CHANNEL]
    for channel, name in zip(channels, names, strict=False):
        programs.append((channel, int(rng.choice(SOUNDS[name].programs))))
    for order, (name, rows) in enumerate(voices):
        level = base - 6 * (order > 0) * (drums is None)
        notes += _sounding(rows, channels[names.index(name)], bpm, level, rng)
    if drums is not None:
        programs.append((DRUM_CHANNEL, kit))
        notes += _sounding(drums, DRUM_CHANNEL, bpm, base + 8, rng)
    key, lead = find_key(
        pitch_class_weights((n.pitch, round(1000 * n.duration_s)) for n in notes if n.channel != DRUM_CHANNEL)
    )
    certain = bool(names) and lead > _CERTAIN_KEY
    labels = replace(
        labels,
        instruments=tuple(names),
        key=key.name if certain else None,
        mode=key.mode if certain else None,
        loudness="loud" if loudness > 0.75 else "soft" if loudness < 0.25 else None,
        onsets_per_s=labels.onsets_per_s
        or round(len({round(n.onset_s, 2) for n in notes}) / max(n.onset_s for n in notes), 2),
    )
    dry = rng.random() < 0.2
    room = Room(
        decay_s=float(rng.uniform(0.25, 2.2)),
        dullness=float(rng.uniform(0.1, 0.9)),
        level=0.0 if dry else float(rng.uniform(0.1, 0.7)),
        seed=int(rng.integers(2**32)),
    )
    return Performance(
        labels=labels, sources=sources, notes=tuple(notes), programs=tuple(programs), room=room, start_s=_LEAD_IN_S
    )


def _sounding(rows: Notes, channel: int, bpm: float, level: float, rng: np.random.Generator) -> list[Note]:
    """Turn quarters into seconds, with a little human unevenness, accents on the beat and a swell over the clip."""
    seconds = 60 / bpm
    onsets = rows[:, 0] * seconds + rng.normal(0, 0.006, len(rows))
    durations = np.maximum(rows[:, 1] * seconds * rng.uniform(0.8, 1.02), 0.06)
    swell = 6 * np.sin(rows[:, 0] / rng.uniform(6, 16) + rng.uniform(0, 6.3))
    accents = 5.0 * (np.abs(rows[:, 0] - np.round(rows[:, 0])) < 0.05)
    given = rows[:, 3] - 85 if rows.shape[1] > 3 else 0.0
    velocities = np.clip(level + swell + accents + given + rng.normal(0, 3, len(rows)), 20, 124)
    return [
        Note(max(float(t), 0.0), float(d), int(p), int(v), channel)
        for t, d, p, v in zip(onsets, durations, rows[:, 2], velocities, strict=True)
    ]
