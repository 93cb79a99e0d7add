"""Which take is kept: the one nearest to its words in the joint space, that follows its melody and holds best.

Shapes: T samples, Q semantic frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.generator import Json
from models.melody.agreement import agreement
from models.melody.contour import Classes
from models.melody.hearing import hear_melody
from models.musiclm.model import MusicLM
from models.musiclm.steadiness import Heard, hear, steadiness
from models.musiclm.telling import Telling

_MELODY_WEIGHT = 1.0  # of following the melody beside likeness
_TOLD_APART = 5  # digits: takes nearer to each other than that are equal, on whatever processor they are heard


@dataclass(frozen=True, slots=True)
class Choice:
    """Which take is kept, and what of all takes it was chosen by: what does not apply is empty."""

    best: int
    likenesses: list[float]
    following: list[float]
    holding: list[float]

    def as_detail(self) -> dict[str, Json]:
        """Return it as the record of the stage has it."""
        rows = {
            "likeness_of_takes": self.likenesses,
            "melody_of_takes": self.following,
            "steadiness_of_takes": self.holding,
        }
        return {name: [round(each, 6) for each in row] for name, row in rows.items() if row} | {"take": self.best}


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """Hears takes with the ears of a model: its joint space and its melody net."""

    model: MusicLM
    steadiness_weight: float

    def choose(self, likenesses: list[float], following: list[float], held: Sequence[tuple[Heard, Heard]]) -> Choice:
        """Choose one of some takes.

        Args:
            likenesses: of each to its words.
            following: how well each follows its melody; empty if there is none.
            held: of each an earlier part and a later that should be like it; empty if nothing should.
        """
        holding = [steadiness(first, later) for first, later in held]
        worths = np.array(likenesses)
        for values, weight in ((following, _MELODY_WEIGHT), (holding, self.steadiness_weight)):
            worths = worths + weight * np.array(values) if values else worths
        return Choice(int(worths.round(_TOLD_APART).argmax()), likenesses, following, holding)

    def hear(self, waveform_T: Tensor) -> Heard:
        """Return what is compared of a part of a piece."""
        return hear(waveform_T, self.model.mulan)

    @torch.inference_mode()
    def likeness(self, waveform_T: Tensor, telling: Telling) -> float:
        """Return how near a whole piece lies to its words in the joint space: the mean cosine over its sections."""
        rate, mulan = self.model.config.codec.sample_rate_hz, self.model.mulan
        waveform_T = waveform_T.to(mulan.log_scale.device)
        spans = telling.spans(len(waveform_T) / rate)
        heard = [(each, mulan.embed_audio(waveform_T[round(a * rate) : round(b * rate)])) for each, a, b in spans]
        return telling.likeness(heard)

    def following(self, waveform_T: Tensor, melody_Q: Classes) -> float:
        """Return how well a waveform follows a melody."""
        heard_Q = hear_melody(waveform_T.numpy(), self.model.config.codec.sample_rate_hz, self.model.melody)
        return agreement(melody_Q, heard_Q)
