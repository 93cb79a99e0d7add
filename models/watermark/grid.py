"""The grid of time and frequency that the mark lies on, and the key's pattern over it.

The grid is made of seconds and hertz, not of samples: frames of 40 ms every 10 ms, so that bins are 25 Hz apart at
every sample rate, and a copy at another rate is read without resampling it. A cell is 40 ms by 75 Hz: music changes
its levels more slowly than that, so that changes so fast stand out to whoever knows where to look. In each of the 96
rows of a period (3.84 s) every payload bit has one cell, in a place that the key draws, and 24 cells carry no bit:
they say where a period begins.

Shapes: T rows of cells in time, F cells of a row, W frames, B bins, N samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

PAYLOAD_BITS: Final = 64
FRAME_S: Final = 0.04
HOP_S: Final = 0.01
FIRST_BIN: Final = 16  # 400 Hz
BINS_A_CELL: Final = 3
CELLS: Final = 88  # to 7 kHz
FRAMES_A_CELL: Final = 4
PERIOD: Final = 96
LAST_BIN: Final = FIRST_BIN + CELLS * BINS_A_CELL
_SYNC: Final = -1

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a key draws: a sign for every cell, and the payload bit it carries, -1 for none."""

    signs: Floats  # (T, F)
    bits: NDArray[np.int64]  # (T, F)

    def with_payload(self, payload: int) -> Floats:
        """Return the sign of every cell with a payload in it, +1 or -1."""
        bits = np.array([1.0 if payload >> (PAYLOAD_BITS - 1 - bit) & 1 else -1.0 for bit in range(PAYLOAD_BITS)])
        carried_TF = np.where(self.bits == _SYNC, 1.0, bits[self.bits])
        return np.asarray(self.signs * carried_TF, dtype=np.float32)

    def by_bit(self) -> Floats:
        """Return (65, T, F): the signs of the cells of each bit, and last of those without one."""
        wanted = [*range(PAYLOAD_BITS), _SYNC]
        return np.stack([np.where(self.bits == bit, self.signs, np.float32(0)) for bit in wanted])


@lru_cache(maxsize=4)
def pattern_of(key: bytes) -> Pattern:
    """Draw the pattern of a key; from SHAKE-256, so that no library's generator has a say in it."""
    drawn = hashlib.shake_256(b"tutti.patchwork.1\n" + key).digest(PERIOD * CELLS * 5)
    signs = np.frombuffer(drawn, dtype=np.uint8, count=PERIOD * CELLS).reshape(PERIOD, CELLS)
    order = np.frombuffer(drawn, dtype="<u4", offset=PERIOD * CELLS).reshape(PERIOD, CELLS)
    ranks = order.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return Pattern(np.where(signs & 1, 1.0, -1.0).astype(np.float32), np.where(ranks < PAYLOAD_BITS, ranks, _SYNC))


@dataclass(frozen=True, slots=True)
class Frames:
    """Where the frames of a waveform lie at its rate. Frame i is around second i / 100."""

    rate_hz: int
    count: int

    @classmethod
    def of(cls, samples: int, rate_hz: int) -> Frames:
        """Return the frames that cover so many samples."""
        return cls(rate_hz, int(samples / (HOP_S * rate_hz)) + 2)

    @property
    def length(self) -> int:
        """Samples of a frame."""
        return round(FRAME_S * self.rate_hz)

    @property
    def bins(self) -> int:
        """How many bins of the band exist at this rate."""
        return max(0, min(LAST_BIN, self.length // 2) - FIRST_BIN)

    def starts(self) -> NDArray[np.int64]:
        """Return the first sample of each frame in a waveform with half a frame of silence before it."""
        starts: NDArray[np.int64] = np.rint(np.arange(self.count) * (HOP_S * self.rate_hz)).astype(np.int64)
        return starts

    def window(self) -> Floats:
        """Return the Hann window of a frame."""
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.length) / self.length)).astype(np.float32)

    def padded(self, wave_N: Floats) -> Floats:
        """Return the waveform with half a frame of silence before it, and enough of it behind."""
        before = self.length // 2
        behind = int(self.starts()[-1]) + self.length - before - len(wave_N)
        return np.pad(wave_N, (before, max(behind, 0)))
