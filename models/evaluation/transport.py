"""Optimal transport between histograms by Sinkhorn's iterations (Cuturi 2013), in the log domain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SHARPNESS = 0.02  # of the entropy's weight to the mean cost: smaller is nearer to the exact cost, and slower
TOLERANCE = 1e-3  # of the mass that may still lie elsewhere
MOST_ROUNDS, ROUNDS_BETWEEN_LOOKS = 2000, 10


def transport_cost(a_N: Array, b_M: Array, cost_NM: Array) -> float:
    """Return what it costs to move the mass of histogram `a` to that of `b`, each made to sum to one.

    Raises:
        ValueError: a histogram is empty, has negative or no mass, or does not fit the costs.
    """
    if cost_NM.shape != (len(a_N), len(b_M)) or min(a_N.min(), b_M.min()) < 0 or min(a_N.sum(), b_M.sum()) <= 0:
        raise ValueError(f"histograms of {len(a_N)} and {len(b_M)} bins do not fit costs of shape {cost_NM.shape}")
    rows, columns = a_N > 0, b_M > 0
    a, b, cost = a_N[rows] / a_N.sum(), b_M[columns] / b_M.sum(), cost_NM[np.ix_(rows, columns)]
    weight = SHARPNESS * max(float(cost.mean()), 1e-12)
    log_kernel = -cost / weight
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(MOST_ROUNDS // ROUNDS_BETWEEN_LOOKS):
        for _ in range(ROUNDS_BETWEEN_LOOKS):
            f = np.log(a) - _log_sum_exp(log_kernel + g[None, :], axis=1)
            g = np.log(b) - _log_sum_exp(log_kernel + f[:, None], axis=0)
        plan = np.exp(log_kernel + f[:, None] + g[None, :])
        if np.abs(plan.sum(axis=1) - a).sum() < TOLERANCE:
            break
    return float((plan * cost).sum())


def _log_sum_exp(x: Array, axis: int) -> Array:
    top = x.max(axis=axis, keepdims=True)
    total: Array = np.log(np.exp(x - top).sum(axis=axis)) + top.squeeze(axis)
    return total
