"""Fréchet audio distance (Kilgour et al. 2019): how far two sets of embeddings are apart, as Gaussians.

Shapes: N embeddings, D their width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.floating]


def frechet_distance(a_ND: Embeddings, b_ND: Embeddings) -> float:
    """Return |mean difference|^2 + tr(A + B - 2 (A B)^1/2) for the covariances A and B.

    The trace of (A B)^1/2 is the nuclear norm of X Y^T, X and Y the centred sets: no square root of a matrix is
    taken, so sets smaller than their width, whose covariances are singular, are no trouble for the arithmetic
    (the estimate of so few is biased upwards all the same: compare sets of equal size).

    Raises:
        ValueError: a set has fewer than two embeddings, or the widths differ.
    """
    if min(len(a_ND), len(b_ND)) < 2 or a_ND.shape[1:] != b_ND.shape[1:]:
        raise ValueError(f"sets of shapes {a_ND.shape} and {b_ND.shape} have no Fréchet distance")
    a, b = (np.asarray(x, dtype=np.float64) for x in (a_ND, b_ND))
    x, y = (_factor(s) for s in (a, b))
    shift = a.mean(axis=0) - b.mean(axis=0)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    distance = float(shift @ shift + (x * x).sum() + (y * y).sum() - 2 * shared)
    return max(0.0, distance)  # rounding may leave a hair below nothing


def _factor(set_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return X with X^T X = the covariance, of at most D rows."""
    centred: NDArray[np.float64] = (set_ND - set_ND.mean(axis=0)) / np.sqrt(len(set_ND) - 1)
    return np.linalg.qr(centred).R if len(centred) > centred.shape[1] else centred
