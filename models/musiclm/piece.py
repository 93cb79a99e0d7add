"""A piece on its way: takes of each of its legs are made and compared, and the next leg goes on from the best.

Shapes: T samples, F codec frames, K codebooks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle

import torch
from torch import Tensor

from models.generator import Json, StageRecord
from models.melody.contour import Classes
from models.musiclm.choosing import Choice, Listener
from models.musiclm.conditioner import WordsAndMelody
from models.musiclm.model import STAGES
from models.musiclm.steadiness import Heard, ends_of, is_long
from models.musiclm.take import Leg, Take


@dataclass(slots=True, eq=False)
class Piece:
    """An admitted recipe, and how far it is."""

    key: str
    recipe: Mapping[str, Json]
    seed: int
    samples: int
    tellings: list[WordsAndMelody]  # takes of the first leg are told them by turns, all later ones the kept one's
    melody_Q: Classes | None
    read: tuple[StageRecord, ...]  # how melody and words were read
    started_at: datetime
    legs: list[Leg]  # those still to be made
    listened_s: float = 0.0
    choices: list[tuple[Leg, Choice]] = field(default_factory=list)
    _takes: list[Take] = field(default_factory=list)
    _unfinished: int = 0
    _kept: Take | None = None
    _openings: dict[int, Heard] = field(default_factory=dict)  # of each section, its first leg

    @property
    def kept(self) -> Take:
        """The take that was kept last: of a piece that is made, the whole of it."""
        assert self._kept is not None
        return self._kept

    @property
    def told(self) -> WordsAndMelody:
        """What the piece is told: as its recipe says, until a take is kept."""
        return self.tellings[0]

    def begin_leg(self, takes: int) -> list[Take]:
        """Return the takes that are to be made next, so many of a leg that is compared; none if the piece is made."""
        if not self.legs:
            return []
        leg = self.legs.pop(0)
        count = takes if _is_compared(leg) else 1
        self._takes = [
            Take(self.key, number, self.seed, told, told.sampling, leg, self._kept)
            for number, told in zip(range(count), cycle(self.tellings), strict=False)
        ]
        self._unfinished = count
        return self._takes

    def end_take(self, listener: Listener) -> bool:
        """Note that a take of the leg is finished; return whether the leg is, and one of its takes kept."""
        self._unfinished -= 1
        if self._unfinished:
            return False
        began = time.perf_counter()
        leg = self._takes[0].leg
        best = self._choose(leg, listener) if _is_compared(leg) else 0
        self._kept, self.tellings = self._takes[best], [self.tellings[best % len(self.tellings)]]
        self._takes = []
        self.listened_s += time.perf_counter() - began
        return True

    def choices_as_detail(self) -> list[dict[str, Json]]:
        """Return how the take of each leg was chosen, for the record."""
        rate_hz = self.told.rate_hz("coarse")
        told: dict[str, Json] = {} if self.melody_Q is None else {"octave": self.told.octave}
        return [
            {"begin_s": leg.begin / rate_hz, "end_s": leg.end / rate_hz, **choice.as_detail(), **told}
            for leg, choice in self.choices
        ]

    def _choose(self, leg: Leg, listener: Listener) -> int:
        waveforms = [self._decode(take, listener) for take in self._takes]
        telling = self.told.telling
        following: list[float] = []
        if self.melody_Q is not None:
            melody_Q = self.melody_Q[leg.begin // 2 : -(-leg.end // 2)]
            following = [listener.following(waveform_T, melody_Q) for waveform_T in waveforms]
        if leg.section is None:
            likenesses = [listener.likeness(waveform_T, telling) for waveform_T in waveforms]
            choice = listener.choose(likenesses, following, self._ends(waveforms, listener))
        else:
            heard = [listener.hear(waveform_T) for waveform_T in waveforms]
            likenesses = [telling.likeness([(leg.section, each.vector_E)]) for each in heard]
            opening = self._openings.get(leg.section) if listener.steadiness_weight else None
            held = [] if opening is None else [(opening, each) for each in heard]
            choice = listener.choose(likenesses, following, held)
            if leg.section not in self._openings:
                self._openings[leg.section] = heard[choice.best]
                telling.hold(leg.section, heard[choice.best].vector_E)
        self.choices.append((leg, choice))
        return choice.best

    def _ends(self, waveforms: list[Tensor], listener: Listener) -> list[tuple[Heard, Heard]]:
        """Return first and last part of takes of a whole piece, if it is long and all of one section."""
        rate = listener.model.config.codec.sample_rate_hz
        long = is_long(len(waveforms[0]), rate) and len(self.told.telling.sections) == 1
        if not (listener.steadiness_weight and long):
            return []
        ends = [ends_of(waveform_T, rate) for waveform_T in waveforms]
        return [(listener.hear(first_T), listener.hear(last_T)) for first_T, last_T in ends]

    @torch.inference_mode()
    def _decode(self, take: Take, listener: Listener) -> Tensor:
        """Return the waveform_T of a take of a leg, by the codes that there are of it."""
        codec, leg = listener.model.codec, take.leg
        hop, context = codec.config.hop_length, min(codec.decoder.reach_frames, leg.begin)
        codes_FK = torch.from_numpy(take.codes_FK[leg.begin - context : leg.end])
        waveform_T = codec.decode_whole(codes_FK.to(self.told.stage("coarse").start_1D.device))
        return waveform_T[context * hop :][: self.samples - leg.begin * hop]


def _is_compared(leg: Leg) -> bool:
    """Return whether a leg makes something new, of which there are takes, or only makes what was kept finer."""
    return STAGES[0] in leg.stages
