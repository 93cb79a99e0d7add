"""Do results follow the melodies that they were given?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.clip import Clip
from models.evaluation.figure import Figure
from models.judges.melody import MelodyJudge, contour_correlation, same_notes


@dataclass(frozen=True, slots=True)
class MelodyEvaluation:
    """How results are like melodies: each its own, and all others'.

    `own` and `others` are correlations of pitch contours, `own_notes` and `others_notes` shares of the same notes, in
    whatever octave.
    """

    own: tuple[float, ...]
    others: tuple[float, ...]
    own_notes: tuple[float, ...]
    others_notes: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean correlation with the own melody."""
        return float(np.mean(self.own))

    @property
    def shuffled_mean(self) -> float:
        """The mean correlation with melodies of others: what nothing but chance gives."""
        return float(np.mean(self.others))


def melody_figures(found: MelodyEvaluation) -> list[Figure]:
    """Return the correlation and the share of right notes, beside those with others' melodies."""
    correlation = Figure(
        name="melody, correlation",
        meaning="of the result's pitch contour with that of the melody it was given",
        generated=found.mean,
        shuffled=found.shuffled_mean,
        chance=0.0,
        goal=0.5,
        clips=len(found.own),
    )
    notes = Figure(
        name="melody, same notes",
        meaning="share of the time that the note is the melody's, in whatever octave",
        generated=float(np.mean(found.own_notes)),
        shuffled=float(np.mean(found.others_notes)),
        chance=1 / 12,
        clips=len(found.own),
    )
    return [correlation, notes]


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
    correlations = [[contour_correlation(a, h, most_lag_s) for h in heard] for a in asked]
    notes = [[same_notes(a, h) for h in heard] for a in asked]
    return MelodyEvaluation(*_own_and_others(correlations), *_own_and_others(notes))


def _own_and_others(table: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what is on the diagonal, and what is off it."""
    own = tuple(row[n] for n, row in enumerate(table))
    return own, tuple(value for n, row in enumerate(table) for m, value in enumerate(row) if m != n)
