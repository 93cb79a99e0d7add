"""From finished trainings to a model version: packed weights, configuration, card."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.digests import digest_of_bytes
from models.musiclm.lending import part_digests, whole_tensors
from models.musiclm.model import MusicLM
from models.musiclm.take import Sampling, StageSampling
from models.training.run import read_metrics
from models.weights import ModelVersion, card_text, write_version

NAME, KIND, ARCHITECTURE = "musiclm-small", "soundscape", "musiclm"
LICENCE = "Apache-2.0"
TAKES = 6
FOLLOWS_MELODY = False  # not enough to promise it: see the card
_BODY = Path(__file__).with_name("card_body.md")
PARTS = (
    "codec", "decoder", "joint", "semantic", "melody", "semantic-stage", "semantic-melody", "semantic-following",
    "coarse-stage", "coarse-melody", "coarse-following", "fine-stage",
)  # fmt: skip
TRAINED_ON = ("semantic", "coarse")  # what a version that began at another has of its own


def sampling() -> Sampling:
    """Return how musiclm-small draws; windows are those it was trained on."""
    return Sampling(
        semantic=StageSampling(temperature=0.9, top_k=0, guidance_scale=3.0, window_s=10.0, given_s=5.0),
        coarse=StageSampling(temperature=0.85, top_k=0, guidance_scale=2.0, window_s=8.0, given_s=4.0, forgetful=0.5),
        fine=StageSampling(temperature=0.3, top_k=0, guidance_scale=1.0, window_s=3.0, given_s=1.0),
    )


def release(model: MusicLM, training: Path, folder: Path, start: ModelVersion | None = None) -> ModelVersion:
    """Write a version into `folder`.

    Args:
        model: the trained parts.
        training: the pipeline's folder, with the manifest of the clips and the parts' runs.
        folder: where the version goes.
        start: the version that training began at: it lends the parts that were not trained on, and is superseded.
    """
    packed = model.packed()
    settings: dict[str, Any] = {
        "name": NAME,
        "kind": KIND,
        "architecture": ARCHITECTURE,
        "parts": model.config.as_dict(),
        "sampling": asdict(sampling()),
        "takes": TAKES,
        "follows_melody": FOLLOWS_MELODY,
    }
    if start is not None:
        lent = [name for name, _ in model.named_children() if name not in TRAINED_ON]
        older = start.config.get("supersedes", [])
        settings |= {"lent": part_digests(whole_tensors(start), lent), "supersedes": [start.digest, *older]}
        packed = {name: tensor for name, tensor in packed.items() if name.partition(".")[0] in TRAINED_ON}
    front = {
        "name": NAME,
        "kind": KIND,
        "licence": LICENCE,
        "created": datetime.now(UTC).date().isoformat(),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()},
        **({} if start is None else {"begun_at": start.reference}),
        "training_data": training_data(training / "clips" / "manifest.json"),
        "training": {run.name: spent(run) for run in runs(training)} | {"torch": str(torch.__version__)},
        "metrics": {},
    }
    return write_version(folder, packed, settings, card_text(front, _BODY.read_text(encoding="utf-8")))


def runs(training: Path) -> list[Path]:
    """Return the runs of the parts that were trained in a pipeline's folder."""
    return [run for name in PARTS if (run := training / name).is_dir()]


def training_data(manifest: Path) -> dict[str, Any]:
    """Sum up a manifest of clips: its digest, collections with their licences, and who is to be credited."""
    data = manifest.read_bytes()
    sources = [each for each in json.loads(data)["isBasedOn"] if "examination" not in each["license"]]
    recordings = [each for each in sources if each["name"].endswith(".ogg")]
    others = Counter((each["isPartOf"], each["license"]) for each in sources if each not in recordings)
    return {
        "manifest": digest_of_bytes(data),
        "collections": [
            {"name": name, "licence": licence, "files": count} for (name, licence), count in sorted(others.items())
        ],
        "recordings": [
            {"name": each["name"], "licence": each["license"], "by": each["creator"], "from": each["isPartOf"]}
            for each in recordings
        ],
    }


def spent(run: Path) -> dict[str, Any]:
    """Return a run's length and its last figures on held-out clips."""
    metrics = read_metrics(run)
    held_out = next(row for row in reversed(metrics) if len(row) > len(metrics[0]))
    figures = {name: value for name, value in held_out.items() if name not in metrics[0]}
    return {"steps": int(metrics[-1]["step"]), "wall_s": round(metrics[-1]["elapsed_s"])} | figures
