"""A judge of keys: key profiles over a chromagram, by libsonare."""

from __future__ import annotations

import libsonare
import numpy as np

from models.judges.sound import Waveform
from models.key import Key, parse_key

# How near a wrong key is: the weights of MIREX's task of audio key detection.
FIFTH, RELATIVE, PARALLEL = 0.5, 0.3, 0.2


def key_of(waveform: Waveform, sample_rate_hz: int) -> Key:
    """Return the major or minor key that a waveform is heard in."""
    return parse_key(str(libsonare.detect_key(np.ascontiguousarray(waveform, dtype=np.float32), sample_rate_hz)))


def key_score(true: Key, heard: Key) -> float:
    """Return 1 for the key itself, less for its fifth, its relative and its parallel, 0 for others."""
    if heard == true:
        return 1.0
    if heard == true.dominant:
        return FIFTH
    if heard == true.relative:
        return RELATIVE
    return PARALLEL if heard == true.parallel else 0.0
