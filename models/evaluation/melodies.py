"""Do results follow the melodies that they were given?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.clip import Clip
from models.evaluation.figure import Figure
from models.judges.melody import MelodyJudge, contour_correlation


@dataclass(frozen=True, slots=True)
class MelodyEvaluation:
    """Correlations of pitch contours: of each result with its own melody, and with all others'."""

    own: tuple[float, ...]
    others: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean correlation with the own melody."""
        return float(np.mean(self.own))

    @property
    def shuffled_mean(self) -> float:
        """The mean correlation with melodies of others: what nothing but chance gives."""
        return float(np.mean(self.others))


def melody_figure(found: MelodyEvaluation) -> Figure:
    """Return the correlation beside that with others' melodies."""
    return Figure(
        name="melody, correlation",
        meaning="of the result's pitch contour with that of the melody it was given",
        generated=found.mean,
        shuffled=found.shuffled_mean,
        chance=0.0,
        goal=0.5,
        clips=len(found.own),
    )


def evaluate_melodies(
    melodies: Sequence[Clip], results: Sequence[Clip], judge: MelodyJudge, *, most_lag_s: float = 0.0
) -> MelodyEvaluation:
    """Correlate the contour of each result with its melody's, and with those of the others.

    Raises:
        ValueError: there are not as many results as melodies, or fewer than two.
    """
    if len(melodies) != len(results) or len(melodies) < 2:
        raise ValueError(f"{len(melodies)} melodies and {len(results)} results: give as many, and at least 2")
    asked = [judge.contour(clip.waveform, clip.sample_rate_hz) for clip in melodies]
    heard = [judge.contour(clip.waveform, clip.sample_rate_hz) for clip in results]
    table = [[contour_correlation(a, h, most_lag_s) for h in heard] for a in asked]
    return MelodyEvaluation(
        tuple(table[n][n] for n in range(len(asked))),
        tuple(value for n, row in enumerate(table) for m, value in enumerate(row) if m != n),
    )
