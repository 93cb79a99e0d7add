"""Where pieces lie by how they sound, as directions from the middle of the catalogue.

Vectors of a joint space crowd in one direction; likeness is told better by how they differ from their mean. How far
apart pieces usually are differs from model to model, so every measure is relative to this catalogue.

Shapes: I pieces, E joint width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_COMPARED: Final = 500  # pieces, evenly through the catalogue, to learn how far apart they usually are


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The pieces' directions; `spread` is the mean cosine distance between two of them."""

    middle_E: Vectors
    piece_IE: Vectors
    spread: float

    def direction(self, vector_E: Vectors) -> Vectors:
        """Return the direction of any vector of the joint space, such as of a sentence."""
        direction_1E = directions(vector_E[None] - self.middle_E)
        return np.asarray(direction_1E[0], dtype=np.float32)


def space_of(vector_IE: Vectors) -> Space:
    """Return the space of a catalogue; of a single piece the middle is nowhere."""
    few = len(vector_IE) < 2
    middle_E = np.zeros(vector_IE.shape[1], np.float32) if few else vector_IE.mean(axis=0, dtype=np.float64)
    middle_E = middle_E.astype(np.float32)
    piece_IE = directions(vector_IE - middle_E)
    some = piece_IE[:: max(1, len(piece_IE) // _COMPARED)]
    pairs = len(some) * (len(some) - 1)
    likeness = (np.square(some.sum(axis=0)).sum() - len(some)) / pairs if pairs else 0.0
    return Space(middle_E, piece_IE, float(max(1.0 - likeness, 1e-3)))


def directions(vector_NE: Vectors) -> Vectors:
    """Return vectors at length 1; what has no length stays zero."""
    length_N1 = np.linalg.norm(vector_NE, axis=1, keepdims=True)
    out_NE = np.zeros_like(vector_NE)
    np.divide(vector_NE, length_N1, out=out_NE, where=length_N1 > 1e-9)
    return out_NE
