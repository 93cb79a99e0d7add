"""Setting the mark: each cell of the spectrum is made a little louder or softer, as the key and the payload say.

The change is made at the native rate, to every channel alike, so whatever lies outside the band stays as it was. How
much is chosen for the whole waveform: as much as stays `MARK_BELOW_DB` below the music, and never over
`MOST_GAIN_DB`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.watermark.grid import (
    BINS_A_CELL,
    FIRST_BIN,
    FRAMES_A_CELL,
    PAYLOAD_BITS,
    PERIOD,
    Floats,
    Frames,
    pattern_of,
)

MARK_BELOW_DB: Final = 33.0
MOST_GAIN_DB: Final = 0.5
LOWEST_RATE_HZ: Final = 8_000
_FRAMES_AT_ONCE: Final = 2_000
_OVERLAP: Final = 1.5  # what the squares of overlapping windows add up to


class WatermarkError(ValueError):
    """A waveform or payload that cannot be marked; the message gives the value."""


def embed(wave_NC: Floats, rate_hz: int, key: bytes, payload: int) -> Floats:
    """Return the waveform with the payload in it. The same arguments give the same samples.

    Args:
        wave_NC: (samples, channels), float32, full scale 1.
        rate_hz: its sample rate, at least 8 kHz.
        key: 32 secret bytes.
        payload: 0 to 2**64 - 1.

    Raises:
        WatermarkError: the rate or the payload is out of range, or the shape is another.
    """
    if wave_NC.ndim != 2:
        raise WatermarkError(f"a waveform of shape {wave_NC.shape}, (samples, channels) is wanted")
    if rate_hz < LOWEST_RATE_HZ:
        raise WatermarkError(f"{rate_hz} Hz, at least {LOWEST_RATE_HZ} Hz are wanted")
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise WatermarkError(f"the payload {payload} is not of {PAYLOAD_BITS} bits")
    signs_TF = pattern_of(key).with_payload(payload)
    mark_NC = np.stack([_mark(channel, rate_hz, signs_TF) for channel in wave_NC.T], axis=1)
    music, mark = float(np.square(wave_NC, dtype=np.float64).sum()), float(np.square(mark_NC, dtype=np.float64).sum())
    if not mark:
        return wave_NC.copy()  # silence cannot be marked
    gain = min(10 ** (MOST_GAIN_DB / 20) - 1, (music / mark) ** 0.5 * 10 ** (-MARK_BELOW_DB / 20))
    return wave_NC + np.float32(gain) * mark_NC


def _mark(wave_N: Floats, rate_hz: int, signs_TF: Floats) -> Floats:
    """Return what a gain of one in each cell, times its sign, adds to the waveform."""
    frames = Frames.of(len(wave_N), rate_hz)
    padded, window, starts = frames.padded(wave_N), frames.window(), frames.starts()
    out = np.zeros_like(padded)
    last = FIRST_BIN + frames.bins
    for first in range(0, frames.count, _FRAMES_AT_ONCE):
        numbers = np.arange(first, min(first + _FRAMES_AT_ONCE, frames.count))
        taken = padded[starts[numbers, None] + np.arange(frames.length)]
        spectra = np.fft.rfft(taken * window, axis=1)
        rows = signs_TF[numbers // FRAMES_A_CELL % PERIOD].repeat(BINS_A_CELL, axis=1)
        marked = np.zeros_like(spectra)
        marked[:, FIRST_BIN:last] = spectra[:, FIRST_BIN:last] * rows[:, : frames.bins]
        waves = np.fft.irfft(marked, frames.length, axis=1) * (window / np.float32(_OVERLAP))
        for start, wave in zip(starts[numbers], waves, strict=True):
            out[start : start + frames.length] += wave
    before = frames.length // 2
    return out[before : before + len(wave_N)]
