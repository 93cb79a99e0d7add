"""What smaller weights cost: cross-entropy of score-small on held-out composers, by backend and dtype.

    .venv/bin/python -m bench.precision --data DATA [--scores 40] [--batches 12]

DATA holds openscore-lieder/ and openscore-quartets/ as they are published.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.support import finish, parser, show
from models.engine.backend import CacheSize, Feed
from models.engine.backends import BackendChoice
from models.engine.native.library import runnable
from models.registry import find_version
from models.sampling import log_probabilities
from models.score.corpus import Passage, held_out, read_passages, sources
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


def passages(data: Path, scores: int) -> Iterator[Passage]:
    """Passages of scores by composers that training never saw."""
    kept = [source for source in sources(data) if held_out(source.composer)]
    for source in kept[:: max(len(kept) // scores, 1)]:
        try:
            yield from read_passages(source)
        except Exception as error:  # as where the corpus is prepared: an unreadable score is named and left out
            print(f"{source.path}: {type(error).__name__}", file=sys.stderr)


def cross_entropy(model: Transformer, choice: BackendChoice, batches: list[Tensor]) -> float:
    """Nats a token, every sequence fed step by step; the header is given, not guessed."""
    model = model.to(choice.model_dtype)
    total, count = 0.0, 0
    for tokens_BT in batches:
        size = CacheSize(slots=BATCH, length=LENGTH, positions=LENGTH)
        backend, counted_BT = choice(model, size), scored(tokens_BT)
        for at in range(tokens_BT.shape[1] - 1):
            feeds = [Feed(slot=b, position=at, entry=at, filled=at + 1) for b in range(BATCH)]
            with torch.inference_mode():
                x_BD = model.embed(tokens_BT[:, at, None], torch.full((BATCH,), at))
            logits_BV = backend.step(feeds, x_BD)[:, 0]
            nats_B = -log_probabilities(logits_BV, tokens_BT[:, at + 1].numpy())
            total += float(np.sum(nats_B * counted_BT[:, at].numpy()))
            count += int(counted_BT[:, at].sum())
    model.to(torch.float32)
    return total / count


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--scores", type=int, default=40)
    arguments.add_argument("--batches", type=int, default=12)
    chosen = arguments.parse_args()
    version = find_version("score-small", [])
    model = Transformer(TransformerConfig(**version.config["transformer"]))
    load_into(model, version, "cpu", torch.float32)
    model.requires_grad_(requires_grad=False)
    data = ScoreDataset(list(passages(chosen.data, chosen.scores)), length=LENGTH, seed=VALIDATION_SEED, varied=False)
    batches = [torch.from_numpy(data.batch(n, BATCH)) for n in range(chosen.batches)]
    found = {f"{choice.name} {choice.dtype}": cross_entropy(model, choice, batches) for choice in CHOICES}
    base = next(iter(found.values()))
    rows = [
        {"backend": name, "nats": f"{nats:.5f}", "cost": f"{100 * (nats / base - 1):+.3f} %"}
        for name, nats in found.items()
    ]
    show(rows)
    finish("precision", {"nats_a_token": found}, as_json=chosen.json)


if __name__ == "__main__":
    main()
