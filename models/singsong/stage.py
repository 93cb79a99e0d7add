"""The two stages of a SingSong: an encoder hears the vocals, a decoder of MusicLM's kind plays to them.

The paper's encoder-decoder (section 4; T5, Raffel et al. 2020) takes vocals' semantic tokens and writes instrumental
semantic tokens and then coarse codes. So it is here, a stage for each, but for one thing: what the encoder says of a
frame is added to the decoder's input at the same time, where T5 lets every step attend to all frames. Voice and
accompaniment are simultaneous, and that need not be learnt. The encoder itself looks both ways, so a step knows what
will be sung.

Shapes: B batch, G frames of the vocals, A vocal codebooks, N steps, K codebooks, V entries, P MuLan tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.musiclm.stage import Stage, StageConfig
from models.transformer import TrunkConfig, rotary_table
from models.w2v_bert.conformer import ConformerBlock

StageName = Literal["semantic", "coarse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Size of what hears the vocals: `codebooks` of `entries`, at `frame_rate_hz`."""

    codebooks: int
    entries: int
    frame_rate_hz: float
    width: int = 128
    heads: int = 4
    layers: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SungStageConfig:
    """An encoder and a decoder, which makes `frame_rate_hz` steps a second."""

    encoder: EncoderConfig
    decoder: StageConfig
    frame_rate_hz: float


class SungStage(nn.Module):
    """A decoder and its encoder."""

    def __init__(self, config: SungStageConfig) -> None:
        super().__init__()
        encoder = config.encoder
        self.config, self.decoder = config, Stage(config.decoder)
        self.codes = nn.Embedding(encoder.codebooks * encoder.entries, encoder.width)
        self.blocks = nn.ModuleList(ConformerBlock(encoder.width, encoder.heads, 0.0) for _ in range(encoder.layers))
        self.out = nn.Linear(encoder.width, config.decoder.trunk.width)
        self.unheard_D = nn.Parameter(torch.zeros(config.decoder.trunk.width))
        self._rotary = TrunkConfig(layers=1, width=encoder.width, heads=encoder.heads, feed_forward=1)

    def hear(self, vocals_BGA: Tensor, steps: int) -> Tensor:
        """Return heard_BND: what is added to the decoder's input at each of so many steps."""
        encoder = self.config.encoder
        offsets = torch.arange(encoder.codebooks, device=vocals_BGA.device) * encoder.entries
        x_BGE = self.codes(vocals_BGA + offsets).sum(dim=-2)
        table = rotary_table(self._rotary, torch.arange(x_BGE.shape[1], device=x_BGE.device)).to(x_BGE.dtype)
        for block in self.blocks:
            x_BGE = block(x_BGE, table)
        heard_BGD: Tensor = self.out(x_BGE)
        frames = torch.arange(steps, device=x_BGE.device) * encoder.frame_rate_hz / self.config.frame_rate_hz
        return heard_BGD[:, frames.long().clamp(max=heard_BGD.shape[1] - 1)]

    def forward(
        self,
        codes_BNK: Tensor,
        vocals_BGA: Tensor,
        heard_B: Tensor,
        prefix_BP: Tensor,
        told_B: Tensor,
        added_BNA: Tensor | None,
    ) -> Tensor:
        """Return logits_BNKV of every step's codes, given those before.

        Args:
            codes_BNK: steps as the pattern lays them out.
            vocals_BGA: tokens of what is sung meanwhile.
            heard_B: False for items whose vocals are left unheard, which guidance learns from.
            prefix_BP: MuLan tokens.
            told_B: False for items whose prefix is left untold.
            added_BNA: codes added to each step's input, if the decoder has any.
        """
        heard_BND = self.hear(vocals_BGA, codes_BNK.shape[1])
        heard_BND = torch.where(heard_B[:, None, None], heard_BND, self.unheard_D.to(heard_BND.dtype))
        if added_BNA is not None:
            heard_BND = heard_BND + self.decoder.embed_added(added_BNA)
        return self.decoder.score(codes_BNK, prefix_BP, told_B, heard_BND)

    def reset_encoder(self, generator: torch.Generator) -> None:
        """Draw the encoder's weights."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith("decoder.") or parameter.ndim < 2:
                    continue
                if name.endswith("taps"):
                    parameter.normal_(0.0, parameter.shape[0] ** -0.5, generator=generator)
                else:
                    parameter.normal_(0.0, 0.05 if name == "codes.weight" else parameter.shape[-1] ** -0.5 / 2,
                                      generator=generator)  # fmt: skip
            self.unheard_D.zero_()
