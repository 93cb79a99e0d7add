"""What a set of clips can be scored on by their labels: does the audio do as it was told?

Each score takes what was asked for and what was heard, clip by clip, and returns the figure and how many clips it is
about; None if it is about none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.clip import Labels
from models.evaluation.scores import area_under_curve, share
from models.judges.instruments import INSTRUMENTS, judged_as
from models.judges.panel import Hearing
from models.judges.scenes import SCENES
from models.judges.tonality import FIFTH, PARALLEL, RELATIVE, key_score
from models.key import parse_key

Scored = tuple[float, int] | None
Score = Callable[[Sequence[Labels], Sequence[Hearing]], Scored]
TEMPO_TOLERANCE, TEMPO_LEVELS = 0.04, (1 / 3, 1 / 2, 1, 2, 3)  # as MIREX's second accuracy
KEYS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A score with its name, what chance gives, and what is aimed at."""

    name: str
    meaning: str
    score: Score
    chance: float | None = None
    goal: float | None = None


def solo(labels: Labels) -> str | None:
    """Return the one class of instruments that plays alone, or None."""
    classes = {judged_as(name) for name in labels.instruments}
    if labels.drums or labels.scenes or len(classes) != 1:
        return None
    return classes.pop()


def solo_instrument(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Share of solos whose instrument is the one heard best."""
    return _hits([h.instrument == own for a, h in _pairs(asked, heard) if (own := solo(a))])


def ensemble_instrument(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Share of clips of several instruments in which the one heard best is among them."""
    of_several = [(_classes(a), h) for a, h in _pairs(asked, heard)]
    return _hits([h.instrument in classes for classes, h in of_several if len(classes) > 1])


def scene(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Share of soundscapes without music whose scene is the one heard best."""
    bare = [(set(a.scenes) & SCENES.keys(), h) for a, h in _pairs(asked, heard) if not a.instruments and not a.drums]
    return _hits([h.scene in scenes for scenes, h in bare if scenes])


def drums(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Area under the curve of music with drums against music without."""
    music = [(a.drums, h.drums) for a, h in _pairs(asked, heard) if a.drums or a.instruments]
    return _area([score for with_it, score in music if with_it], [score for with_it, score in music if not with_it])


def fast_or_slow(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Area under the curve of fast music against slow; music alone, for rain has many onsets."""
    bands = [(a.tempo_band, h.speed) for a, h in _pairs(asked, heard) if not a.scenes]
    return _area([speed for band, speed in bands if band == "fast"], [s for band, s in bands if band == "slow"])


def tempo(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Share of clips whose tempo is heard, or a multiple or part of it that is as good."""
    return _hits(
        [
            any(abs(h.tempo_bpm / a.tempo_bpm / level - 1) <= TEMPO_TOLERANCE for level in TEMPO_LEVELS)
            for a, h in _pairs(asked, heard)
            if a.tempo_bpm is not None
        ]
    )


def key(asked: Sequence[Labels], heard: Sequence[Hearing]) -> Scored:
    """Mean score of the keys heard."""
    scores = [key_score(parse_key(a.key), h.key) for a, h in _pairs(asked, heard) if a.key]
    return (float(np.mean(scores)), len(scores)) if scores else None


MEASURES = (
    Measure(
        name="instrument, top 1 of 11",
        meaning="the solo instrument asked for is the one heard best",
        score=solo_instrument,
        chance=1 / len(INSTRUMENTS),
        goal=0.45,
    ),
    Measure(
        name="instrument of an ensemble",
        meaning="the instrument heard best is one of several asked for",
        score=ensemble_instrument,
    ),
    Measure(
        name="scene, top 1 of 5",
        meaning="the scene asked for, without music, is the one heard best",
        score=scene,
        chance=1 / len(SCENES),
        goal=0.7,
    ),
    Measure(
        name="drums, AUC", meaning="music with drums scores above music without", score=drums, chance=0.5, goal=0.9
    ),
    Measure(
        name="tempo, AUC",
        meaning="fast music scores above slow, without a scene around it",
        score=fast_or_slow,
        chance=0.5,
        goal=0.85,
    ),
    Measure(
        name="tempo within 4 %",
        meaning="the tempo heard is the one asked for, its double, triple, half or third",
        score=tempo,
    ),
    Measure(
        name="key",
        meaning="1 for the key asked for, less for its fifth, relative and parallel (MIREX's weights)",
        score=key,
        chance=(1 + FIFTH + RELATIVE + PARALLEL) / KEYS,
    ),
)


def _pairs(asked: Sequence[Labels], heard: Sequence[Hearing]) -> list[tuple[Labels, Hearing]]:
    return list(zip(asked, heard, strict=True))


def _classes(labels: Labels) -> set[str]:
    return {found for name in labels.instruments if (found := judged_as(name))}


def _hits(hits: list[bool]) -> Scored:
    return (share(hits), len(hits)) if hits else None


def _area(with_it: list[float], without: list[float]) -> Scored:
    return (area_under_curve(with_it, without), len(with_it) + len(without)) if with_it and without else None
