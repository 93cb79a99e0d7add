"""One listener's list: what they know and love, what is new to them, what was made for them, and why each.

What is new has two kinds: pieces that others heard, for which two opinions are fused, and pieces that nobody heard
enough yet, as are all on the day they are made, for which only their sound speaks. Each has its share.

Shapes: I pieces, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.taste.factors import Factors
from models.taste.modes import Modes
from models.taste.ranking import Candidates, RankingConfig, fuse, nobody
from models.taste.sequence import Character, in_sequence
from models.taste.space import Space
from models.taste.variety import VariedList

Kind = Literal["made", "known", "again", "listeners", "sound", "sentence", "start"]
Pieces = NDArray[np.int64]
_LIKED_LOOKED_AT: Final = 100
_NEW_LOOKED_AT: Final = 150  # of each kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How lists are made. `fresh` is the share that a listener never heard, as far as there is enough of both."""

    length: int = 30
    fresh: float = 0.4
    unheard: float = 0.5  # of what is fresh: pieces that others did not hear enough either
    made: float = 0.5  # of what is fresh, at most: pieces made for the listener, the newest
    rest_days: float = 30.0  # what was heard comes again after so long
    most_of_a_family: int = 2
    modes: int = 4
    relevance: float = 0.75
    restlessness: float = 0.05  # how far chance moves scores, so that no two nights are alike
    ranking: RankingConfig = field(default_factory=RankingConfig)


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The pieces there are.

    `family_I` numbers those of a kind; `renown_I` is how much each is liked by all; only those of `allowed_I` may be
    in lists, the others still tell tastes.
    """

    space: Space
    character: Character
    family_I: Pieces
    renown_I: NDArray[np.float32]
    allowed_I: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """What is known of a listener, by numbers of pieces. `weight` is of `liked`; `made` is for them, newest first."""

    seed: int
    liked: Pieces
    weight: NDArray[np.float32]
    hated: Pieces
    heard: Pieces
    resting: Pieces
    made: Pieces
    modes: Modes | None  # of what they like, or of their sentence
    by_sentence: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a piece was chosen; `because` is the piece they like that speaks for it, `likeness` how much (cosine)."""

    kind: Kind
    because: int | None = None
    likeness: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A list in its sequence, a reason for each, and the candidates among what was new: heard by others, and not."""

    pieces: Pieces
    reasons: tuple[Reason, ...]
    warm: Candidates
    cold: Candidates


def choose(
    person: Person,
    catalogue: Catalogue,
    rules: Rules,
    *,
    content_I: NDArray[np.float32],
    factors_I: NDArray[np.float32] | None,
    factors: Factors | None,
) -> Choice:
    """Choose a list.

    Args:
        person: the listener.
        catalogue: the pieces.
        rules: how.
        content_I: how well each piece suits by its sound (or for a listener without a taste: by its renown).
        factors_I: how well by what others heard; None for one who likes nothing yet.
        factors: where `factors_I` comes from.
    """
    new_I = catalogue.allowed_I.copy()
    new_I[person.heard] = new_I[person.hated] = new_I[person.made] = False
    warm, cold_I = nobody(), new_I
    if factors is not None and factors_I is not None:
        warm = fuse(factors_I, content_I, new_I & factors.known_I, rules.ranking)
        cold_I = new_I & ~factors.known_I
    cold = fuse(None, content_I, cold_I, rules.ranking)
    pool = _Pool(person, catalogue.allowed_I, warm, cold, rules)
    direction_KE = catalogue.space.piece_IE[pool.piece_K]
    varied = VariedList(
        pool.score_K,
        direction_KE,
        relevance=rules.relevance,
        family_K=catalogue.family_I[pool.piece_K],
        most_of_a_family=rules.most_of_a_family,
    )
    pool.fill(varied, rules)
    numbers = np.array(varied.numbers, dtype=np.int64)
    pieces = pool.piece_K[numbers]
    order = in_sequence(catalogue.character.of(pieces), direction_KE[numbers])
    why = _Why(person, catalogue.space, factors, warm)
    reasons = tuple(why.of(int(pool.piece_K[number]), _Group(int(pool.group_K[number]))) for number in numbers[order])
    return Choice(pieces[order], reasons, warm, cold)


class _Group(IntEnum):
    MADE = 0
    KNOWN = 1
    RESTING = 2
    WARM = 3
    COLD = 4


class _Pool:
    """All pieces that a list may have, by group."""

    def __init__(
        self, person: Person, allowed_I: NDArray[np.bool_], warm: Candidates, cold: Candidates, rules: Rules
    ) -> None:
        met = np.isin(person.made, np.union1d(person.heard, person.hated))
        made = person.made[~met & allowed_I[person.made]]
        made = made[: max(1, round(rules.length * rules.fresh * rules.made))]
        heaviest = np.argsort(-person.weight, kind="stable")
        heaviest = heaviest[allowed_I[person.liked[heaviest]]][:_LIKED_LOOKED_AT]
        liked = person.liked[heaviest]
        parts = [made, liked, warm.piece_K[:_NEW_LOOKED_AT], cold.piece_K[:_NEW_LOOKED_AT]]
        weight = person.weight[heaviest].astype(np.float64)
        scores = [np.ones(len(made)), weight, warm.score_K[:_NEW_LOOKED_AT], cold.score_K[:_NEW_LOOKED_AT]]
        self.piece_K = np.concatenate(parts)
        self.score_K = np.concatenate([_scaled(score) for score in scores])
        groups = [_Group.MADE, _Group.KNOWN, _Group.WARM, _Group.COLD]
        self.group_K = np.repeat([int(group) for group in groups], [len(part) for part in parts])
        self.group_K[(self.group_K == _Group.KNOWN) & np.isin(self.piece_K, person.resting)] = _Group.RESTING
        random = np.random.default_rng(person.seed)
        moved_K = np.exp(rules.restlessness * random.standard_normal(len(self.piece_K)))
        self.score_K *= moved_K

    def fill(self, varied: VariedList, rules: Rules) -> None:
        """Choose: what was made first, each group's share then, and where one is too small from the others."""
        for number in np.flatnonzero(self.group_K == _Group.MADE)[: rules.length].tolist():
            varied.take(number)
        made = len(varied.numbers)
        fresh = max(round(rules.length * rules.fresh), made)
        unheard = round((fresh - made) * rules.unheard)
        for group, length in (
            (_Group.KNOWN, rules.length - fresh + made),
            (_Group.COLD, rules.length - fresh + made + unheard),
            (_Group.WARM, rules.length),
            (_Group.COLD, rules.length),
            (_Group.KNOWN, rules.length),
            (_Group.RESTING, rules.length),
        ):
            varied.fill(length, self.group_K == group)


