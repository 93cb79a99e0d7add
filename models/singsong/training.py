"""Training of a stage of SingSong: next-code prediction over accompaniments, given the vocals of each.

The decoder begins as the stage of the MusicLM that the parts come from: it knows how music goes on, and only how it
goes with a voice is to be learnt. A share of the items hears no vocals, which guidance needs; half are told no words,
as words are optional in use.

Half of the items forget codes of their own, one in four all of them (`models.training.forgetting`): what is sung is
then all there is to go by. The guide is mixed, in proportions that are drawn, of the true accompaniment's and of what
is guessed from the vocals.

Shapes: B batch, N steps, K codebooks, V entries, P MuLan tokens, G frames of the vocals, A tokens a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from models.musiclm.stage import heard_by
from models.musiclm.training import delayed
from models.singsong.hearing import HearingConfig
from models.singsong.stage import SungStage, SungStageConfig, SungStageName
from models.singsong.start import Start
from models.training.averaging import Average
from models.training.draws import generator
from models.training.forgetting import forgotten
from models.training.nats import nats_by_codebook
from models.training.run import Metrics

_AVERAGED_EVERY = 4
_VALIDATION_BATCHES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SungTrainingConfig:
    """Recipe of a stage's training. `seconds` is the length of a crop."""

    stage: SungStageConfig
    kind: SungStageName
    hearing: HearingConfig
    manifest: str
    start: str  # the digest of the MusicLM that the decoder begins from
    seed: int
    batch: int
    seconds: float
    from_caption: float = 0.5
    untold: float = 0.5
    unheard: float = 0.1
    forgetful: float = 0.5  # share of items that forget codes of their own, half of these all
    least_true: float = 0.3  # of the guide; the rest is guessed from the vocals
    encoder_rate: float = 2.0  # of the learning rate: the encoder begins from nothing
    weight_decay: float = 0.05
    averaging: float = 0.99
    dtype: str = "bfloat16"


@dataclass(frozen=True, slots=True)
class SungTokens:
    """Tokens of all pairs, by number: of the accompaniment, and of the vocals as they are heard."""

    semantic_NQ: Tensor
    codes_NFK: Tensor
    audio_NP: Tensor
    text_NCP: Tensor
    vocals_NGA: Tensor
    true_NGH: Tensor  # the guides of the accompaniments themselves
    guessed_NGH: Tensor  # and those guessed from the vocals


@dataclass(frozen=True, slots=True)
class _Batch:
    codes_BNK: Tensor
    vocals_BGA: Tensor
    guide_BGH: Tensor
    heard_B: Tensor
    prefix_BP: Tensor
    told_B: Tensor
    added_BNA: Tensor | None
    forgotten_BN: Tensor | None


