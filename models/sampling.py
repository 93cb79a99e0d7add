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


def sample_tokens(
    logits_NV: NDArray[np.float32],
    draws_N: NDArray[np.float64],
    *,
    temperature_N: NDArray[np.float64],
    top_k_N: NDArray[np.int64],
    top_p_N: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return tokens_N by inverse transform over each row's tokens in order of their scores, equal ones by number.

    A row's result depends on that row alone. What it is drawn from: the `top_k` likeliest tokens, and of these the
    nucleus (Holtzman et al. 2020), the smallest set of likeliest tokens whose mass reaches `top_p`.

    Args:
        logits_NV: scores; -inf forbids a token.
        draws_N: numbers in [0, 1), from `uniform`.
        temperature_N: 0 takes the likeliest token.
        top_k_N: 0 takes all.
        top_p_N: in (0, 1]; 1 takes all.

    Raises:
        ValueError: no token of a row is allowed, or a score is not a number.
    """
    vocabulary = logits_NV.shape[1]
    top_k_N = np.where(top_k_N > 0, np.minimum(top_k_N, vocabulary), vocabulary)
    tokens_NC = _likeliest(logits_NV, int(top_k_N.max()))
    scores_NC = np.take_along_axis(logits_NV, tokens_NC, axis=1).astype(np.float64)
    best_N1 = scores_NC[:, :1]
    if not np.isfinite(best_N1).all() or np.isnan(logits_NV).any():
        raise ValueError("the grammar allows no token, or a score is not a number")
    greedy_N = temperature_N <= 0
    weights_NC = np.exp((scores_NC - best_N1) / np.where(greedy_N, 1.0, temperature_N)[:, None])
    weights_NC[np.arange(tokens_NC.shape[1]) >= np.where(greedy_N, 1, top_k_N)[:, None]] = 0.0
    mass_NC = np.cumsum(weights_NC, axis=1)
    last_N = (mass_NC < (top_p_N * mass_NC[:, -1])[:, None]).sum(axis=1)
    kept_N = np.take_along_axis(mass_NC, last_N[:, None], axis=1)[:, 0]
    chosen_N = np.minimum((mass_NC <= (draws_N * kept_N)[:, None]).sum(axis=1), last_N)
    return np.take_along_axis(tokens_NC, chosen_N[:, None], axis=1)[:, 0]


def log_probabilities(logits_NV: NDArray[np.float32], tokens_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-probability (nats) of one token a row under the softmax of the row's scores."""
    scores_NV = logits_NV.astype(np.float64)
    scores_NV -= scores_NV.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = scores_NV[np.arange(len(tokens_N)), tokens_N] - np.log(np.exp(scores_NV).sum(axis=1))
    return found


def _likeliest(logits_NV: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the tokens of the `count` highest scores of each row, highest first, equal ones by number.

    Each score becomes an integer that falls as the score rises, with the token's number behind it. No two are
    equal, so that every way of sorting gives one order, and the fastest can be used.
    """
    bits_NV = (logits_NV + np.float32(0.0)).view(np.uint32)  # + 0 makes one zero of two
    falling_NV = np.where(bits_NV >> 31, bits_NV, ~bits_NV & np.uint32(0x7FFFFFFF))
    keys_NV = falling_NV.astype(np.uint64) << np.uint64(32)
    keys_NV |= np.arange(logits_NV.shape[1], dtype=np.uint64)
    if count < logits_NV.shape[1]:
        keys_NV = np.partition(keys_NV, count - 1, axis=1)[:, :count]
    keys_NV.sort(axis=1)
    return (keys_NV & np.uint64(0xFFFFFFFF)).astype(np.int64)
