"""Judges of tempo: beats and onsets by libsonare, and how fast musicnn finds the music.

A beat tracker cannot tell a tempo from its half, so for slow against fast the tempo alone says little (AUC .61 on
real renders); onsets and tags together say more (.88).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import libsonare
import numpy as np

from models.judges.evidence import log_odds
from models.judges.sound import Waveform

_ONSETS_WEIGHT = 3.0  # in which onsets and tags spread alike over real renders


def tempo_bpm(waveform: Waveform, sample_rate_hz: int) -> float:
    """Return the tempo in beats a minute; it may well be half or double of what was meant."""
    return float(libsonare.detect_bpm(np.ascontiguousarray(waveform, dtype=np.float32), sample_rate_hz))


def onsets_per_s(waveform: Waveform, sample_rate_hz: int) -> float:
    """Return how many notes begin in a second."""
    found = libsonare.detect_onsets(np.ascontiguousarray(waveform, dtype=np.float32), sample_rate_hz)
    return len(found) / (len(waveform) / sample_rate_hz)


def speed_score(waveform: Waveform, sample_rate_hz: int, tags: Mapping[str, float]) -> float:
    """Return a score that is higher for faster music, from the waveform and musicnn's tags."""
    onsets = math.log(0.1 + onsets_per_s(waveform, sample_rate_hz))
    return log_odds(tags["fast"]) - log_odds(tags["slow"]) + _ONSETS_WEIGHT * onsets
