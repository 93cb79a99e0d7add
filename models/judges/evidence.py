"""How strongly a judge's scores speak for something, against how strongly they usually do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

LEAST = 1e-4  # scores below this say nothing more


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one answer: the strongest of some classes, less the log-odds that it usually has.

    `usual` is a judge's habit, not a model's: the mean over real renders (or recordings) of all kinds. Without it
    "piano" would win wherever the judge is in doubt, for it hears a little piano in most music.
    """

    classes: tuple[str, ...]
    usual: float

    def of(self, scores: Mapping[str, float]) -> float:
        """Return the log-odds above the usual."""
        return max(log_odds(scores[name]) for name in self.classes) - self.usual


def log_odds(score: float) -> float:
    """Return the log-odds of a score between 0 and 1."""
    p = min(max(score, LEAST), 1 - LEAST)
    return math.log(p / (1 - p))
