"""Keys: a tonic and a mode, how they are written, and which are near to which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

Mode = Literal["major", "minor"]

MAJOR_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_NAMES: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_STEPS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS: Final = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "-": -1}
_KEY: Final = re.compile(
    r"([A-G])(?:(-)(?=\s)|[\s-]?(#|♯|sharp|b|♭|flat)?)\s*(major|minor)",  # "B- minor" is music21's B flat minor
    re.IGNORECASE,
)


class NoKeyError(ValueError):
    """A text that names no major or minor key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key: tonic as a pitch class (C is 0) and mode."""

    tonic: int
    mode: Mode

    @property
    def name(self) -> str:
        """The usual spelling, such as "F# minor" or "Eb major"."""
        return f"{(MAJOR_NAMES if self.mode == 'major' else MINOR_NAMES)[self.tonic]} {self.mode}"

    @property
    def dominant(self) -> Key:
        """The key of this mode a fifth above."""
        return Key((self.tonic + 7) % 12, self.mode)

    @property
    def subdominant(self) -> Key:
        """The key of this mode a fifth below."""
        return Key((self.tonic + 5) % 12, self.mode)

    @property
    def relative(self) -> Key:
        """The key of the other mode with the same notes."""
        return Key((self.tonic + 9) % 12, "minor") if self.mode == "major" else Key((self.tonic + 3) % 12, "major")

    @property
    def parallel(self) -> Key:
        """The key of the other mode on the same tonic."""
        return Key(self.tonic, "minor" if self.mode == "major" else "major")

    @property
    def near(self) -> tuple[Key, ...]:
        """This key, its fifths on either side, its relative and its parallel."""
        return self, self.dominant, self.subdominant, self.relative, self.parallel


def parse_key(text: str) -> Key:
    """Read "D minor", "F# major", "e flat minor", "B- minor".

    Raises:
        NoKeyError: not the name of a major or minor key.
    """
    if not (match := _KEY.fullmatch(text.strip())):
        raise NoKeyError(f"key {text!r} is not a key; write for example 'D minor' or 'Eb major'")
    step, flat, sign, mode = match.groups()
    tonic = (_STEPS[step.upper()] + _SIGNS[(flat or sign or "").lower()]) % 12
    return Key(tonic, cast(Mode, mode.lower()))