class SungTrainee:
    """A stage, its optimiser, and tokens."""

    def __init__(
        self,
        config: SungTrainingConfig,
        tokens: SungTokens,
        training: Sequence[int],
        validation: Sequence[int],
        start: Start,
        device: str = "cpu",
    ) -> None:
        """Take tokens of all pairs, which to learn from and to be measured on, and the stage to begin from."""
        self.config, self.tokens, self.device = config, tokens, torch.device(device)
        self._training, self._validation = np.array(training), np.array(validation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # torch's layers draw their biases from the global generator
            self.stage = SungStage(config.stage)
        self.stage.begin(start)
        self.stage.to(self.device)
        self.average = Average(self.stage, config.averaging**_AVERAGED_EVERY)
        own = [p for name, p in self.stage.named_parameters() if not name.startswith("decoder.")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": list(self.stage.decoder.parameters()), "scale": 1.0},
                {"params": own, "scale": config.encoder_rate},
            ],
            weight_decay=config.weight_decay, betas=(0.9, 0.95), fused=True,
        )  # fmt: skip

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate * group["scale"]
        self.stage.train()
        loss = self._nats(self.stage, self._batch(self._training, generator(self.config.seed, 1, step))).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.stage.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.stage, step // _AVERAGED_EVERY)
        return {"nats": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return nats a code on held-out songs, for each codebook: with their vocals, and with another song's.

        The guide is what is guessed from the vocals, as in use; `truly_guided` has the accompaniment's own.
        """
        stage = cast(SungStage, self.average.module)
        self.stage.eval()
        figures: Metrics = {}
        for name, own, true in (
            ("validation", True, 0.0),
            ("other_vocals", False, 0.0),
            ("truly_guided", True, 1.0),
        ):
            rows = [
                self._nats(
                    stage, self._batch(self._validation, generator(self.config.seed, 2, number), own=own, true=true)
                )
                for number in range(_VALIDATION_BATCHES)
            ]
            figures |= {f"{name}_{k}": round(float(x), 4) for k, x in enumerate(torch.stack(rows).mean(dim=0))}
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages and the optimiser."""
        return {
            "stage": self.stage.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.stage.load_state_dict(state["stage"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _nats(self, stage: SungStage, batch: _Batch) -> Tensor:
        """Return the mean cross-entropy of each codebook, holes left out."""
        config = self.config
        with torch.autocast(self.device.type, getattr(torch, config.dtype), enabled=config.dtype != "float32"):
            logits_BNKV = stage(
                batch.codes_BNK,
                batch.vocals_BGA,
                batch.guide_BGH,
                batch.heard_B,
                batch.prefix_BP,
                batch.told_B,
                batch.added_BNA,
                batch.forgotten_BN,
            )
        return nats_by_codebook(logits_BNKV, batch.codes_BNK, config.stage.decoder.hole)

    def _batch(
        self, numbers: np.ndarray, rng: np.random.Generator, *, own: bool = True, true: float | None = None
    ) -> _Batch:
        """Draw items; with `true`, the share of the true guide, they are to be measured on, and forget nothing."""
        config, tokens = self.config, self.tokens
        chosen = torch.from_numpy(rng.choice(numbers, config.batch))
        frames = tokens.semantic_NQ.shape[1]
        crop = round(config.seconds * frames / _pair_s(tokens, config))
        start = int(rng.integers(frames - crop + 1))
        caption = torch.from_numpy(rng.integers(tokens.text_NCP.shape[1], size=config.batch))
        by_caption = torch.from_numpy(rng.random(config.batch) < config.from_caption)
        prefix = torch.where(by_caption[:, None], tokens.text_NCP[chosen, caption], tokens.audio_NP[chosen]).long()
        heard = torch.from_numpy(rng.random(config.batch) >= config.unheard)
        told = torch.from_numpy(rng.random(config.batch) >= config.untold) & heard
        per_frame = tokens.vocals_NGA.shape[1] // frames
        singing = chosen if own else chosen.roll(1)
        sung = slice(per_frame * start, per_frame * (start + crop))
        vocals = tokens.vocals_NGA[singing, sung].long()
        drawn = rng.uniform(config.least_true, 1.0, (config.batch, 1, 1)).astype(np.float32)
        share = torch.from_numpy(drawn) if true is None else true
        guide = (
            share * tokens.true_NGH[chosen, sung].float() + (1 - share) * tokens.guessed_NGH[singing, sung].float()
        )
        semantic = tokens.semantic_NQ[chosen, start : start + crop].long()
        added = None
        if config.kind == "semantic":
            codes_BNK = semantic[..., None]
        else:
            codes_BFK = tokens.codes_NFK[chosen, 2 * start : 2 * (start + crop)].long()
            codes_BNK = delayed(codes_BFK[..., : config.stage.decoder.codebooks], config.stage.decoder.hole)
            added = heard_by(semantic, codes_BNK.shape[1]).to(self.device)
        lost = None
        if true is None:
            lost = forgotten(config.batch, codes_BNK.shape[1], config.forgetful, rng).to(self.device)
        moved = [x.to(self.device) for x in (codes_BNK, vocals, guide, heard, prefix, told)]
        return _Batch(moved[0], moved[1], moved[2], moved[3], moved[4], moved[5], added, lost)


def _pair_s(tokens: SungTokens, config: SungTrainingConfig) -> float:
    """Return how long the pairs are."""
    rate = config.stage.frame_rate_hz if config.kind == "semantic" else config.stage.frame_rate_hz / 2
    return tokens.semantic_NQ.shape[1] / rate
