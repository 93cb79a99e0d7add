"""A judge of drums: YAMNet and musicnn together."""

from __future__ import annotations

from collections.abc import Mapping

from models.judges.evidence import log_odds

_SOUNDS = ("Drum kit", "Drum", "Snare drum", "Bass drum", "Hi-hat", "Cymbal", "Drum machine")


def drums_score(sounds: Mapping[str, float], tags: Mapping[str, float]) -> float:
    """Return a score that is higher for music with drums, from YAMNet's scores by name and musicnn's tags."""
    return sum(log_odds(sounds[name]) for name in _SOUNDS) / len(_SOUNDS) + log_odds(tags["drums"])
