"""The musical controls of a score draft: what is fixed before the first note is sampled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from models.key import Key
from models.score.instruments import INSTRUMENTS, MAX_PARTS

TICKS_PER_QUARTER = 12
Texture = Literal["chordal", "flowing", "melody", "contrapuntal"]
Density = Literal["sparse", "moderate", "dense"]
Dynamics = Literal["pp", "p", "mp", "mf", "f", "ff"]

METRES: dict[str, int] = {  # ticks a bar
    "2/4": 24, "3/4": 36, "4/4": 48, "2/2": 48, "3/2": 72, "5/4": 60, "3/8": 18, "6/8": 36, "9/8": 54, "12/8": 72,
}  # fmt: skip
TEXTURES: tuple[Texture, ...] = get_args(Texture)
DENSITIES: tuple[Density, ...] = get_args(Density)
DYNAMICS: tuple[Dynamics, ...] = get_args(Dynamics)
MIN_BPM, MAX_BPM = 30, 240
MIN_BARS, MAX_BARS = 1, 400


class ControlError(ValueError):
    """A control has a value that no score can have; the message names it and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreControls:
    """Everything that a draft obeys. `instruments` are in score order, `bars` counts whole bars.

    Raises:
        ControlError: a value is outside what a score can have.
    """

    instruments: tuple[str, ...]
    key: Key
    metre: str
    tempo_bpm: int  # quarter notes a minute
    bars: int
    texture: Texture
    density: Density
    dynamics: Dynamics
    title: str = ""

    def __post_init__(self) -> None:
        check_instruments(self.instruments)
        _check_among("metre", self.metre, tuple(METRES))
        _check_among("texture", self.texture, TEXTURES)
        _check_among("density", self.density, DENSITIES)
        _check_among("dynamics", self.dynamics, DYNAMICS)
        check_tempo(self.tempo_bpm)
        if not MIN_BARS <= self.bars <= MAX_BARS:
            raise ControlError(f"bars {self.bars} is outside {MIN_BARS} to {MAX_BARS}")

    @property
    def bar_ticks(self) -> int:
        """Ticks in a bar, twelve to a quarter note."""
        return METRES[self.metre]

    @property
    def bar_s(self) -> float:
        """Seconds in a bar."""
        return self.bar_ticks / TICKS_PER_QUARTER * 60 / self.tempo_bpm

    def as_dict(self) -> dict[str, Any]:
        """Return the controls as JSON values, the key by its name."""
        return asdict(self) | {"key": self.key.name, "instruments": list(self.instruments)}


def check_instruments(names: tuple[str, ...]) -> None:
    """Refuse instruments that no draft can be written for.

    Raises:
        ControlError: an unknown name, none, or more than MAX_PARTS.
    """
    if not 1 <= len(names) <= MAX_PARTS:
        raise ControlError(f"instruments: {len(names)} given, a draft has 1 to {MAX_PARTS}")
    for name in names:
        _check_among("instrument", name, tuple(INSTRUMENTS))


def check_tempo(tempo_bpm: int) -> None:
    """Refuse a tempo that no player would take.

    Raises:
        ControlError: outside MIN_BPM to MAX_BPM.
    """
    if not MIN_BPM <= tempo_bpm <= MAX_BPM:
        raise ControlError(f"tempo_bpm {tempo_bpm} is outside {MIN_BPM} to {MAX_BPM}")


def _check_among(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ControlError(f"{what} {value!r} is not known; one of: {', '.join(known)}")
