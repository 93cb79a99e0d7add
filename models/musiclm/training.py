"""Training of a stage: next-code prediction over clips' tokens.

MuLan tokens of the audio condition the training, as in the paper; a share of the items is told by the tokens of a
caption instead, which closes the gap between the two towers that a small model leaves, and a share is told nothing,
which guidance needs. A share may forget codes of its own (`models.training.forgetting`), and the others be given back
what the stage itself would have drawn (`models.training.drawn_back`): in use it is never given the truth.

Shapes: B batch, N steps, K codebooks, V entries, P MuLan tokens, A added codebooks, F codec frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.melody.contour import FIRST, REST, UNTOLD, Classes, moved
from models.musiclm.model import StageName
from models.musiclm.stage import Stage, StageConfig, heard_by, held_for, unheard, with_melody
from models.musiclm.tokens import SemanticTokens
from models.training.averaging import Average
from models.training.drawn_back import drawn_back
from models.training.draws import generator, torch_generator
from models.training.forgetting import forgotten
from models.training.nats import nats_by_codebook
from models.training.run import Metrics

_AVERAGED_EVERY = 4
_VALIDATION_BATCHES = 8
_HOLE, _HOLES = 4, 0.08  # frames that a hole in a melody lasts, and the share of holes: what hearing it leaves out


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTrainingConfig:
    """Recipe of a stage's training. `frames` is the length of a crop, in the stage's own steps before the pattern."""

    stage: StageConfig
    kind: StageName
    manifest: str
    seed: int
    batch: int
    frames: int
    from_caption: float = 0.4
    untold: float = 0.12
    tokens_untold: bool = False  # of items told no prefix the coarse stage is not told the semantic tokens either
    weight_decay: float = 0.05
    averaging: float = 0.998
    melody_told: float = 0.0
    octaves: tuple[float, float, float] = (0.2, 0.6, 0.2)  # of melodies told an octave lower, as they are, and higher
    forgetful: float = 0.0
    draws_back: float = 0.0  # of items that forget nothing, at most so large a share of the codes is drawn
    start: str = ""  # the digest of the version that it goes on from
    fixed: tuple[str, ...] = ()  # pieces of the stage that stay as they are
    dtype: str = "bfloat16"


@dataclass(frozen=True, slots=True)
class _Batch:
    codes_BNK: Tensor
    prefix_BP: Tensor | None
    told_B: Tensor | None
    added_BNA: Tensor | None
    forgotten_BN: Tensor | None

    def of(self, chosen_C: Tensor) -> _Batch:
        """Return some of its items."""
        parts = (self.codes_BNK, self.prefix_BP, self.told_B, self.added_BNA, self.forgotten_BN)
        taken = [None if part is None else part[chosen_C] for part in parts]
        assert taken[0] is not None
        return _Batch(taken[0], *taken[1:])


class StageTrainee:
    """A stage, its optimiser, and tokens."""

    def __init__(
        self,
        config: StageTrainingConfig,
        tokens: SemanticTokens,
        codes_NFK: Tensor | None,
        training: Sequence[int],
        validation: Sequence[int],
        device: str = "cpu",
        *,
        melodies_NQ: Classes | None = None,
        start: Stage | None = None,
    ) -> None:
        """Take tokens of all clips, and which clips to learn from and to be measured on.

        A stage that is told melodies takes those of all clips, and a stage that knows less of them to begin with.
        """
        self._melodies_NQ = melodies_NQ
        self.config, self.tokens, self.codes_NFK, self.device = config, tokens, codes_NFK, torch.device(device)
        self._training, self._validation = np.array(training), np.array(validation)
        self.stage = Stage(config.stage)
        self.stage.reset_parameters(torch_generator(config.seed, 0, 0))
        if start is not None:
            self.stage.take_up(start)
        self.stage.to(self.device)
        self.average = Average(self.stage, config.averaging**_AVERAGED_EVERY)
        for name, parameter in self.stage.named_parameters():
            parameter.requires_grad = name.partition(".")[0] not in config.fixed
        learning = [p for p in self.stage.parameters() if p.requires_grad]
        decayed, others = [p for p in learning if p.ndim >= 2], [p for p in learning if p.ndim < 2]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.95), fused=True,
        )  # fmt: skip

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.stage.train()
        batch = self._batch(self._training, generator(self.config.seed, 1, step), self.config.forgetful)
        given_BNK = self._given_back(batch, step) if self.config.draws_back else None
        loss = self._nats(self.stage, batch, given_BNK).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.stage.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.stage, step // _AVERAGED_EVERY)
        return {"nats": float(loss.detach())}

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return nats a code on held-out clips, for each codebook."""
        stage = self.average.module
        assert isinstance(stage, Stage)
        rows = [
            self._nats(stage, self._batch(self._validation, generator(self.config.seed, 2, number)))
            for number in range(_VALIDATION_BATCHES)
        ]
        nats_K = torch.stack(rows).mean(dim=0)
        return {f"validation_{k}": round(float(nats), 4) for k, nats in enumerate(nats_K)}

    @torch.no_grad()
    def _given_back(self, batch: _Batch, step: int) -> Tensor:
        """Return codes_BNK that the stage is given back: of items that forget nothing, some as it would draw them."""
        items_B = torch.arange(len(batch.codes_BNK), device=self.device)
        chosen_C = items_B if batch.forgotten_BN is None else items_B[~batch.forgotten_BN.any(dim=1)]
        given_BNK = batch.codes_BNK.clone()
        if len(chosen_C):
            some, rng = batch.of(chosen_C), torch_generator(self.config.seed, 4, step)
            logits_CNKV = self._logits(self.stage, some, some.codes_BNK)
            given_BNK[chosen_C] = drawn_back(
                some.codes_BNK, logits_CNKV, self.config.stage.hole, self.config.draws_back, rng
            )
        return given_BNK

    def _logits(self, stage: Stage, batch: _Batch, given_BNK: Tensor) -> Tensor:
        autocast = torch.autocast(
            self.device.type, getattr(torch, self.config.dtype), enabled=self.config.dtype != "float32"
        )
        with autocast:
            logits_BNKV: Tensor = stage(given_BNK, batch.prefix_BP, batch.told_B, batch.added_BNA, batch.forgotten_BN)
        return logits_BNKV

    def _nats(self, stage: Stage, batch: _Batch, given_BNK: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of each codebook, holes left out, given true codes or others before."""
        logits_BNKV = self._logits(stage, batch, batch.codes_BNK if given_BNK is None else given_BNK)
        return nats_by_codebook(logits_BNKV, batch.codes_BNK, stage.config.hole)

    def _batch(self, numbers: np.ndarray, rng: np.random.Generator, forgetful: float = 0.0) -> _Batch:
        config = self.config
        chosen = torch.from_numpy(rng.choice(numbers, config.batch))
        whole = (
            self.tokens.semantic_NQ.shape[1] if config.kind == "semantic" else 2 * self.tokens.semantic_NQ.shape[1]
        )
        start = 2 * int(rng.integers((whole - config.frames) // 2 + 1))
        prefix = told = added = None
        if config.stage.prefix_codebooks:
            caption = torch.from_numpy(rng.integers(self.tokens.text_NCP.shape[1], size=config.batch))
            by_caption = torch.from_numpy(rng.random(config.batch) < config.from_caption)
            prefix = torch.where(
                by_caption[:, None], self.tokens.text_NCP[chosen, caption], self.tokens.audio_NP[chosen]
            ).long()
            told = torch.from_numpy(rng.random(config.batch) >= config.untold)
        if config.kind == "semantic":
            codes_BNK = self.tokens.semantic_NQ[chosen, start : start + config.frames].long()[..., None]
        else:
            assert self.codes_NFK is not None
            codes_BFK = self.codes_NFK[chosen, start : start + config.frames].long()
            own, books = config.stage.codebooks, config.stage.added_codebooks
            if config.kind == "coarse":
                codes_BNK = delayed(codes_BFK[..., :own], config.stage.hole)
                semantic = self.tokens.semantic_NQ[chosen, start // 2 : (start + config.frames) // 2].long()
                added = heard_by(semantic, codes_BNK.shape[1])
                if config.tokens_untold and told is not None:
                    added = torch.where(told[:, None, None], added, unheard(added))
            else:
                codes_BNK = delayed(codes_BFK[..., books : books + own], config.stage.hole)
                added = held_for(codes_BFK[..., :books], codes_BNK.shape[1])
        if config.stage.melody:
            seconds = start if config.kind == "semantic" else start // 2
            length = config.frames if config.kind == "semantic" else config.frames // 2
            melody_BQ = self._melody(chosen.numpy(), slice(seconds, seconds + length), rng)
            added = with_melody(added, melody_BQ, codes_BNK.shape[1])
        lost = forgotten(config.batch, codes_BNK.shape[1], forgetful, rng) if forgetful else None
        moved = [None if x is None else x.to(self.device) for x in (codes_BNK, prefix, told, added, lost)]
        assert moved[0] is not None
        return _Batch(moved[0], *moved[1:])

    def _melody(self, chosen: np.ndarray, crop: slice, rng: np.random.Generator) -> Tensor:
        """Return melodies as they may come: in another octave, with holes, or untold."""
        assert self._melodies_NQ is not None
        rows = []
        for melody_Q in self._melodies_NQ[chosen, crop]:
            octaves, told = int(rng.choice(3, p=self.config.octaves)) - 1, rng.random() < self.config.melody_told
            holes_Q = np.repeat(rng.random(-(-len(melody_Q) // _HOLE)) < _HOLES, _HOLE)[: len(melody_Q)]
            varied_Q = moved(melody_Q, octaves)
            varied_Q[holes_Q & (varied_Q >= FIRST)] = REST
            rows.append(varied_Q if told else np.full_like(varied_Q, UNTOLD))
        return torch.from_numpy(np.stack(rows)).long()

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


def delayed(codes_BFK: Tensor, hole: int) -> Tensor:
    """Return codes_BNK in the delay pattern, N = F + K - 1: as models.engine.patterns.Delay, for a batch."""
    batch, frames, codebooks = codes_BFK.shape
    steps_BNK = codes_BFK.new_full((batch, frames + codebooks - 1, codebooks), hole)
    for k in range(codebooks):
        steps_BNK[:, k : k + frames, k] = codes_BFK[..., k]
    return steps_BNK
