"""What listeners heard, as arrays: a row for each listener and piece that met.

Shapes: N meetings, L listeners, I pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_LIKED: Final = 2.0  # a like says as much as being heard to the end six times
_SKIPPED: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Meetings, sorted by listener and piece. Times in seconds since 1970; `opinion`: 1 liked, -1 hated, 0 none."""

    listener_N: NDArray[np.int32]
    piece_N: NDArray[np.int32]
    completed_N: NDArray[np.int32]
    skipped_N: NDArray[np.int32]
    opinion_N: NDArray[np.int8]
    last_at_N: NDArray[np.float64]
    listeners: int
    pieces: int

    def of(self, listener: int) -> slice:
        """Return where a listener's meetings are."""
        begin, end = np.searchsorted(self.listener_N, [listener, listener + 1])
        return slice(int(begin), int(end))

    def weight_N(self) -> NDArray[np.float32]:
        """Return how much each meeting says for (or, below 0, against) a piece."""
        weight = np.log1p(self.completed_N) + _LIKED * (self.opinion_N > 0) - _SKIPPED * np.log1p(self.skipped_N)
        return np.where(self.opinion_N < 0, -1.0, weight).astype(np.float32)

    def likes_LI(self) -> csr_matrix:
        """Return the positive weights as a matrix: what was skipped more than heard, or hated, is not in it."""
        weight = self.weight_N()
        kept = weight > 0
        return csr_matrix(
            (weight[kept], (self.listener_N[kept], self.piece_N[kept])), shape=(self.listeners, self.pieces)
        )
