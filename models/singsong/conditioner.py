"""What the windows of an accompaniment are told: the vocals, what the harmony model makes of them, and words.

Shapes: N steps, G frames of the vocals, A channels, H values of the guide, P MuLan tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.engine.requests import Conditioning
from models.musiclm.model import StageName
from models.musiclm.stage import Stage, heard_by
from models.musiclm.take import Made
from models.musiclm.windows import Window
from models.singsong.model import SingSong
from models.singsong.stage import SungStage


@dataclass(frozen=True, slots=True, eq=False)
class VocalsAndWords:
    """What is heard, `vocals_GA`, what the harmony model makes of it, `guide_GH`, and tokens of words, if any."""

    vocals_GA: Tensor
    guide_GH: Tensor
    prefix_P: Tensor | None
    model: SingSong

    def stage(self, name: StageName) -> Stage:
        """Return what the engine runs for a stage."""
        return self.model.decoder(name)

    def rate_hz(self, name: StageName) -> float:
        """Return how many frames a stage has in a second."""
        return self.model.rate_hz(name)

    def conditioning(
        self, name: StageName, window: Window, steps: int, made: Made
    ) -> tuple[Conditioning, Conditioning]:
        """Return what a window is told, and what its twin is told that hears no vocals and no words."""
        stage = self.stage(name)
        device = stage.start_1D.device
        sung: SungStage = self.model.semantic if name == "semantic" else self.model.coarse
        vocals_GA, guide_GH = self._vocals(name, window)
        heard_ND = sung.hear(vocals_GA.to(device)[None], guide_GH.to(device)[None], steps)[0]
        unheard_ND = sung.unheard_D.expand(steps, -1)
        if name == "coarse":
            tokens_Q = torch.from_numpy(made["semantic"][window.start // 2 : -(-window.end // 2), 0]).to(device)
            added_ND = stage.embed_added(heard_by(tokens_Q, steps))
            heard_ND, unheard_ND = heard_ND + added_ND, unheard_ND + added_ND
        return (
            Conditioning(prefix_PD=stage.embed_prefix(self.prefix_P), added_ND=heard_ND),
            Conditioning(prefix_PD=stage.embed_prefix(None), added_ND=unheard_ND),
        )

    def _vocals(self, name: StageName, window: Window) -> tuple[Tensor, Tensor]:
        """Return what is sung in a window, and its guide."""
        ratio = self.model.hearing.frame_rate_hz / self.rate_hz(name)
        begin = min(int(window.start * ratio), len(self.vocals_GA) - 1)
        sung = slice(begin, max(int(np.ceil(window.end * ratio)), begin + 1))
        return self.vocals_GA[sung], self.guide_GH[sung]
