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
from models.musiclm.steadiness import steadiness
from models.musiclm.telling import Telling

_MELODY_WEIGHT = 0.5  # of following the melody beside likeness: among takes both are spread alike then
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

    def choose(
        self,
        takes: Sequence[Tensor],
        telling: Telling,
        section: int | None,
        melody_Q: Classes | None,
        held: Sequence[tuple[Tensor, Tensor]],
    ) -> Choice:
        """Choose one of the takes of a leg.

        Args:
            takes: a waveform_T of each.
            telling: what the piece was told.
            section: which section of it the leg is in, if it is in one alone.
            melody_Q: what it should follow, if the piece has a melody.
            held: of each take an earlier part and a later that should be like it; empty if nothing should.
        """
        likenesses = [self.likeness(waveform_T, telling, section) for waveform_T in takes]
        following = [] if melody_Q is None else [self.following(waveform_T, melody_Q) for waveform_T in takes]
        holding = [steadiness(first_T, later_T, self.model.mulan) for first_T, later_T in held]
        worths = np.array(likenesses)
        for values, weight in ((following, _MELODY_WEIGHT), (holding, self.steadiness_weight)):
            worths = worths + weight * np.array(values) if values else worths
        return Choice(int(worths.round(_TOLD_APART).argmax()), likenesses, following, holding)

    @torch.inference_mode()
    def likeness(self, waveform_T: Tensor, telling: Telling, section: int | None = None) -> float:
        """Return how near a waveform lies to its words in the joint space.

        It is all of one section, or, with none given, a whole piece: then the mean cosine over its sections counts.
        """
        rate, mulan = self.model.config.codec.sample_rate_hz, self.model.mulan
        waveform_T = waveform_T.to(mulan.log_scale.device)
        duration_s = len(waveform_T) / rate
        spans = telling.spans(duration_s) if section is None else [(section, 0.0, duration_s)]
        heard = [(each, mulan.embed_audio(waveform_T[round(a * rate) : round(b * rate)])) for each, a, b in spans]
        return telling.likeness(heard)

    def vector(self, waveform_T: Tensor) -> Tensor:
        """Return where a waveform lies in the joint space, vector_E."""
        return self.model.mulan.embed_audio(waveform_T.to(self.model.mulan.log_scale.device))

    def following(self, waveform_T: Tensor, melody_Q: Classes) -> float:
        """Return how well a waveform follows a melody."""
        heard_Q = hear_melody(waveform_T.numpy(), self.model.config.codec.sample_rate_hz, self.model.melody)
        return agreement(melody_Q, heard_Q)
