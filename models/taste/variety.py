"""A list that does not say one thing over and over: maximal marginal relevance (Carbonell and Goldstein 1998).

Shapes: K candidates, E joint width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.taste.space import Vectors


class VariedList:
    """Candidates chosen one by one, each good and unlike those before.

    Args:
        score_K: how good each is, from 0 to 1.
        direction_KE: how each sounds.
        relevance: 1 looks at scores alone, 0 at unlikeness alone.
        family_K: which candidates are of a kind (such as of one prompt).
        most_of_a_family: how many of a kind the list has at most.
    """

    def __init__(
        self,
        score_K: NDArray[np.float64],
        direction_KE: Vectors,
        *,
        relevance: float,
        family_K: NDArray[np.int64],
        most_of_a_family: int,
    ) -> None:
        self.numbers: list[int] = []
        """What is chosen, by number, in the order of choice."""
        self._worth_K, self._relevance = relevance * score_K, relevance
        self._direction_KE, self._nearest_K = direction_KE, np.zeros(len(score_K))
        self._family_K, self._most = family_K, most_of_a_family
        self._closed_K = np.zeros(len(score_K), dtype=bool)
        self._counts: dict[int, int] = {}

    def take(self, number: int) -> None:
        """Put a candidate on the list, whatever its worth."""
        self.numbers.append(number)
        self._closed_K[number] = True
        np.maximum(self._nearest_K, self._direction_KE @ self._direction_KE[number], out=self._nearest_K)
        family = int(self._family_K[number])
        self._counts[family] = self._counts.get(family, 0) + 1
        if self._counts[family] >= self._most:
            self._closed_K |= self._family_K == family

    def fill(self, length: int, allowed_K: NDArray[np.bool_]) -> None:
        """Choose among the allowed candidates until the list has this length or nothing is left."""
        allowed = np.flatnonzero(allowed_K)
        while len(self.numbers) < length and len(allowed := allowed[~self._closed_K[allowed]]):
            value = self._worth_K[allowed] - (1 - self._relevance) * self._nearest_K[allowed]
            self.take(int(allowed[value.argmax()]))
