"""Setting the mark: each cell of the spectrum is made a little louder or softer, as the key and the payload say.

The change is made at the native rate, to every channel alike, so whatever lies outside the band stays as it was. Soft
cells are changed by `MOST_GAIN_DB`, loud ones by less, so that no cell's change is itself louder than a ceiling that
is the same for the whole waveform; the ceiling is as high as keeps the mark `MARK_BELOW_DB` below the music. Of that
noise a loud cell would take the most and tell no more than a soft one, as levels are compared in decibels.

Shapes: C channels, W frames, B bins of a frame, F cells, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
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

MARK_BELOW_DB: Final = 30.5
MOST_GAIN_DB: Final = 1.0
LOWEST_RATE_HZ: Final = 8_000
_FRAMES_AT_ONCE: Final = 2_000
_OVERLAP: Final = 1.5  # what the squares of overlapping windows add up to
_HALVINGS: Final = 40  # of the range of levels in which the ceiling is looked for


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
    frames = Frames.of(len(wave_NC), rate_hz)
    bands_CWB = np.stack([_band(channel_N, frames) for channel_N in wave_NC.T])
    energies_WF = _by_cell((np.square(bands_CWB.real) + np.square(bands_CWB.imag)).sum(axis=0))
    music = float(np.square(wave_NC, dtype=np.float64).sum())
    gains_WF = _gains(energies_WF, music * frames.length * 10 ** (-MARK_BELOW_DB / 10))
    signs_TF = pattern_of(key).with_payload(payload)
    signed_WF = gains_WF * signs_TF[np.arange(frames.count) // FRAMES_A_CELL % PERIOD]
    mark_NC = np.stack([_mark(band_WB, frames, signed_WF)[: len(wave_NC)] for band_WB in bands_CWB], axis=1)
    mark = float(np.square(mark_NC, dtype=np.float64).sum())
    if not mark:
        return wave_NC.copy()  # silence cannot be marked
    most = (music / mark) ** 0.5 * 10 ** (-MARK_BELOW_DB / 20)  # the ceiling was found by an estimate
    return wave_NC + np.float32(min(1.0, most)) * mark_NC


def _gains(energies_WF: Floats, allowed: float) -> Floats:
    """Return the gain of each cell: what is allowed to all together goes to soft cells first."""
    most = np.float32(10 ** (MOST_GAIN_DB / 20) - 1)
    loudest = float(energies_WF.max(initial=0.0))
    low, high = 1e-12 * loudest, loudest
    for _ in range(_HALVINGS):
        ceiling = (low * high) ** 0.5
        if float(most) ** 2 * float(np.minimum(energies_WF, ceiling).sum(dtype=np.float64)) > allowed:
            high = ceiling
        else:
            low = ceiling
    gains_WF: Floats = most * np.sqrt(np.minimum(1.0, low / np.maximum(energies_WF, 1e-30)), dtype=np.float32)
    return gains_WF


def _band(wave_N: Floats, frames: Frames) -> NDArray[np.complex64]:
    """Return (W, B) the spectra of a waveform's frames over all cells; of those that the rate has not, zeros."""
    padded, window, starts = frames.padded(wave_N), frames.window(), frames.starts()
    band_WB = np.zeros((frames.count, CELLS * BINS_A_CELL), dtype=np.complex64)
    for numbers in _some_at_once(frames):
        taken = padded[starts[numbers, None] + np.arange(frames.length)]
        spectra = np.fft.rfft(taken * window, axis=1)
        band_WB[numbers, : frames.bins] = spectra[:, FIRST_BIN : FIRST_BIN + frames.bins]
    return band_WB


def _some_at_once(frames: Frames) -> Iterator[NDArray[np.int64]]:
    for first in range(0, frames.count, _FRAMES_AT_ONCE):
        yield np.arange(first, min(first + _FRAMES_AT_ONCE, frames.count))


def _by_cell(power_WB: Floats) -> Floats:
    """Return (W, F) sums over the bins of each cell."""
    cells_WF: Floats = power_WB.reshape(len(power_WB), CELLS, BINS_A_CELL).sum(axis=2)
    return cells_WF


def _mark(band_WB: NDArray[np.complex64], frames: Frames, gains_WF: Floats) -> Floats:
    """Return what these gains add to a waveform."""
    window, starts = frames.window() / np.float32(_OVERLAP), frames.starts()
    out = np.zeros(int(starts[-1]) + frames.length, dtype=np.float32)
    for numbers in _some_at_once(frames):
        spectra = np.zeros((len(numbers), frames.length // 2 + 1), dtype=np.complex64)
        gains_WB = gains_WF[numbers].repeat(BINS_A_CELL, axis=1)
        spectra[:, FIRST_BIN : FIRST_BIN + frames.bins] = (band_WB[numbers] * gains_WB)[:, : frames.bins]
        waves = np.fft.irfft(spectra, frames.length, axis=1) * window
        for start, wave in zip(starts[numbers], waves, strict=True):
            out[start : start + frames.length] += wave
    return out[frames.length // 2 :]
