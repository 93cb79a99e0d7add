"""Counter-based randomness: a draw depends on what it is for, never on what was drawn before.

A draw is keyed by (seed, stage, step, codebook), so an item gives the same codes alone or in a batch, in any slot,
on any worker and after a retry.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def uniform(seed: int, stage: str, step: int, codebook: int = 0) -> float:
    """Return a number in [0, 1) with 53 random bits, the same on every machine."""
    key = struct.pack("<QQQ", seed & 0xFFFFFFFFFFFFFFFF, step, codebook) + stage.encode()
    word = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
    return (word >> 11) * 2.0**-53


def choose(options: Sequence[T], weights: Sequence[float], draw: float) -> T:
    """Return the option into whose share of the summed weights `draw` (in [0, 1)) falls.

    Raises:
        ValueError: no weight is positive, or the lengths differ.
    """
    if len(options) != len(weights):
        raise ValueError(f"{len(options)} options but {len(weights)} weights")
    total = float(sum(weights))
    if not total > 0:
        raise ValueError("no weight is positive")
    mark = draw * total
    for option, weight in zip(options, weights, strict=True):
        mark -= weight
        if mark < 0 and weight > 0:
            return option
    return next(option for option, weight in zip(reversed(options), reversed(weights), strict=True) if weight > 0)


def sample_token(
    logits_V: NDArray[np.float32],
    allowed_V: NDArray[np.bool_],
    *,
    temperature: float,
    top_p: float,
    draw: float,
) -> int:
    """Return a token by inverse transform: nucleus sampling (Holtzman et al. 2020) over the allowed tokens.

    Args:
        logits_V: scores, float32.
        allowed_V: False where the grammar forbids a token.
        temperature: 0 takes the likeliest token.
        top_p: the nucleus: the smallest set of likeliest tokens whose mass reaches it.
        draw: a number in [0, 1), from `uniform`.

    Raises:
        ValueError: no token is allowed.
    """
    tokens = np.flatnonzero(allowed_V)
    if tokens.size == 0:
        raise ValueError("the grammar allows no token")
    scores = logits_V[tokens].astype(np.float64)
    if temperature <= 0 or tokens.size == 1:
        return int(tokens[int(scores.argmax())])
    weights = np.exp((scores - scores.max()) / temperature)
    order = np.argsort(-weights, kind="stable")
    mass = np.cumsum(weights[order])
    keep = int(np.searchsorted(mass, top_p * mass[-1])) + 1
    mass = mass[:keep]
    return int(tokens[order[min(int(np.searchsorted(mass, draw * mass[-1], side="right")), mass.size - 1)]])
