"""A judge of instruments: which of 11 classes YAMNet hears best.

The 11 are those that it tells apart in real renders and that music libraries ask for; `usual` was measured on 426
renders of solos, ensembles and bands by 40 instruments from two SoundFonts.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.judges.evidence import Evidence

INSTRUMENTS: dict[str, Evidence] = {
    "piano": Evidence(("Piano",), -4.8),
    "organ": Evidence(("Organ", "Electronic organ", "Hammond organ"), -6.6),
    "guitar": Evidence(("Acoustic guitar", "Guitar", "Strum"), -6.5),
    "violin": Evidence(("Violin, fiddle",), -6.3),
    "cello": Evidence(("Cello",), -7.7),
    "harp": Evidence(("Harp",), -8.2),
    "choir": Evidence(("Choir", "Chant"), -8.5),
    "trumpet": Evidence(("Trumpet",), -7.0),
    "flute": Evidence(("Flute",), -7.5),
    "clarinet": Evidence(("Clarinet",), -7.3),
    "mallets": Evidence(("Marimba, xylophone", "Mallet percussion"), -7.8),
}
_ALSO = {"marimba": "mallets", "xylophone": "mallets", "vibraphone": "mallets", "marimba/xylophone": "mallets"}


def judged_as(instrument: str) -> str | None:
    """Return the class that an instrument of a label belongs to, or None if it is in none of the 11."""
    return instrument if instrument in INSTRUMENTS else _ALSO.get(instrument)


def instrument_scores(sounds: Mapping[str, float]) -> dict[str, float]:
    """Return how strongly each class is heard, from YAMNet's scores by name."""
    return {name: evidence.of(sounds) for name, evidence in INSTRUMENTS.items()}
