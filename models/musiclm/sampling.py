"""How a version draws: temperature, guidance and windows of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.patterns import FREE
from models.musiclm.model import STAGES, StageName
from models.musiclm.windows import Windowing
from models.sampling import uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSampling:
    """How a stage draws, and in what windows it works (seconds).

    `forgetful` is the share of its steps whose codes it is not given back: it goes by what it is told then, which it
    learnt in training that forgot (`models.training.forgetting`), and not by what it happened to draw.
    With `guided_by_tokens` guidance leads away from what it would draw without the tokens of the stage before too.
    """

    temperature: float
    top_k: int
    guidance_scale: float
    window_s: float
    given_s: float
    forgetful: float = 0.0
    guided_by_tokens: bool = False

    def windowing(self, frame_rate_hz: float) -> Windowing:
        """Return the windows in frames."""
        return Windowing(round(self.window_s * frame_rate_hz), round(self.given_s * frame_rate_hz))

    def instead(self, seed: int, window: str, steps: int, hole: int) -> NDArray[np.int64] | None:
        """Return instead_N of a window (`Conditioning`): a hole where codes are not given back, if any are not."""
        if not self.forgetful:
            return None
        drawn_N = [uniform(seed, f"{window}/forgotten", step) < self.forgetful for step in range(steps)]
        return np.where(drawn_N, hole, FREE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a version draws."""

    semantic: StageSampling
    coarse: StageSampling
    fine: StageSampling

    def of(self, stage: StageName) -> StageSampling:
        """Return a stage's."""
        return {"semantic": self.semantic, "coarse": self.coarse, "fine": self.fine}[stage]


def sampling_from(values: Mapping[str, Mapping[str, Any]]) -> Sampling:
    """Read the sampling of a version's configuration."""
    return Sampling(**{name: StageSampling(**values[name]) for name in STAGES})
