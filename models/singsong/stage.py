"""The two stages of a SingSong: an encoder hears the vocals, a decoder of MusicLM's kind plays to them.

The paper's encoder-decoder (section 4; T5, Raffel et al. 2020) takes vocals' semantic tokens and writes instrumental
semantic tokens and then coarse codes. So it is here, a stage for each, but for two things. What is heard of a frame
is added to the decoder's input at the same time, where T5 lets every step attend to all frames: voice and
accompaniment are simultaneous, and that need not be learnt. And beside the encoder's output stands a guide
(`models.singsong.harmony`). The encoder looks both ways, so a step knows what will be sung.

Shapes: B batch, G frames of the vocals, A vocal codebooks, H values of the guide, N steps, K codebooks, V entries,
P MuLan tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from models.musiclm.stage import Stage, StageConfig
from models.singsong.encoder import EncoderConfig, VocalEncoder
from models.singsong.harmony import GUIDE
from models.singsong.start import Start

SungStageName = Literal["semantic", "coarse"]
SUNG_STAGES: tuple[SungStageName, ...] = get_args(SungStageName)


@dataclass(frozen=True, slots=True, kw_only=True)
class SungStageConfig:
    """An encoder and a decoder, which makes `frame_rate_hz` steps a second."""

    encoder: EncoderConfig
    decoder: StageConfig
    frame_rate_hz: float


class SungStage(nn.Module):
    """A decoder, its encoder, and what takes up the guide. New ones change nothing of what the decoder does."""

    def __init__(self, config: SungStageConfig) -> None:
        super().__init__()
        width = config.decoder.trunk.width
        self.config, self.decoder, self.encoder = config, Stage(config.decoder), VocalEncoder(config.encoder)
        self.out, self.guide = nn.Linear(config.encoder.width, width), nn.Linear(GUIDE, width)
        self.guide_ahead = nn.Linear(GUIDE, config.encoder.width)
        self.unheard_D = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.out.weight, std=0.02 * config.encoder.width**-0.5)
        nn.init.normal_(self.guide.weight, std=0.02)
        nn.init.normal_(self.guide_ahead.weight, std=0.1)

    def begin(self, start: Start) -> None:
        """Have the decoder begin as a stage of a MusicLM."""
        self.decoder.load_state_dict(start.stage.state_dict())
        with torch.no_grad():
            self.unheard_D.copy_(start.untold_D)
            self.out.bias.copy_(start.untold_D)

    def hear(self, vocals_BGA: Tensor, guide_BGH: Tensor, steps: int) -> Tensor:
        """Return heard_BND: what is added to the decoder's input at each of so many steps."""
        guide_BGH = evened(guide_BGH).to(self.guide.weight.dtype)
        heard_BGD: Tensor = self.out(self.encoder(vocals_BGA, self.guide_ahead(guide_BGH))) + self.guide(guide_BGH)
        frames = torch.arange(steps, device=heard_BGD.device) * self.config.encoder.frame_rate_hz
        at_N = (frames / self.config.frame_rate_hz).long().clamp(max=heard_BGD.shape[1] - 1)
        return heard_BGD[:, at_N]

    def forward(
        self,
        codes_BNK: Tensor,
        vocals_BGA: Tensor,
        guide_BGH: Tensor,
        heard_B: Tensor,
        prefix_BP: Tensor,
        told_B: Tensor,
        added_BNA: Tensor | None,
        forgotten_BN: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BNKV of every step's codes, given those before.

        Args:
            codes_BNK: steps as the pattern lays them out.
            vocals_BGA: tokens of what is sung meanwhile.
            guide_BGH: what the accompaniment should sound on.
            heard_B: False for items whose vocals and guide are left unheard, which guidance learns from.
            prefix_BP: MuLan tokens.
            told_B: False for items whose prefix is left untold.
            added_BNA: codes added to each step's input, if the decoder has any.
            forgotten_BN: True for steps whose codes are not given to the one after.
        """
        heard_BND = self.hear(vocals_BGA, guide_BGH, codes_BNK.shape[1])
        heard_BND = torch.where(heard_B[:, None, None], heard_BND, self.unheard_D.to(heard_BND.dtype))
        x_BTD = self.decoder.inputs(codes_BNK, prefix_BP, told_B, added_BNA, heard_BND, forgotten_BN)
        return self.decoder.score(codes_BNK, x_BTD)


def evened(guide_BGH: Tensor) -> Tensor:
    """Return a guide whose values are all of the size of one: 0 is a pitch class's even share."""
    return torch.cat([guide_BGH[..., :12] * 12 - 1, guide_BGH[..., 12:] * 2 - 1], dim=-1)
