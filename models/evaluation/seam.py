"""Is a change heard as a fault? Clicks and gaps at a moment where one part of a piece hands over to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.judges.sound import Waveform

NEAR_S = 0.05  # how far from the moment a click may lie
AROUND_S = 2.0  # what is usual is taken from this far to both sides
GAP_FRAME_S = 0.02
SILENCE_DB = -60.0


@dataclass(frozen=True, slots=True)
class Seam:
    """What was found at a moment.

    `click_ratio` is the largest second difference near the moment over the largest around it: about 1 or less
    where nothing is, several where a waveform breaks. `silence_s` is the longest silence near it.
    """

    at_s: float
    click_ratio: float
    silence_s: float


def seam(waveform: Waveform, sample_rate_hz: int, at_s: float) -> Seam:
    """Examine a moment of a waveform.

    Raises:
        ValueError: the moment does not lie inside the waveform.
    """
    at, near, around = (round(s * sample_rate_hz) for s in (at_s, NEAR_S, AROUND_S))
    if not near < at < len(waveform) - near:
        raise ValueError(f"{at_s} s is not inside a waveform of {len(waveform) / sample_rate_hz} s")
    jolt = np.abs(np.diff(waveform.astype(np.float64), n=2, prepend=waveform[:1], append=waveform[-1:]))
    here = jolt[at - near : at + near].max()
    usual = np.concatenate([jolt[max(0, at - around) : at - near], jolt[at + near : at + around]])
    return Seam(at_s, float(here / max(usual.max(), 1e-6)), _longest_silence_s(waveform, sample_rate_hz, at))


def _longest_silence_s(waveform: Waveform, sample_rate_hz: int, at: int) -> float:
    """The longest run of silent frames within a second of the moment."""
    frame = round(GAP_FRAME_S * sample_rate_hz)
    part = waveform[max(0, at - sample_rate_hz) : at + sample_rate_hz].astype(np.float64)
    frames = part[: len(part) // frame * frame].reshape(-1, frame)
    silent = np.sqrt((frames**2).mean(axis=1)) < 10 ** (SILENCE_DB / 20)
    longest = run = 0
    for quiet in silent:
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest * GAP_FRAME_S
