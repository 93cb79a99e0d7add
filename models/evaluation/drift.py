"""Does a long piece hold? Its first and last half minute beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.figure import Figure
from models.judges.rhythm import tempo_bpm
from models.judges.sound import Waveform

FRAME = 2048
QUIETEST = 1e-5


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a piece."""

    level_db: float  # RMS, below full scale
    level_spread_db: float  # standard deviation over frames
    spectral_entropy_bits: float  # mean over frames: 0 for one sine, about 9.4 for white noise
    novelty: float  # mean change of the normalised spectrum from frame to frame, 0..1: nothing happens at 0
    tempo_bpm: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The first and the last stretch of a piece, and what lies between them."""

    first: Part
    last: Part
    level_change_db: float
    entropy_change_bits: float
    tempo_change_octaves: float | None  # the nearest of the same, half and double tempo; None of what has no beat
    silent_share: float  # of all whole seconds of the piece, those below -60 dB


def drift(waveform: Waveform, sample_rate_hz: int, part_s: float = 30.0, *, beat: bool = True) -> Drift:
    """Compare the first `part_s` seconds with the last, and their tempi if there is a beat.

    Raises:
        ValueError: the piece is shorter than two parts.
    """
    part = round(part_s * sample_rate_hz)
    if len(waveform) < 2 * part:
        raise ValueError(f"{len(waveform) / sample_rate_hz:.1f} s have no two parts of {part_s} s")
    first, last = (_part(x, sample_rate_hz) for x in (waveform[:part], waveform[-part:]))
    octaves = np.log2(last.tempo_bpm / first.tempo_bpm)
    seconds = waveform[: len(waveform) // sample_rate_hz * sample_rate_hz].reshape(-1, sample_rate_hz)
    levels = np.sqrt((seconds.astype(np.float64) ** 2).mean(axis=1))
    return Drift(
        first,
        last,
        last.level_db - first.level_db,
        last.spectral_entropy_bits - first.spectral_entropy_bits,
        float(octaves - np.round(octaves)) if beat else None,
        float((levels < 1e-3).mean()),
    )


def drift_figures(drifts: Sequence[Drift]) -> list[Figure]:
    """Return the largest changes of several long pieces."""
    rows = (
        ("long form, level change in dB", "RMS", [d.level_change_db for d in drifts], 6.0),
        ("long form, entropy change in bits", "of the spectrum", [d.entropy_change_bits for d in drifts], 1.0),
        (
            "long form, tempo change in octaves",
            "halves and doubles aside, of what has a beat",
            [d.tempo_change_octaves for d in drifts if d.tempo_change_octaves is not None],
            0.1,
        ),
        ("long form, silent seconds", "share below -60 dB", [d.silent_share for d in drifts], 0.05),
    )
    return [
        Figure(
            name=name,
            meaning=f"{what}: the largest difference of the last stretch from the first",
            generated=max(abs(change) for change in changes),
            better="lower",
            goal=goal,
            clips=len(changes),
        )
        for name, what, changes, goal in rows
        if changes
    ]


def _part(waveform: Waveform, sample_rate_hz: int) -> Part:
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    levels = np.maximum(np.sqrt((frames**2).mean(axis=1)), QUIETEST)
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(FRAME))) + QUIETEST
    power = magnitudes**2 / (magnitudes**2).sum(axis=1, keepdims=True)
    spectra = magnitudes / np.linalg.norm(magnitudes, axis=1, keepdims=True)
    return Part(
        float(20 * np.log10(max(np.sqrt((frames**2).mean()), QUIETEST))),
        float((20 * np.log10(levels)).std()),
        float(-(power * np.log2(power)).sum(axis=1).mean()),
        float(1 - (spectra[1:] * spectra[:-1]).sum(axis=1).mean()),
        tempo_bpm(waveform, sample_rate_hz),
    )
