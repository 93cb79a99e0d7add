"""From a finished training run to a model version: weights in half precision, configuration, card."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.digests import digest_of_bytes
from models.score.training import FAR, ScoreTrainingConfig
from models.score.vocabulary import VOCABULARY
from models.transformer import Transformer
from models.weights import ModelVersion, card_text, write_version

NAME, KIND, ARCHITECTURE = "score-small", "score", "score-transformer"
LICENCE = "Apache-2.0"
CACHE_LENGTH = 1024
SAMPLING = {"temperature": 0.9, "top_p": 0.92}
_BODY = Path(__file__).with_name("card_body.md")


def release(model: Transformer, config: ScoreTrainingConfig, corpus: Path, run: Path, folder: Path) -> ModelVersion:
    """Write the version that a run made into `folder`: the card names every training source by digest.

    Args:
        model: the trained weights.
        config: the recipe they were trained by.
        corpus: the folder with the manifest they were trained on.
        run: the folder with the run's metrics.
        folder: where the version goes.
    """
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items()}
    settings = {
        "name": NAME,
        "kind": KIND,
        "architecture": ARCHITECTURE,
        "vocabulary": VOCABULARY.digest,
        "transformer": asdict(model.config),
        "sampling": SAMPLING,
        "cache_length": CACHE_LENGTH,
        "max_positions": FAR,
    }
    front = {
        "name": NAME,
        "kind": KIND,
        "licence": LICENCE,
        "created": datetime.now(UTC).date().isoformat(),
        "parameters": model.count_parameters(),
        "training_data": training_data(corpus / "manifest.json"),
        "training": asdict(config) | _spent(run / "metrics.jsonl") | {"torch": str(torch.__version__)},
        "metrics": {},
    }
    return write_version(folder, tensors, settings, card_text(front, _BODY.read_text(encoding="utf-8")))


def training_data(manifest: Path) -> dict[str, Any]:
    """Sum up a corpus manifest: collections, licences, how many files were used, and the manifest's digest."""
    data = manifest.read_bytes()
    items = [item for item in json.loads(data)["items"] if item["passages"]]
    files, passages = Counter[str](), Counter[str]()
    licences: dict[str, str] = {}
    for item in items:
        files[item["collection"]] += 1
        passages[item["collection"]] += item["passages"]
        licences[item["collection"]] = item["licence"]
    return {
        "manifest": digest_of_bytes(data),
        "collections": [
            {"name": name, "licence": licences[name], "files": files[name], "passages": passages[name]}
            for name in sorted(files)
        ],
    }


def _spent(metrics: Path) -> dict[str, float]:
    last = json.loads(metrics.read_text(encoding="utf-8").splitlines()[-1])
    return {"steps_done": last["step"], "wall_s": round(last["elapsed_s"])}
