"""What is true of a clip: known because it was rendered, not heard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["solo", "ensemble", "band", "drums", "scene", "scene and music"]
Tempo = Literal["slow", "medium", "fast"]
TEMPI: dict[Tempo, tuple[float, float]] = {
    "slow": (46.0, 72.0),
    "medium": (86.0, 112.0),
    "fast": (128.0, 172.0),
}  # bpm


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of a clip; None where they do not apply or were not certain."""

    kind: Kind
    instruments: tuple[str, ...] = ()  # from the top line down, each once
    drums: bool = False
    scenes: tuple[str, ...] = ()
    tempo: Tempo | None = None
    tempo_bpm: float | None = None
    key: str | None = None
    mode: Literal["major", "minor"] | None = None
    onsets_per_s: float | None = None
    loudness: Literal["soft", "loud"] | None = None
    style: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the labels as JSON values."""
        return asdict(self)


def labels_from(row: dict[str, Any]) -> Labels:
    """Return the labels that `as_dict` gave."""
    return Labels(**row | {"instruments": tuple(row["instruments"]), "scenes": tuple(row["scenes"])})
