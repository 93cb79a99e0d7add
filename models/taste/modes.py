"""A listener's moods: the pieces they like, in a few groups that sound alike. The middle of all would suit none.

Shapes: N liked pieces, M modes, E joint width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from models.taste.space import Vectors, directions

_MOST_LIKED: Final = 100  # of the heaviest; groups hardly change by more
_APART: Final = 0.8  # of the catalogue's spread: groups farther apart than this are two


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """Directions, what share of the taste each has, and how near (cosine) its own pieces lie to it."""

    direction_ME: Vectors
    share_M: NDArray[np.float64]
    closeness_M: NDArray[np.float64]
    member_N: NDArray[np.int64]  # the mode of each liked piece; -1 of those not looked at

    def __len__(self) -> int:
        return len(self.direction_ME)


def modes_of(liked_NE: Vectors, weight_N: NDArray[np.float32], *, spread: float, most: int) -> Modes:
    """Group liked pieces by average linkage; modes come heaviest first, `most` at most.

    Args:
        liked_NE: directions of the pieces.
        weight_N: how much each is liked, over 0.
        spread: of the catalogue, see `Space`.
        most: how many modes at most; pieces of lesser groups belong to none.
    """
    heaviest = np.sort(np.argsort(-weight_N, kind="stable")[:_MOST_LIKED])
    vector_NE, weight = liked_NE[heaviest], weight_N[heaviest].astype(np.float64)
    if len(vector_NE) == 1:
        group = np.ones(1, dtype=np.int64)
    else:
        upper = np.triu_indices(len(vector_NE), 1)
        distance = np.clip(1.0 - (vector_NE @ vector_NE.T)[upper], 0.0, 2.0)
        group = fcluster(linkage(distance, "average"), _APART * spread, criterion="distance").astype(np.int64)
    mass = np.bincount(group, weights=weight)
    order = np.argsort(-mass, kind="stable")[:most]
    order = order[mass[order] > 0]
    member = np.full(len(liked_NE), -1, dtype=np.int64)
    rows, closeness = [], []
    for mode, label in enumerate(order):
        inside = group == label
        row = directions((weight[inside, None] * vector_NE[inside]).sum(axis=0, keepdims=True).astype(np.float32))[0]
        member[heaviest[inside]] = mode
        rows.append(row)
        closeness.append(float(np.average(vector_NE[inside] @ row, weights=weight[inside])))
    return Modes(np.stack(rows), mass[order] / mass.sum(), np.array(closeness), member)
