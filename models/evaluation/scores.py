"""Figures from scores and answers: area under the curve, hits, divergences of label distributions, retrieval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def area_under_curve(with_it: Sequence[float], without: Sequence[float]) -> float:
    """Return the chance that one that has it scores above one that has not; a draw counts half.

    Raises:
        ValueError: either side is empty.
    """
    if not len(with_it) or not len(without):
        raise ValueError(f"{len(with_it)} with and {len(without)} without: an area needs both")
    above = np.asarray(with_it, dtype=np.float64)[:, None] - np.asarray(without, dtype=np.float64)[None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def share(hits: Sequence[bool]) -> float:
    """Return the share that is true.

    Raises:
        ValueError: there is none.
    """
    if not len(hits):
        raise ValueError("a share of nothing")
    return float(np.mean(np.asarray(hits, dtype=np.float64)))


def kl_divergence(reference: NDArray[np.floating], measured: NDArray[np.floating], floor: float = 1e-6) -> float:
    """Return KL(reference || measured) in nats of two rows of scores, each made a distribution first."""
    p, q = (np.maximum(np.asarray(row, dtype=np.float64), floor) for row in (reference, measured))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def recall_at(similarity_QN: NDArray[np.floating], count: int) -> float:
    """Return how often the right answer, which stands at the query's own place, is among the `count` nearest."""
    right = np.diagonal(similarity_QN)[:, None]
    # Those that are as near as the right one stand before it: all alike is no retrieval.
    rank = (similarity_QN >= right).sum(axis=1)
    return float((rank <= count).mean())


def bootstrap_interval(
    measure: Callable[[Sequence[int]], float | None], count: int, *, seed: int = 0, draws: int = 200
) -> tuple[float, float] | None:
    """Return the middle 95 % of what `measure` gives of `draws` samples, with replacement, of 0..count-1.

    Samples of which `measure` can make nothing (None) are left out; None if that is more than half of them.
    """
    rng = np.random.default_rng(seed)
    found = [measure(rng.integers(0, count, size=count).tolist()) for _ in range(draws)]
    known = [value for value in found if value is not None]
    if 2 * len(known) < draws:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
