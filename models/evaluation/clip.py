"""What is measured: a waveform with what was asked of it, or what is true of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TempoBand = Literal["slow", "medium", "fast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What should be heard. None, or nothing, where nothing was said."""

    instruments: Sequence[str] = ()
    scenes: Sequence[str] = ()
    tempo_bpm: float | None = None
    tempo_band: TempoBand | None = None
    drums: bool = False
    key: str | None = None  # as in "Eb major"


@dataclass(frozen=True, slots=True)
class Clip:
    """One waveform: float32, mono, about -1..1."""

    waveform: NDArray[np.float32]
    sample_rate_hz: int
    labels: Labels = field(default_factory=Labels)
    prompt: str = ""

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return len(self.waveform) / self.sample_rate_hz


def derangement(count: int, seed: int) -> list[int]:
    """Return an order of 0..count-1 that leaves none in its place: who is given whose prompt.

    Raises:
        ValueError: fewer than two cannot change places.
    """
    if count < 2:
        raise ValueError(f"{count} clips cannot swap prompts; give at least 2")
    order = np.random.default_rng(seed).permutation(count)
    swapped = np.empty(count, dtype=np.int64)
    swapped[order] = np.roll(order, 1)  # one cycle through all
    return [int(place) for place in swapped]
