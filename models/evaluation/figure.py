"""One figure beside its references."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of generated audio, and the same of what it is held against; None where that makes no sense.

    `real` is of real renders or recordings, `round_trip` of these through the codec, `shuffled` of the generated
    audio held against other clips' prompts, `noise` of noise with the real renders' spectrum.
    """

    name: str
    meaning: str
    generated: float
    interval: tuple[float, float] | None = None  # of `generated`: the middle 95 % over samples of the clips
    real: float | None = None
    round_trip: float | None = None
    shuffled: float | None = None
    noise: float | None = None
    chance: float | None = None
    goal: float | None = None
    better: Literal["higher", "lower"] = "higher"
    clips: int

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.generated >= self.goal if self.better == "higher" else self.generated <= self.goal
