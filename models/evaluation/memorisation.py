"""Was it learnt by heart? The study of MusicLM (Agostinelli et al. 2023), section 5.3 and appendix, on tokens.

The semantic stage is prompted with the beginning of training items and continues greedily; its continuations are
held against the true ones. A match is exact when all tokens are the same, and approximate when little has to be
moved to turn one histogram of tokens into the other, far tokens costing more than near ones.

The paper's threshold of 0.85 belongs to the scale of its own k-means centroids; there it let through less than
0.01 % of pairs that have nothing to do with each other. Here distances are in units of their mean, and the
threshold is found by that same rule.

Shapes: N items, F tokens of an item, V kinds of token, D width of a centroid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.clip import derangement
from models.evaluation.transport import transport_cost

Tokens = NDArray[np.integer]
Distances = NDArray[np.float64]
FALSE_MATCHES = 1e-4  # of unrelated pairs, as the paper chose its threshold
ROUNDS_OF_STRANGERS = 20


@dataclass(frozen=True, slots=True)
class Memorisation:
    """How much of a training set a model continues from memory."""

    items: int
    exact: float  # share of continuations that are the true ones, token by token
    approximate: float  # share whose cost is at or below the threshold
    threshold: float
    costs: tuple[float, ...]  # of each continuation to the true one
    strangers_costs: tuple[float, ...]  # of continuations to those of other items


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training item that an asset is nearest to."""

    item: int
    cost: float


def token_distances(centroids_VD: NDArray[np.floating]) -> Distances:
    """Return the Euclidean distances between tokens' centroids, (V, V), in units of their mean.

    Raises:
        ValueError: the centroids are fewer than two, or all the same.
    """
    x = np.asarray(centroids_VD, dtype=np.float64)
    squares = (x * x).sum(axis=1)
    distances: Distances = np.sqrt(np.maximum(0.0, squares[:, None] + squares[None, :] - 2 * x @ x.T))
    np.fill_diagonal(distances, 0.0)
    if len(x) < 2 or not distances.any():
        raise ValueError(f"{len(x)} centroids have no distances to speak of")
    distances /= distances[~np.eye(len(x), dtype=bool)].mean()
    return distances


def matching_cost(a_F: Tokens, b_F: Tokens, distances_VV: Distances) -> float:
    """Return the cost of turning one sequence's histogram of tokens into the other's."""
    kinds = len(distances_VV)
    a_V, b_V = (np.bincount(x, minlength=kinds).astype(np.float64) for x in (a_F, b_F))
    return transport_cost(a_V, b_V, distances_VV)


def memorisation(
    continued_NF: Tokens, true_NF: Tokens, distances_VV: Distances, *, threshold: float | None = None, seed: int = 0
) -> Memorisation:
    """Hold continuations against the true ones, and against those of other items to find the threshold.

    Raises:
        ValueError: the shapes differ, or there are fewer than two items.
    """
    if continued_NF.shape != true_NF.shape:
        raise ValueError(f"continuations of shape {continued_NF.shape} beside true ones of {true_NF.shape}")
    costs = [matching_cost(a, b, distances_VV) for a, b in zip(continued_NF, true_NF, strict=True)]
    strangers = [
        matching_cost(continued_NF[n], true_NF[other], distances_VV)
        for round_ in range(ROUNDS_OF_STRANGERS)
        for n, other in enumerate(derangement(len(true_NF), seed + round_))
    ]
    found = float(np.quantile(strangers, FALSE_MATCHES)) if threshold is None else threshold
    return Memorisation(
        len(costs),
        float((continued_NF == true_NF).all(axis=1).mean()),
        float((np.asarray(costs) <= found).mean()),
        found,
        tuple(costs),
        tuple(strangers),
    )


class TrainingItems:
    """The tokens of training items, made ready for finding those that a sequence is nearest to."""

    def __init__(self, tokens_NF: Tokens, distances_VV: Distances) -> None:
        """Count the tokens of every item."""
        self.tokens_NF, self.distances_VV = tokens_NF, distances_VV
        self._shares_NV = np.zeros((len(tokens_NF), len(distances_VV)), dtype=np.float32)
        np.add.at(self._shares_NV, (np.arange(len(tokens_NF))[:, None], tokens_NF), 1 / tokens_NF.shape[1])

    def nearest(self, asset_F: Tokens) -> Nearest:
        """Find the item that a sequence of tokens is nearest to, by matching cost.

        No transport costs less than moving every token to the nearest of the other side (the relaxed word mover's
        distance of Kusner et al. 2015, section 4). Items are tried in the order of that cost from their side, and
        only where the cost from the asset's side allows it; the search ends where it passes the best cost found.
        """
        kinds, counts = np.unique(asset_F, return_counts=True)
        distances_AV, shares_A = self.distances_VV[kinds], counts / len(asset_F)
        bounds_N = self._shares_NV @ distances_AV.min(axis=0).astype(np.float32)
        best = Nearest(-1, np.inf)
        for item in np.argsort(bounds_N, kind="stable"):
            if bounds_N[item] >= best.cost:
                break
            there = np.flatnonzero(self._shares_NV[item])
            if shares_A @ distances_AV[:, there].min(axis=1) >= best.cost:
                continue
            cost = matching_cost(asset_F, self.tokens_NF[item], self.distances_VV)
            if cost < best.cost:
                best = Nearest(int(item), cost)
        return best

    def same(self, asset_F: Tokens) -> float:
        """Return the largest share of tokens that are, in place, those of one and the same item."""
        return float((self.tokens_NF[:, : len(asset_F)] == asset_F).mean(axis=1).max())


def longest_shared_run(asset_F: Tokens, items_NF: Tokens) -> int:
    """Return the length of the longest run of tokens that the asset shares with any item."""
    low, high = 0, min(len(asset_F), items_NF.shape[1])
    while low < high:  # a shared run of n holds shared runs of all smaller lengths
        length = (low + high + 1) // 2
        if _runs(asset_F[None], length) & _runs(items_NF, length):
            low = length
        else:
            high = length - 1
    return low


def _runs(items_NF: Tokens, length: int) -> set[bytes]:
    windows = np.lib.stride_tricks.sliding_window_view(items_NF.astype(np.int32), length, axis=1)
    return {window.tobytes() for window in windows.reshape(-1, length)}