def _scaled(score: NDArray[np.float64]) -> NDArray[np.float64]:
    return score / float(score.max()) if len(score) else score


class _Why:
    """Says why pieces were chosen."""

    def __init__(self, person: Person, space: Space, factors: Factors | None, warm: Candidates) -> None:
        self._person, self._space, self._factors = person, space, factors
        self._by_others = set(warm.piece_K[warm.by_factors_K > warm.by_content_K].tolist())

    def of(self, piece: int, group: _Group) -> Reason:
        if group in (_Group.KNOWN, _Group.RESTING):
            return Reason("known" if group == _Group.KNOWN else "again")
        if not len(self._person.liked):
            return Reason("made" if group == _Group.MADE else "sentence" if self._person.by_sentence else "start")
        if group == _Group.MADE:
            return self._nearest("made", self._space.piece_IE, piece)
        if self._factors is not None and piece in self._by_others:
            return self._nearest("listeners", self._factors.piece_ID, piece)
        return self._nearest("sound", self._space.piece_IE, piece)

    def _nearest(self, kind: Kind, vectors: NDArray[np.float32], piece: int) -> Reason:
        theirs, own = vectors[self._person.liked], vectors[piece]
        length = np.sqrt(np.einsum("ne,ne->n", theirs, theirs) * (own @ own))
        likeness = theirs @ own / np.maximum(length, 1e-9)
        best = int(likeness.argmax())
        return Reason(kind, int(self._person.liked[best]), round(float(likeness[best]), 4))
