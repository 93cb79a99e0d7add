"""A trigram model of score tokens, interpolated with absolute discounting (Ney, Essen and Kneser 1994).

The yardstick of the language model: trained on the same tokens, measured on the same held-out ones.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

DISCOUNT = 0.75
Context = tuple[int, ...]


class Trigram:
    """Probability of a token after the two before it, backing off to shorter contexts down to uniform."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self._counts: dict[Context, Counter[int]] = defaultdict(Counter)
        self._totals: Counter[Context] = Counter()

    def learn(self, sequences: Iterable[Sequence[int]]) -> None:
        """Count every token after each of its contexts of 0, 1 and 2 tokens."""
        for tokens in sequences:
            for at, token in enumerate(tokens):
                for order in range(min(at, 2) + 1):
                    context = tuple(tokens[at - order : at])
                    self._counts[context][token] += 1
                    self._totals[context] += 1

    def probability(self, token: int, context: Context) -> float:
        """Return P(token | context); the context's last two tokens count."""
        context = context[-2:]
        share = self.probability(token, context[1:]) if context else 1 / self.vocabulary
        if not (total := self._totals.get(context, 0)):
            return share
        seen = self._counts[context]
        return max(seen[token] - DISCOUNT, 0.0) / total + DISCOUNT * len(seen) / total * share

    def negative_log_likelihood(self, sequences: Iterable[tuple[Sequence[int], int]]) -> float:
        """Return nats a token over (tokens, first scored position) pairs."""
        total, count = 0.0, 0
        for tokens, first in sequences:
            for at in range(first, len(tokens)):
                total -= math.log(self.probability(tokens[at], tuple(tokens[max(at - 2, 0) : at])))
                count += 1
        return total / count
