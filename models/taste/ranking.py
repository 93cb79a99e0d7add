"""Two opinions on which pieces suit a listener, made one: reciprocal rank fusion (Cormack et al. 2009).

Factors know what listeners share and say nothing of new pieces; content knows how every piece sounds. Ranks are
fused because their scores have no common measure.

Shapes: B listeners of a block, I pieces, E joint width, D factors, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.taste.factors import Factors
from models.taste.modes import Modes
from models.taste.space import Space

_RANK_OFFSET: Final = 60.0
_SHARPNESS: Final = 2.0  # of the maximum over modes: 0 would be their mean
BLOCK: Final = 128  # rows of every product: a row's last bit may depend on how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingConfig:
    """How many candidates each opinion names, and how much content counts beside the factors' 1."""

    candidates: int = 300
    content: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pieces for one listener, best first, and what either opinion adds to their score."""

    piece_K: NDArray[np.int64]
    by_factors_K: NDArray[np.float64]
    by_content_K: NDArray[np.float64]

    @property
    def score_K(self) -> NDArray[np.float64]:
        """How well each suits."""
        return self.by_factors_K + self.by_content_K


def factor_scores(factors: Factors, listeners: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return scores_BI of a block of listeners."""
    rows = np.zeros((BLOCK, factors.listener_LD.shape[1]), np.float32)
    rows[: len(listeners)] = factors.listener_LD[listeners]
    return (rows @ factors.piece_ID.T)[: len(listeners)]


def content_scores(space: Space, modes: Sequence[Modes | None]) -> NDArray[np.float32]:
    """Return scores_BI of a block of listeners: a soft maximum over the likeness to their modes, by their shares.

    Who has no modes has only zeros.
    """
    score_BI = np.zeros((len(modes), len(space.piece_IE)), np.float32)
    for number in range(max((len(each) for each in modes if each is not None), default=0)):
        rows = np.zeros((BLOCK, space.piece_IE.shape[1]), np.float32)
        share_B1 = np.zeros((len(modes), 1), np.float32)
        for row, each in enumerate(modes):
            if each is not None and number < len(each):
                rows[row], share_B1[row] = each.direction_ME[number], each.share_M[number]
        likeness_BI = (rows @ space.piece_IE.T)[: len(modes)]
        likeness_BI *= _SHARPNESS
        score_BI += share_B1 * np.exp(likeness_BI, out=likeness_BI)
    return score_BI


def fuse(
    factors_I: NDArray[np.float32] | None,
    content_I: NDArray[np.float32],
    allowed_I: NDArray[np.bool_],
    config: RankingConfig,
) -> Candidates:
    """Return the candidates among the allowed pieces.

    Args:
        factors_I: what the factors say, None if nothing.
        content_I: what content says.
        allowed_I: pieces that may be chosen.
        config: how much either counts.
    """
    by_factors_I, by_content_I = np.zeros(len(content_I)), np.zeros(len(content_I))
    named = best(content_I, allowed_I, config.candidates)
    by_content_I[named] = (config.content if factors_I is not None else 1.0) * _by_rank(len(named))
    if factors_I is not None:
        top = best(factors_I, allowed_I, config.candidates)
        by_factors_I[top] = _by_rank(len(top))
        named = np.union1d(named, top)
    piece_K = named[np.argsort(-(by_factors_I[named] + by_content_I[named]), kind="stable")]
    return Candidates(piece_K, by_factors_I[piece_K], by_content_I[piece_K])


def nobody() -> Candidates:
    """Return no candidates."""
    return Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def _by_rank(count: int) -> NDArray[np.float64]:
    return np.asarray(1.0 / (_RANK_OFFSET + 1 + np.arange(count)), dtype=np.float64)


def best(score_I: NDArray[np.float32], allowed_I: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return the allowed pieces of the highest scores, best first; equals in order of their number."""
    piece = np.flatnonzero(allowed_I)
    if len(piece) > most:
        least = np.partition(score_I[piece], len(piece) - most)[len(piece) - most]
        piece = piece[score_I[piece] >= least]
    return piece[np.argsort(-score_I[piece], kind="stable")][:most]
