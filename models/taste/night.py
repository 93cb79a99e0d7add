"""All listeners of a night: one set of factors, and lists in blocks, each the same whoever else is in its block.

Shapes: B listeners of a block, I pieces, E joint width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.taste.choosing import Catalogue, Choice, Person, Pieces, Rules, choose
from models.taste.factors import FactorConfig, Factors, fit
from models.taste.heard import Heard
from models.taste.modes import Modes, modes_of
from models.taste.ranking import BLOCK, content_scores, factor_scores
from models.taste.space import Vectors

_DAY_S: Final = 86_400.0
_FACTORS_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What a list needs besides what was heard: the listener's number, their lot, sentence and own pieces."""

    listener: int
    seed: int
    sentence_E: Vectors | None = None
    made: tuple[int, ...] = ()


class Night:
    """What was heard until a moment, and the lists that come of it."""

    def __init__(
        self, heard: Heard, catalogue: Catalogue, *, at_s: float, rules: Rules, factors: Factors | None
    ) -> None:
        """Take what was heard before `at_s` (seconds since 1970) and the factors that were fitted to it."""
        self.heard, self.catalogue, self.rules, self.factors = heard, catalogue, rules, factors
        self._at_s = at_s
        self._weight_N = heard.weight_N()

    def person(self, guest: Guest) -> Person:
        """Return what is known of a listener."""
        heard, mine = self.heard, self.heard.of(guest.listener)
        piece, weight, opinion = heard.piece_N[mine].astype(np.int64), self._weight_N[mine], heard.opinion_N[mine]
        liked = weight > 0
        resting = piece[self._at_s - heard.last_at_N[mine] < self.rules.rest_days * _DAY_S]
        modes, by_sentence = self._modes(piece[liked], weight[liked]), False
        if modes is None and guest.sentence_E is not None:
            modes, by_sentence = _of_sentence(self.catalogue.space.direction(guest.sentence_E)), True
        return Person(
            seed=guest.seed,
            liked=piece[liked],
            weight=weight[liked],
            hated=piece[opinion < 0],
            heard=piece,
            resting=resting,
            made=np.array(guest.made, dtype=np.int64),
            modes=modes,
            by_sentence=by_sentence,
        )

    def _modes(self, liked: Pieces, weight: NDArray[np.float32]) -> Modes | None:
        if not len(liked):
            return None
        space = self.catalogue.space
        return modes_of(space.piece_IE[liked], weight, spread=space.spread, most=self.rules.modes)

    def choices(self, guests: Sequence[tuple[Guest, Person]]) -> Iterator[Choice | Exception]:
        """Yield each guest's list, in their order, or what went wrong with it: the others go on."""
        with threadpool_limits(1, "blas"):
            for start in range(0, len(guests), BLOCK):
                yield from self._block(guests[start : start + BLOCK])

    def _block(self, guests: Sequence[tuple[Guest, Person]]) -> Iterator[Choice | Exception]:
        content_BI = content_scores(self.catalogue.space, [person.modes for _, person in guests])
        listeners = np.array([guest.listener for guest, _ in guests])
        factors_BI = factor_scores(self.factors, listeners) if self.factors is not None else None
        for row, (_, person) in enumerate(guests):
            likes = len(person.liked) > 0 and factors_BI is not None
            try:
                yield choose(
                    person,
                    self.catalogue,
                    self.rules,
                    content_I=content_BI[row] if person.modes is not None else self._by_renown(person),
                    factors_I=factors_BI[row] if factors_BI is not None and likes else None,
                    factors=self.factors if likes else None,
                )
            except Exception as error:  # of this listener alone
                yield error

    def _by_renown(self, person: Person) -> NDArray[np.float32]:
        """Return what a listener without a taste is given: what others like, and for a half chance."""
        renown_I = self.catalogue.renown_I
        lot_I = np.random.default_rng(person.seed).random(len(renown_I), dtype=np.float32)
        return lot_I + renown_I / max(float(renown_I.max(initial=0.0)), 1e-9)


def fit_factors(likes_LI: csr_matrix, config: FactorConfig, *, threads: int) -> Factors | None:
    """Return the factors of all that was liked, see `Heard.likes_LI`."""
    return fit(likes_LI, config, seed=_FACTORS_SEED, threads=threads)


def _of_sentence(direction_E: Vectors) -> Modes:
    return Modes(direction_E[None], np.ones(1), np.ones(1), np.zeros(0, dtype=np.int64))
