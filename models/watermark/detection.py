"""Finding the mark in any copy: blindly, without the original.

The level of each cell in dB is freed of what the cells before and after it explain, weighted by how calm these are,
and folded over the period. The sum of the folded cells, each times its sign, is large where the
mark is. The key's signs are as good as coin tosses to music that was not marked with them, so by Hoeffding's
inequality such a sum exceeds t times the root of the sum of squares with a probability of at most exp(-t*t/2),
whatever the music: the threshold follows from how many alternatives were looked at and from the rate of false claims
that is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.watermark.grid import (
    BINS_A_CELL,
    CELLS,
    FIRST_BIN,
    FRAMES_A_CELL,
    PAYLOAD_BITS,
    PERIOD,
    Floats,
    Frames,
    pattern_of,
)

FALSE_CLAIMS: Final = 1e-6
_LONGEST_S: Final = 120.0  # what comes after it is not needed
_CANDIDATES: Final = 32
_EXPLAINED_BY: Final = 3  # rows
_CALM_OVER: Final = 5  # rows
_LARGEST_DB: Final = 6.0
_CALM_DB: Final = 0.2
_FRAMES_AT_ONCE: Final = 4_000
_TOO_SHORT: Final = 24  # rows, about a second


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place where a period may begin: the sums over the cells of each bit, and over those without one."""

    bits: NDArray[np.float64]
    sync: float


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found. `strength` is that of the payload read blindly; a mark is there if it passes `threshold`."""

    candidates: tuple[Candidate, ...]
    alternatives: int
    payload: int
    strength: float

    @property
    def threshold(self) -> float:
        """What the strength must pass for a mark of which nothing is known."""
        return _threshold(log(self.alternatives) + PAYLOAD_BITS * log(2))

    @property
    def found(self) -> bool:
        """Say whether there is a mark, by itself."""
        return self.strength > self.threshold


@dataclass(frozen=True, slots=True)
class Match:
    """The best of the payloads that were issued."""

    payload: int
    strength: float
    threshold: float

    @property
    def found(self) -> bool:
        """Say whether it is in the sound."""
        return self.strength > self.threshold


def detect(wave_NC: Floats, rate_hz: int, key: bytes) -> Detection:
    """Look for a mark of this key; of a long waveform the first two minutes are read.

    Args:
        wave_NC: (samples, channels), float32.
        rate_hz: its sample rate.
        key: 32 bytes.
    """
    mono = wave_NC[: round(_LONGEST_S * rate_hz)].mean(axis=1, dtype=np.float32)
    signs = pattern_of(key).by_bit().reshape(PAYLOAD_BITS + 1, PERIOD * CELLS)
    levels = _levels(mono, rate_hz)
    found: list[Candidate] = []
    for phase in range(FRAMES_A_CELL):
        folded = _folded(levels, phase)
        if folded is not None:
            found.extend(_candidates(folded, signs))
    best = sorted(found, key=lambda each: each.sync, reverse=True)[:_CANDIDATES]
    strongest = max(best, key=_blind, default=None)
    if strongest is None:
        return Detection((), 1, 0, 0.0)
    bits = "".join("1" if value > 0 else "0" for value in strongest.bits)
    return Detection(tuple(best), FRAMES_A_CELL * PERIOD, int(bits, 2), _blind(strongest))


def best_match(detection: Detection, issued: NDArray[np.uint64]) -> Match | None:
    """Return which of the issued payloads fits best; None if none was issued or nothing was heard."""
    if not detection.candidates or not len(issued):
        return None
    sums = np.stack([each.bits for each in detection.candidates]).astype(np.float32)
    best: tuple[float, int] | None = None
    for first in range(0, len(issued), 65_536):
        part = issued[first : first + 65_536]
        bits = np.unpackbits(part.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
        scores = sums @ (bits.astype(np.float32).T * 2 - 1) + np.array([[c.sync] for c in detection.candidates])
        at = int(scores.max(axis=0).argmax())
        if best is None or scores[:, at].max() > best[0]:
            best = float(scores[:, at].max()), int(part[at])
    assert best is not None
    return Match(best[1], best[0], _threshold(log(detection.alternatives) + log(len(issued))))


def _threshold(log_alternatives: float) -> float:
    return sqrt(2 * (log_alternatives - log(FALSE_CLAIMS)))


def _blind(candidate: Candidate) -> float:
    return candidate.sync + float(np.abs(candidate.bits).sum())


def _levels(mono_N: Floats, rate_hz: int) -> Floats:
    """Return (W, F): the level of each frame in each cell, in dB; cells that the rate has not are zero."""
    frames = Frames.of(len(mono_N), rate_hz)
    padded, window, starts = frames.padded(mono_N), frames.window(), frames.starts()
    cells = frames.bins // BINS_A_CELL
    levels = np.zeros((frames.count, CELLS), dtype=np.float32)
    floor = np.float32((1e-6 * float(np.abs(mono_N).max(initial=0.0)) * frames.length + 1e-12) ** 2)
    for first in range(0, frames.count, _FRAMES_AT_ONCE):
        part = starts[first : first + _FRAMES_AT_ONCE]
        spectra = np.fft.rfft(padded[part[:, None] + np.arange(frames.length)] * window, axis=1)
        taken = spectra[:, FIRST_BIN : FIRST_BIN + cells * BINS_A_CELL]
        power = np.square(taken.real) + np.square(taken.imag)
        power = power.reshape(len(part), cells, BINS_A_CELL).sum(axis=2)
        levels[first : first + len(part), :cells] = 10 * np.log10(power + floor)
    return levels


def _folded(levels_WF: Floats, phase: int) -> Floats | None:
    """Return (T, F): what the rows that begin at this frame add up to over the period, of unit length."""
    rows = (len(levels_WF) - phase) // FRAMES_A_CELL
    if rows < _TOO_SHORT:
        return None
    cells = levels_WF[phase : phase + rows * FRAMES_A_CELL].reshape(rows, FRAMES_A_CELL, CELLS).mean(axis=1)
    rest = np.clip(cells - _smooth(cells, _EXPLAINED_BY), -_LARGEST_DB, _LARGEST_DB)
    rest = rest / (_smooth(np.square(rest), _CALM_OVER) + np.float32(_CALM_DB**2))
    folded = np.zeros((PERIOD, CELLS), dtype=np.float32)
    for first in range(0, rows, PERIOD):
        part = rest[first : first + PERIOD]
        folded[: len(part)] += part
    length = float(np.sqrt(np.square(folded, dtype=np.float64).sum()))
    return folded / np.float32(length) if length else None


def _candidates(folded_TF: Floats, signs: Floats) -> list[Candidate]:
    """Return the sums for every row that a period may begin at."""
    turned = np.stack([np.roll(folded_TF, -row, axis=0).ravel() for row in range(PERIOD)])
    sums = (turned @ signs.T).astype(np.float64)
    return [Candidate(row[:PAYLOAD_BITS], float(row[PAYLOAD_BITS])) for row in sums]


def _smooth(values_TF: Floats, over: int) -> Floats:
    """Return the mean over so many rows around each, an odd number."""
    half = over // 2
    padded = np.pad(values_TF, ((half, half), (0, 0)), mode="edge")
    total = padded[: len(values_TF)].copy()
    for shift in range(1, over):
        total += padded[shift : shift + len(values_TF)]
    return total / np.float32(over)
