"""A judge of keys: key profiles over a chromagram, by libsonare."""

from __future__ import annotations

from dataclasses import dataclass

import libsonare
import numpy as np

from models.judges.sound import Waveform

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
ALTERATIONS = {"": 0, "#": 1, "b": -1, "-": -1}
# How near a wrong key is: the weights of MIREX's task of audio key detection.
FIFTH, RELATIVE, PARALLEL = 0.5, 0.3, 0.2


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic as a pitch class, from C = 0, and a mode."""

    tonic: int
    minor: bool

    def __str__(self) -> str:
        return f"{NAMES[self.tonic]} {'minor' if self.minor else 'major'}"


def parse_key(text: str) -> Key:
    """Read a key as in "Eb major" or "F# minor".

    Raises:
        ValueError: it is none.
    """
    name, _, mode = text.partition(" ")
    if name[:1] not in STEPS or name[1:] not in ALTERATIONS or mode not in ("major", "minor"):
        raise ValueError(f"{text!r} is not a key; write it as in 'Eb major'")
    return Key((STEPS[name[0]] + ALTERATIONS[name[1:]]) % 12, mode == "minor")


def key_of(waveform: Waveform, sample_rate_hz: int) -> Key:
    """Return the major or minor key that a waveform is heard in."""
    return parse_key(str(libsonare.detect_key(np.ascontiguousarray(waveform, dtype=np.float32), sample_rate_hz)))


def key_score(true: Key, heard: Key) -> float:
    """Return 1 for the key itself, less for its fifth, its relative and its parallel, 0 for others."""
    if heard == true:
        return 1.0
    apart = (heard.tonic - true.tonic) % 12
    if heard.minor == true.minor:
        return FIFTH if apart == 7 else 0.0
    if apart == 0:
        return PARALLEL
    return RELATIVE if apart == (3 if true.minor else 9) else 0.0
