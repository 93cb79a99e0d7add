"""Taste from what others heard: implicit-feedback ALS (Hu, Koren, Volinsky 2008), by the package `implicit`.

The factors are the same for any number of threads. Pieces that nobody heard have none: for them there is `content`.

Shapes: L listeners, I pieces, D factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorConfig:
    """`confidence` is what a weight of 1 adds to the certainty of a preference."""

    factors: int = 48
    regularisation: float = 2.0
    confidence: float = 1.0
    iterations: int = 15
    fewest_listeners: int = 5  # of a piece, or nothing can be said of who likes it beside what


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Where listeners and pieces lie; `known_I` says which pieces enough listeners heard."""

    listener_LD: NDArray[np.float32]
    piece_ID: NDArray[np.float32]
    known_I: NDArray[np.bool_]


def fit(likes_LI: csr_matrix, config: FactorConfig, *, seed: int, threads: int = 1) -> Factors | None:
    """Return the factors of weights, or None where too little was heard to say anything.

    Args:
        likes_LI: positive weights.
        config: sizes.
        seed: of the first guess.
        threads: how many; it changes nothing but the time.
    """
    known_I = np.diff(likes_LI.tocsc().indptr) >= config.fewest_listeners
    if not known_I.any():
        return None
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=config.factors,
        regularization=config.regularisation,
        alpha=config.confidence,
        iterations=config.iterations,
        num_threads=threads,
        random_state=seed,
    )
    with threadpool_limits(1, "blas"):  # its threads and those of the library would wait for each other
        model.fit(likes_LI, show_progress=False)
    return Factors(model.user_factors, model.item_factors, known_I)
