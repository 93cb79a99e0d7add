"""Training of w2v-BERT, then of the k-means classes over its intermediate layer.

Shapes: B batch, F frames, N frames of many clips, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.material.clips import CLIP_SAMPLES, ClipSet
from models.training.averaging import Average
from models.training.draws import generator, torch_generator
from models.training.run import Metrics
from models.w2v_bert.kmeans import kmeans
from models.w2v_bert.model import W2vBert, W2vBertConfig, W2vBertLosses

_SPAN = 8  # frames hidden at a time: a third of a second
_VALIDATION_BATCHES = 6
_AVERAGED_EVERY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticTrainingConfig:
    """Recipe of the training."""

    model: W2vBertConfig
    manifest: str
    seed: int = 1
    batch: int = 12
    segment: int = 96_000
    hidden: float = 0.5  # share of frames
    weight_decay: float = 0.02
    averaging: float = 0.998
    dtype: str = "bfloat16"
    kmeans_clips: int = 1500
    kmeans_iterations: int = 30


class SemanticTrainee:
    """The model, its optimiser, and the clips it learns from."""

    def __init__(self, config: SemanticTrainingConfig, clips: ClipSet, device: str = "cpu") -> None:
        self.config, self.clips, self.device = config, clips, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = W2vBert(config.model).to(self.device)
        self.average = Average(self.model, config.averaging**_AVERAGED_EVERY)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.98), fused=True
        )
        self._training, self._validation = clips.numbers("train"), clips.numbers("validation")

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.model.train()
        found = self._losses(self.model, self._batch(self._training, 0, step), 1, step)
        total = found.contrastive + found.masked
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        if step % _AVERAGED_EVERY == 0:
            self.average.follow(self.model, step // _AVERAGED_EVERY)
        return _figures(found)

    @torch.inference_mode()
    def evaluate(self) -> Metrics:
        """Return the averaged model's losses on held-out clips."""
        model = self.average.module
        assert isinstance(model, W2vBert)
        rows = [
            _figures(self._losses(model, self._batch(self._validation, 4, number), 5, number))
            for number in range(_VALIDATION_BATCHES)
        ]
        return {f"validation_{name}": round(float(np.mean([r[name] for r in rows])), 4) for name in rows[0]}

    def _batch(self, numbers: list[int], purpose: int, step: int) -> Tensor:
        rng = generator(self.config.seed, purpose, step)
        rows = []
        for _ in range(self.config.batch):
            start = int(rng.integers(CLIP_SAMPLES - self.config.segment + 1))
            number = numbers[int(rng.integers(len(numbers)))]
            gain = np.float32(10 ** (rng.uniform(-8, 8) / 20))
            rows.append(self.clips.waveform(number, start, self.config.segment) * gain)
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def _losses(self, model: W2vBert, x_BT: Tensor, purpose: int, step: int) -> W2vBertLosses:
        config = self.config
        features = model.features(x_BT)
        masked_BF = _spans(features.shape[0], features.shape[1], config.hidden, generator(config.seed, purpose, step))
        return model.losses(
            features,
            masked_BF.to(self.device),
            random=torch_generator(config.seed, purpose + 1, step),
            dtype=getattr(torch, config.dtype),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averages and the optimiser."""
        return {
            "model": self.model.state_dict(),
            "following": self.model.quantiser.following(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.model.quantiser.follow_on(state["following"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    @torch.inference_mode()
    def classify(self, progress: Callable[[int, int], None]) -> W2vBert:
        """Find the semantic classes over training clips; return the averaged model that has them."""
        model, config = self.average.module, self.config
        assert isinstance(model, W2vBert)
        model.shift_D.zero_()
        model.scale_D.fill_(1.0)
        rng = generator(config.seed, 8, 0)
        chosen = rng.choice(self._training, min(config.kmeans_clips, len(self._training)), replace=False)
        frames = []
        for done, number in enumerate(chosen, start=1):
            frames.append(
                model.represent(torch.from_numpy(self.clips.waveform(int(number)))[None].to(self.device))[0]
            )
            progress(done, len(chosen))
        frames_ND = torch.cat(frames)
        model.shift_D.copy_(frames_ND.mean(dim=0))
        model.scale_D.copy_(1 / frames_ND.std(dim=0).clamp_min(1e-4))
        standard_ND = (frames_ND - model.shift_D) * model.scale_D
        centres = kmeans(
            standard_ND, config.model.classes, iterations=config.kmeans_iterations,
            random=torch_generator(config.seed, 9, 0),
        )  # fmt: skip
        model.centres_CD.copy_(centres)
        return model


def _spans(batch: int, frames: int, share: float, rng: np.random.Generator) -> Tensor:
    """Return masked_BF: spans of _SPAN frames that hide about that share of each row."""
    starts = rng.random((batch, frames)) < -np.log1p(-share) / _SPAN
    hidden = np.zeros((batch, frames), dtype=bool)
    for shift in range(_SPAN):
        hidden[:, shift:] |= starts[:, : frames - shift]
    hidden[~hidden.any(axis=1), :_SPAN] = True
    return torch.from_numpy(hidden)


def _figures(losses: W2vBertLosses) -> Metrics:
    return {
        "contrastive": float(losses.contrastive.detach()),
        "masked": float(losses.masked.detach()),
        "used": float(losses.used.detach()),
    }
