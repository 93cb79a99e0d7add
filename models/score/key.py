"""Key finding: correlation of pitch-class durations with key profiles (Krumhansl and Schmuckler 1990).

The profiles are Aarden's (2003), taken from the Essen collection's statistics; music21 uses them as its default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.key import Key, Mode

_MAJOR = (
    17.7661,
    0.145624,
    14.9265,
    0.160186,
    19.8049,
    11.3587,
    0.291248,
    22.062,
    0.145624,
    8.15494,
    0.232998,
    4.95122,
)
_MINOR = (
    18.2648,
    0.737619,
    14.0499,
    16.8599,
    0.702494,
    14.4362,
    0.702494,
    18.6161,
    4.56621,
    1.93186,
    7.37619,
    1.75623,
)


def _normalised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    return cast(NDArray[np.float64], centred / np.linalg.norm(centred, axis=-1, keepdims=True))


_PROFILES = _normalised(np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]))


def pitch_class_weights(notes: Iterable[tuple[int, int]]) -> NDArray[np.float64]:
    """Return how long each of the 12 pitch classes sounds, from (pitch, duration) pairs."""
    weights = np.zeros(12)
    for pitch, duration in notes:
        weights[pitch % 12] += duration
    return weights


def find_key(weights: NDArray[np.float64]) -> tuple[Key, float]:
    """Return the best key and by how much its correlation leads the second best; C major and 0 for silence."""
    if not weights.any() or np.ptp(weights) == 0:
        return Key(0, "major"), 0.0
    scores = _PROFILES @ _normalised(weights)
    order = np.argsort(-scores)
    mode: Mode = "major" if order[0] < 12 else "minor"
    return Key(int(order[0]) % 12, mode), float(scores[order[0]] - scores[order[1]])


def nearness(weights: NDArray[np.float64], key: Key) -> float:
    """Return by how much a key or one near to it leads all others, -2 to 2: over 0, and one of them is the best.

    `Key.near` says which are; silence is near to every key: 0.
    """
    if np.ptp(weights) == 0:
        return 0.0
    scores = _PROFILES @ _normalised(weights)
    near = np.zeros(24, dtype=bool)
    near[[each.tonic + (0 if each.mode == "major" else 12) for each in key.near]] = True
    return float(scores[near].max() - scores[~near].max())
