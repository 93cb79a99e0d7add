"""What smaller weights cost: cross-entropy of a shipped model on held-out material, by backend and dtype.

    .venv/bin/python -m bench.precision --data DATA [--scores 40] [--batches 12]
    .venv/bin/python -m bench.precision --clips CLIPS [--batches 12]

DATA holds openscore-lieder/ and openscore-quartets/ as they are published, for score-small; CLIPS is what
`tutti models train musiclm-small --step clips` rendered, for musiclm-small's three stages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.support import finish, parser, show
from models.engine.backend import CacheSize, Feed
from models.engine.backends import BackendChoice
from models.engine.model import DecoderModel
from models.engine.native.library import runnable
from models.material.clips import ClipSet
from models.melody.contour import UNTOLD
from models.musiclm.model import STAGES, MusicLM, StageName, load_model
from models.musiclm.stage import Stage, heard_by, held_for, with_melody
from models.musiclm.training import delayed
from models.registry import find_version
from models.sampling import log_probabilities
from models.score.corpus import Passage, Source, held_out, read_passages, sources
from models.score.dataset import ScoreDataset
from models.score.training import VALIDATION_SEED, scored
from models.transformer import Transformer, TransformerConfig
from models.weights import load_into

LENGTH, BATCH = 768, 8
CHOICES = [
    BackendChoice("torch", "float32", 1),
    BackendChoice("torch-packed", "bfloat16", 1),
    *(BackendChoice("native", dtype, 1) for dtype in ("float32", "bfloat16", "int8") if runnable()),
]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences: what is fed at each step, x_BTD, and what should follow, targets_BTK; -1 is not counted."""

    x_BTD: Tensor
    targets_BTK: Tensor


def score_batches(model: Transformer, data: Path, scores: int, count: int) -> Iterator[Batch]:
    """Passages by composers that training never saw; their headers are given, not guessed."""
    kept = [source for source in sources(data) if held_out(source.composer)]
    found = list(_passages([kept[n] for n in range(0, len(kept), max(len(kept) // scores, 1))]))
    dataset = ScoreDataset(found, length=LENGTH, seed=VALIDATION_SEED, varied=False)
    for number in range(count):
        tokens_BT = torch.from_numpy(dataset.batch(number, BATCH))
        steps = tokens_BT.shape[1] - 1
        x_BTD = model.embed(tokens_BT[:, :-1, None], torch.arange(steps).expand(BATCH, -1))
        yield Batch(x_BTD, tokens_BT[:, 1:].masked_fill(~scored(tokens_BT), -1)[..., None])


def _passages(kept: list[Source]) -> Iterator[Passage]:
    for source in kept:
        try:
            yield from read_passages(source)
        except Exception as error:  # as where the corpus is prepared: an unreadable score is named and left out
            print(f"{source.path}: {type(error).__name__}", file=sys.stderr)


def stage_batches(model: MusicLM, clips: ClipSet, count: int) -> Iterator[dict[StageName, Batch]]:
    """Held-out clips, told by the MuLan tokens of their sound; a batch for each stage."""
    numbers = clips.numbers("validation")
    for start in range(0, count * BATCH, BATCH):
        x_BL = torch.stack([torch.from_numpy(clips.waveform(n)) for n in numbers[start : start + BATCH]])
        semantic_BQ, codes_BFK = model.semantic_model.tokens(x_BL).long(), model.codec.encode(x_BL).long()
        prefix_BP = torch.stack([model.mulan.tokens(model.mulan.embed_audio(x_L)) for x_L in x_BL]).long()
        told_B, own = torch.ones(len(x_BL), dtype=torch.bool), model.coarse.codebooks
        coarse_BNK = delayed(codes_BFK[..., :own], model.coarse.config.hole)
        fine_BNK = delayed(codes_BFK[..., own:], model.fine.config.hole)
        steps = coarse_BNK.shape[1]
        untold_BQ = torch.full_like(semantic_BQ, UNTOLD)
        told = {
            "semantic": (semantic_BQ[..., None], prefix_BP, told_B, with_melody(None, untold_BQ, untold_BQ.shape[1])),
            "coarse": (coarse_BNK, prefix_BP, told_B, with_melody(heard_by(semantic_BQ, steps), untold_BQ, steps)),
            "fine": (fine_BNK, None, None, held_for(codes_BFK[..., :own], steps)),
        }
        found: dict[StageName, Batch] = {}
        for name in STAGES:
            stage, (codes_BNK, *rest) = model.stage(name), told[name]
            x_BTD = stage.inputs(codes_BNK, *rest)
            targets_BNK = codes_BNK.masked_fill(codes_BNK == stage.config.hole, -1)
            before = x_BTD.shape[1] - codes_BNK.shape[1]
            unscored = torch.full((len(x_BL), before, stage.codebooks), -1)
            found[name] = Batch(x_BTD, torch.cat([unscored, targets_BNK], dim=1))
        yield found


def cross_entropy(model: DecoderModel, choice: BackendChoice, batches: list[Batch]) -> float:
    """Nats a code, every sequence fed step by step."""
    total, count = 0.0, 0
    for batch in batches:
        steps = batch.x_BTD.shape[1]
        backend = choice(model, CacheSize(slots=BATCH, length=steps, positions=steps))
        for at in range(steps):
            feeds = [Feed(slot=b, position=at, entry=at, filled=at + 1) for b in range(BATCH)]
            logits_BKV = backend.step(feeds, batch.x_BTD[:, at].to(choice.model_dtype))
            for k in range(model.codebooks):
                wanted_B = batch.targets_BTK[:, at, k].numpy()
                counted = wanted_B >= 0
                if counted.any():
                    total -= float(log_probabilities(logits_BKV[counted, k], wanted_B[counted]).sum())
                    count += int(counted.sum())
    return total / count


def measured(name: str, model: Transformer | Stage, batches: list[Batch]) -> dict[str, float]:
    """Show what every backend costs, and return the nats."""
    found = {}
    for choice in CHOICES:
        found[f"{choice.name} {choice.dtype}"] = cross_entropy(model.to(choice.model_dtype), choice, batches)
        model.to(torch.float32)
    base = next(iter(found.values()))
    rows = [
        {"part": name, "backend": backend, "nats": f"{nats:.5f}", "cost": f"{100 * (nats / base - 1):+.3f} %"}
        for backend, nats in found.items()
    ]
    show(rows)
    return found


@torch.inference_mode()
def main() -> None:
    arguments = parser(__doc__)
    material = arguments.add_mutually_exclusive_group(required=True)
    material.add_argument("--data", type=Path)
    material.add_argument("--clips", type=Path)
    arguments.add_argument("--scores", type=int, default=40)
    arguments.add_argument("--batches", type=int, default=12)
    chosen = arguments.parse_args()
    found = {}
    if chosen.data:
        version = find_version("score-small", [])
        scorer = Transformer(TransformerConfig(**version.config["transformer"]))
        load_into(scorer, version, "cpu", torch.float32)
        scorer.requires_grad_(requires_grad=False)
        batches = list(score_batches(scorer, chosen.data, chosen.scores, chosen.batches))
        found["score-small"] = measured("score-small", scorer, batches)
    else:
        model = load_model(find_version("musiclm-small", []), "cpu", torch.float32)
        sets = list(stage_batches(model, ClipSet(chosen.clips), chosen.batches))
        for name in STAGES:
            found[name] = measured(f"musiclm-small {name}", model.stage(name), [each[name] for each in sets])
    finish("precision", {"nats_a_token": found}, as_json=chosen.json)


if __name__ == "__main__":
    main()
