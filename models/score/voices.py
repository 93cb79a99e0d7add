"""Voices of a staff: notes that overlap are told apart so that each voice plays one chord at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from models.score.draft import Note

_CROSSING = 24  # semitones of melodic leap that one crossing of voices is worth


@dataclass(frozen=True, slots=True)
class Chord:
    """Notes that begin and end together. `pitches` ascend."""

    onset: int
    end: int
    pitches: tuple[int, ...]


def split_voices(notes: Sequence[Note]) -> tuple[tuple[Chord, ...], ...]:
    """Share the notes of one staff among as few voices as overlap needs, higher voices first.

    Every note is in exactly one chord; the chords of a voice are in order and never overlap.
    """
    voices: list[list[Chord]] = []
    for passage in _passages(_chords(notes)):
        for v, line in enumerate(_share(passage)):
            if v == len(voices):
                voices.append([])
            voices[v].extend(line)
    return tuple(tuple(voice) for voice in voices)


def _passages(chords: list[Chord]) -> Iterator[list[Chord]]:
    """Yield stretches of chords that hang together by overlap."""
    passage: list[Chord] = []
    end = 0
    for chord in chords:
        if passage and chord.onset >= end:
            yield passage
            passage = []
        passage.append(chord)
        end = max(end, chord.end)
    if passage:
        yield passage


def _share(passage: list[Chord]) -> list[list[Chord]]:
    lines: list[list[Chord]] = []
    for chord in passage:
        free = [v for v, line in enumerate(lines) if line[-1].end <= chord.onset]
        if free:
            lines[min(free, key=lambda v: (_cost(lines, v, chord), v))].append(chord)
        else:
            lines.append([chord])
    return sorted(lines, key=lambda line: -sum(c.pitches[-1] for c in line) / len(line))


def _chords(notes: Sequence[Note]) -> list[Chord]:
    """Group notes of one onset and length; at one onset the highest chord comes first."""
    ordered = sorted(notes, key=lambda n: (n.onset, n.duration, n.pitch))
    chords = [
        Chord(onset, onset + duration, tuple(n.pitch for n in group))
        for (onset, duration), group in groupby(ordered, key=lambda n: (n.onset, n.duration))
    ]
    return sorted(chords, key=lambda c: (c.onset, -c.pitches[-1], c.end))


def _cost(lines: list[list[Chord]], v: int, chord: Chord) -> int:
    """Weigh a line: how far the chord leaps from its last one, and whether it crosses a line that sounds."""
    top, last = chord.pitches[-1], lines[v][-1].pitches[-1]
    sounding = [line[-1].pitches[-1] for line in lines if line[-1].end > chord.onset]
    crossings = sum((other > last) != (other > top) for other in sounding)
    return abs(last - top) + _CROSSING * crossings
