"""Training of the score language model: next-token prediction over excerpts of scores.

A run lives in a folder: config.json, metrics.jsonl and checkpoint.pt, written every few minutes by write-and-rename.
Started again on the same folder it goes on from the checkpoint with the losses it would have had: batches are drawn
by counter, and weights, optimiser and step are all there is.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.score.corpus import Passage, held_out
from models.score.dataset import ScoreDataset
from models.score.vocabulary import VOCABULARY
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


def split(passages: list[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Return (training, validation) passages: no composer is in both."""
    return [p for p in passages if not held_out(p.composer)], [p for p in passages if held_out(p.composer)]


def train(
    config: ScoreTrainingConfig,
    passages: list[Passage],
    folder: Path,
    *,
    report: Callable[[Mapping[str, float]], None],
    device: str = "cpu",
) -> Transformer:
    """Train, or go on with the run in `folder`, until `config.steps`; return the model.

    Raises:
        ValueError: the folder holds a run of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim_folder(folder, config)
    training, validation = split(passages)
    data = ScoreDataset(training, length=config.length, seed=config.seed)
    checks = validation_batches(validation, config)
    model = Transformer(config.transformer())
    model.reset_parameters(torch.Generator().manual_seed(config.seed))
    model.to(device)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.95),
    )
    step, elapsed_s = _restore(folder, model, optimiser)
    saved_at = started = time.monotonic()
    while step < config.steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        loss = _step(model, optimiser, data, config, step, device)
        step += 1
        metrics = {"step": step, "loss": loss, "elapsed_s": elapsed_s + time.monotonic() - started}
        if step % config.evaluate_every == 0 or step == config.steps:
            metrics["validation"] = negative_log_likelihood(model, checks, device)
        _append(folder / "metrics.jsonl", metrics)
        report(metrics)
        if time.monotonic() - saved_at > config.checkpoint_every_s or step == config.steps:
            _save(folder, model, optimiser, step, metrics["elapsed_s"])
            saved_at = time.monotonic()
    return model


def learning_rate(config: ScoreTrainingConfig, step: int) -> float:
    """Return the rate of a step: linear warm-up, then a cosine down to a twentieth."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


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


def _step(
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    data: ScoreDataset,
    config: ScoreTrainingConfig,
    step: int,
    device: str,
) -> float:
    model.train()
    tokens = data.batch(step, config.batch)
    rng = np.random.Generator(np.random.Philox(key=config.seed + 2, counter=step))
    offsets = np.where(rng.random(config.batch) < 0.5, 0, rng.integers(0, FAR - config.length, config.batch))
    tokens_BT = torch.from_numpy(tokens).to(device)
    losses_BT = _losses(model, tokens_BT, torch.from_numpy(offsets).to(device))
    scored_BT = scored(tokens_BT)
    loss = (losses_BT * scored_BT).sum() / scored_BT.sum()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _claim_folder(folder: Path, config: ScoreTrainingConfig) -> None:
    path, wanted = folder / "config.json", json.loads(json.dumps(asdict(config)))
    if path.exists() and (found := json.loads(path.read_text())) != wanted:
        different = sorted(k for k in wanted if found.get(k) != wanted[k])
        raise ValueError(f"{folder} holds a run of another configuration ({', '.join(different)}); name a new folder")
    path.write_text(json.dumps(wanted, indent=1))


def _save(folder: Path, model: Transformer, optimiser: torch.optim.Optimizer, step: int, elapsed_s: float) -> None:
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "elapsed_s": elapsed_s,
    }
    partial = folder / "checkpoint.pt.partial"
    torch.save(state, partial)
    partial.replace(folder / "checkpoint.pt")


def _restore(folder: Path, model: Transformer, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["elapsed_s"]


def _append(path: Path, metrics: Mapping[str, float]) -> None:
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(metrics) + "\n")
