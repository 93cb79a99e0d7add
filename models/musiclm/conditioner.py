"""What the windows of a piece from words are told: MuLan tokens of its prompt, its melody, its semantic tokens.

Shapes: Q semantic frames, N steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from models.engine.requests import Conditioning
from models.melody.contour import UNTOLD, moved, octaves_beside
from models.musiclm.model import MusicLM, StageName
from models.musiclm.sampling import Sampling
from models.musiclm.stage import Stage, heard_by, unheard, with_melody
from models.musiclm.take import Made
from models.musiclm.telling import Telling
from models.musiclm.windows import Window


@dataclass(frozen=True, slots=True, eq=False)
class WordsAndMelody:
    """What a piece is told; `melody_Q` has a class for each semantic frame, `octave` above where it was heard."""

    telling: Telling
    melody_Q: Tensor
    model: MusicLM
    sampling: Sampling
    octave: int = 0

    def in_octaves(self, count: int) -> list[WordsAndMelody]:
        """Return this, and this with its melody in other octaves: as many in all, if so many fit.

        An instrument that is asked for plays a melody where it lies well; told another octave it wavers between both.
        """
        classes_Q = self.melody_Q.numpy().astype(np.uint8)
        return [self] + [
            replace(self, melody_Q=torch.from_numpy(moved(classes_Q, octave)).long(), octave=octave)
            for octave in octaves_beside(classes_Q)[: count - 1]
        ]

    def stage(self, name: StageName) -> Stage:
        """Return what the engine runs for a stage."""
        return self.model.stage(name)

    def rate_hz(self, name: StageName) -> float:
        """Return how many frames a stage has in a second."""
        return self.model.rate_hz(name)

    def conditioning(
        self, name: StageName, window: Window, steps: int, made: Made
    ) -> tuple[Conditioning, Conditioning]:
        """Return what a window is told, and what its twin is told: no words, no melody, and it may be no tokens."""
        stage, rate = self.stage(name), self.rate_hz(name)
        tokens_P = self.telling.tokens_for((window.start + window.given) / rate, window.end / rate)
        added_ND = self._added(name, window, steps, made, self.melody_Q)
        untold_Q = torch.full_like(self.melody_Q, UNTOLD)
        by_tokens = self.sampling.of(name).guided_by_tokens
        untold_ND = self._added(name, window, steps, made, untold_Q, told=not by_tokens)
        return (
            Conditioning(prefix_PD=stage.embed_prefix(tokens_P), added_ND=added_ND),
            Conditioning(prefix_PD=stage.embed_prefix(None), added_ND=untold_ND),
        )

    def _added(
        self, name: StageName, window: Window, steps: int, made: Made, melody_Q: Tensor, *, told: bool = True
    ) -> Tensor:
        """Return what is added to a window's steps; the coarse stage may be told no semantic tokens."""
        stage = self.stage(name)
        device = stage.start_1D.device
        if name == "semantic":
            return stage.embed_added(with_melody(None, melody_Q[window.start : window.end].to(device), steps))
        heard = slice(window.start // 2, -(-window.end // 2))
        tokens_NA = heard_by(torch.from_numpy(made["semantic"][heard, 0]).to(device), steps)
        tokens_NA = tokens_NA if told else unheard(tokens_NA)
        return stage.embed_added(with_melody(tokens_NA, melody_Q[heard].to(device), steps))
