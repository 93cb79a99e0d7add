"""Training of the score language model: next-token prediction over excerpts of scores, by `models.training.run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.score.corpus import Passage, held_out
from models.score.dataset import ScoreDataset
from models.score.vocabulary import VOCABULARY
from models.training.run import Metrics, Report, Schedule, run
from models.transformer import Transformer, TransformerConfig

FAR = 16_384  # positions a piece may reach; excerpts from its middle are placed anywhere below
VALIDATION_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTrainingConfig:
    """Recipe of a training run."""

    layers: int = 5
    width: int = 192
    heads: int = 6
    feed_forward: int = 768
    dropout: float = 0.0
    length: int = 768
    batch: int = 8
    steps: int = 1700
    warmup: int = 100
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0
    checkpoint_every_s: float = 120.0
    evaluate_every: int = 150

    def transformer(self) -> TransformerConfig:
        """Return the size of the model."""
        return TransformerConfig(
            vocabulary=len(VOCABULARY),
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
        )

    def schedule(self) -> Schedule:
        """Return how long the run is, and how its rate goes."""
        return Schedule(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            last=0.05,
            evaluate_every=self.evaluate_every,
            checkpoint_every_s=self.checkpoint_every_s,
        )


def split(passages: list[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Return (training, validation) passages: no composer is in both."""
    return [p for p in passages if not held_out(p.composer)], [p for p in passages if held_out(p.composer)]


class ScoreTrainee:
    """The model, its optimiser, and excerpts of scores."""

    def __init__(self, config: ScoreTrainingConfig, passages: list[Passage], device: str = "cpu") -> None:
        self.config, self.device = config, device
        training, validation = split(passages)
        self._data = ScoreDataset(training, length=config.length, seed=config.seed)
        self._checks = validation_batches(validation, config)
        self.model = Transformer(config.transformer())
        self.model.reset_parameters(torch.Generator().manual_seed(config.seed))
        self.model.to(device)
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        self._optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(0.9, 0.95),
        )

    def step(self, step: int, learning_rate: float) -> Metrics:
        """Make one step."""
        config = self.config
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self.model.train()
        tokens = self._data.batch(step, config.batch)
        rng = np.random.Generator(np.random.Philox(key=config.seed + 2, counter=step))
        offsets = np.where(rng.random(config.batch) < 0.5, 0, rng.integers(0, FAR - config.length, config.batch))
        tokens_BT = torch.from_numpy(tokens).to(self.device)
        losses_BT = _losses(self.model, tokens_BT, torch.from_numpy(offsets).to(self.device))
        scored_BT = scored(tokens_BT)
        loss = (losses_BT * scored_BT).sum() / scored_BT.sum()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        return {"loss": float(loss.detach())}

    def evaluate(self) -> Metrics:
        """Return nats a token on held-out composers."""
        return {"validation": negative_log_likelihood(self.model, self._checks, self.device)}

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimiser: batches are drawn by counter."""
        return {"model": self.model.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])


def train(
    config: ScoreTrainingConfig, passages: list[Passage], folder: Path, *, report: Report, device: str = "cpu"
) -> Transformer:
    """Train, or go on with the run in `folder`, until `config.steps`; return the model.

    Raises:
        RunError: the folder holds a run of another configuration.
    """
    trainee = ScoreTrainee(config, passages, device)
    run("training", trainee, config.schedule(), config, folder, report)
    return trainee.model


def place(tokens_BT: Tensor, offsets_B: Tensor) -> Tensor:
    """Return positions_BT: 0, 1, 2 ... with the bars (not the header) moved `offsets_B` further along.

    An excerpt from the middle of a piece then stands where it would if the bars before it were there, and the
    model meets its header from any distance.
    """
    first, last = VOCABULARY.ranges["bar"]
    in_bars = ((tokens_BT >= first) & (tokens_BT < last)).long().cumsum(dim=1).clamp(max=1)
    return torch.arange(tokens_BT.shape[1], device=tokens_BT.device) + in_bars * offsets_B[:, None]


def validation_batches(passages: list[Passage], config: ScoreTrainingConfig, batches: int = 12) -> list[Tensor]:
    """Return fixed batches of held-out music, as written (no other scorings)."""
    data = ScoreDataset(passages, length=config.length, seed=VALIDATION_SEED, varied=False)
    return [torch.from_numpy(data.batch(i, config.batch)) for i in range(batches)]


@torch.inference_mode()
def negative_log_likelihood(model: Transformer, batches: list[Tensor], device: str = "cpu") -> float:
    """Return nats a token over the batches, header excluded: the header is given, not guessed."""
    model.eval()
    total, count = 0.0, 0
    for tokens in batches:
        tokens_BT = tokens.to(device)
        losses_BT = _losses(model, tokens_BT, torch.zeros(len(tokens_BT), dtype=torch.long, device=device))
        scored_BT = scored(tokens_BT)
        total += float((losses_BT * scored_BT).sum())
        count += int(scored_BT.sum())
    model.train()
    return total / count


def scored(tokens_BT: Tensor) -> Tensor:
    """Return a mask_B(T-1) of the targets that count: after the first bar token, no padding."""
    first, last = VOCABULARY.ranges["bar"]
    in_bars = ((tokens_BT >= first) & (tokens_BT < last)).long().cumsum(dim=1) > 0
    return (in_bars & (tokens_BT != VOCABULARY.pad))[:, 1:]


def _losses(model: Transformer, tokens_BT: Tensor, offsets_B: Tensor) -> Tensor:
    logits = model(tokens_BT[:, :-1], place(tokens_BT[:, :-1], offsets_B))
    return F.cross_entropy(logits.transpose(1, 2).float(), tokens_BT[:, 1:], reduction="none")
