"""Spelling of pitches: which of C sharp and D flat a key and its surroundings ask for.

Spellings are places on the line of fifths: F -1, C 0, G 1, D 2 ... B 5, F# 6; a sharp adds 7, a flat takes 7 away.
A chromatic note takes the place nearest to the notes around it, as a chord lies together on that line (Temperley,
"The Cognition of Basic Musical Structures", chapter 5; Chew and Chen's spiral array).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from models.key import Key
from models.score.draft import Note

_STEPS = "FCGDAEB"
_STEP_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_TONICS = {"Db": -5, "Ab": -4, "Eb": -3, "Bb": -2, "F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5,
           "F#": 6, "C#": 7, "G#": 8}  # fmt: skip
_MAJOR = {0: 0, 2: 2, 4: 4, 5: -1, 7: 1, 9: 3, 11: 5}  # semitones above the tonic -> fifths above it
_MINOR = {0: 0, 2: 2, 3: -3, 5: -1, 7: 1, 8: -4, 10: -2, 9: 3, 11: 5}  # with the raised sixth and seventh
_USUAL_MAJOR = {1: 7, 3: -3, 6: 6, 8: 8, 10: -2}
_USUAL_MINOR = {1: -5, 4: 4, 6: 6}
_FLATTEST, _SHARPEST = -6, 10  # how far from the tonic a chromatic note may be spelled
_UNUSUAL, _LED = 3.0, 6.0  # weights of the usual spelling and of a semitone step to the next note
_BEAT = 12
_NEAR = 8  # notes of a beat that are asked


@dataclass(frozen=True, slots=True)
class Spelling:
    """A written pitch: letter, alteration in semitones and octave (middle C is C4)."""

    step: str
    alter: int
    octave: int


def tonic_fifths(key: Key) -> int:
    """Return the tonic's place on the line of fifths."""
    return _TONICS[key.name.split()[0]]


def signature(key: Key) -> int:
    """Return the sharps (positive) or flats (negative) of the key signature."""
    return tonic_fifths(key) - (3 if key.mode == "minor" else 0)


def letter(fifths: int) -> tuple[str, int]:
    """Return the letter and alteration at a place on the line of fifths."""
    return _STEPS[(fifths + 1) % 7], (fifths + 1) // 7


def spelled(pitch: int, fifths: int) -> Spelling:
    """Return the spelling of a MIDI pitch at a place on the line of fifths that belongs to its pitch class."""
    step, alter = letter(fifths)
    return Spelling(step, alter, (pitch - alter - _STEP_SEMITONES[step]) // 12 - 1)


class Speller:
    """Spells the notes of one draft in its key; knows what sounds around each note."""

    def __init__(self, key: Key, staves: Sequence[Sequence[Note]]) -> None:
        self._key = key
        self._tonic = tonic_fifths(key)
        self._scale = _MAJOR if key.mode == "major" else _MINOR
        self._usual = _USUAL_MAJOR if key.mode == "major" else _USUAL_MINOR
        self._around: dict[int, list[int]] = defaultdict(list)  # beat -> fifths of the scale notes in it
        for staff in staves:
            for note in staff:
                if (fifths := self._in_scale(note.pitch)) is not None:
                    for beat in range(note.onset // _BEAT, (note.end - 1) // _BEAT + 1):
                        self._around[beat].append(fifths)

    def spell_staff(self, notes: Sequence[Note]) -> dict[Note, int]:
        """Return each note's place on the line of fifths."""
        following = _next_by_step(notes)
        places: dict[Note, int] = {}
        for note in notes:
            place = self._in_scale(note.pitch)
            places[note] = self._chromatic(note, following.get(note)) if place is None else place
        return places

    def _in_scale(self, pitch: int) -> int | None:
        above = self._scale.get((pitch - self._key.tonic) % 12)
        return None if above is None else self._tonic + above

    def _chromatic(self, note: Note, following: int | None) -> int:
        usual = self._tonic + self._usual[(note.pitch - self._key.tonic) % 12]
        near = self._around[note.onset // _BEAT][:_NEAR]
        candidates = [f for f in (usual - 12, usual, usual + 12) if _FLATTEST <= f - self._tonic <= _SHARPEST]

        def cost(fifths: int) -> float:
            spread = sum(abs(fifths - other) for other in near) / max(len(near), 1)
            led = 0.0
            if following is not None and (target := self._in_scale(following)) is not None:
                led = _LED * (abs(fifths - target) == 7)  # the same letter, altered: not a step
            return spread + _UNUSUAL * (fifths != usual) + led

        return min(candidates, key=lambda f: (cost(f), abs(f - self._tonic), f))


def _next_by_step(notes: Sequence[Note]) -> dict[Note, int]:
    """Return the pitch that follows each note in its staff by a semitone, repetitions passed over."""
    onsets: dict[int, dict[int, Note]] = defaultdict(dict)
    for note in notes:
        onsets[note.onset][note.pitch] = note
    times = sorted(onsets)
    found: dict[Note, int] = {}
    for now, later in reversed(list(pairwise(times))):
        for pitch, note in onsets[now].items():
            if (again := onsets[later].get(pitch)) is not None:
                if again in found:
                    found[note] = found[again]
            elif (step := next((p for p in (pitch + 1, pitch - 1) if p in onsets[later]), None)) is not None:
                found[note] = step
    return found
