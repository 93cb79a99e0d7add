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
from models.musiclm.release import LICENCE, spent
from models.musiclm.sampling import Sampling, StageSampling
from models.singsong.base import read_base
from models.singsong.model import SingSong
from models.weights import CONFIG, ModelVersion, card_text, read_version, write_version

NAME, KIND, ARCHITECTURE = "singsong-small", "accompaniment", "singsong"
TAKES = 10
SHARPNESS = 1.25  # the power that guessed pitch classes are raised to
_BODY = Path(__file__).with_name("card_body.md")
PARTS = ("separator", "notes", "harmony-noise", "semantic-stage", "coarse-stage")


def sampling() -> Sampling:
    """Return how singsong-small draws; windows are those it was trained on."""
    return Sampling(
        semantic=StageSampling(temperature=0.95, top_k=0, guidance_scale=3.0, window_s=10.0, given_s=5.0),
        coarse=StageSampling(temperature=0.95, top_k=0, guidance_scale=2.0, window_s=8.0, given_s=4.0),
        fine=StageSampling(temperature=0.3, top_k=0, guidance_scale=1.0, window_s=3.0, given_s=1.0),
    )


def settings_of(model: SingSong, base: str, drawn: Sampling | None = None, takes: int = TAKES) -> dict[str, Any]:
    """Return the configuration of a version; `base` names the MusicLM whose parts it takes."""
    return {
        "name": NAME,
        "kind": KIND,
        "architecture": ARCHITECTURE,
        "parts": model.config.as_dict(),
        "base": base,
        "sampling": asdict(drawn or sampling()),
        "takes": takes,
        "sharpness": SHARPNESS,
    }


def release(model: SingSong, base: ModelVersion, training: Path, folder: Path) -> ModelVersion:
    """Write a version into `folder`.

    Args:
        model: the trained parts.
        base: the MusicLM that lends the others.
        training: the pipeline's folder, with the manifest of the pairs and the parts' runs.
        folder: where the version goes.
    """
    front = {
        "name": NAME,
        "kind": KIND,
        "licence": LICENCE,
        "created": datetime.now(UTC).date().isoformat(),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()},
        "base": {"model": base.reference, "parts": dict(model.config.base)},
        "training_data": training_data(training / "pairs" / "manifest.json"),
        "training": {name: spent(training / name) for name in PARTS} | {"torch": str(torch.__version__)},
        "metrics": {},
    }
    settings = settings_of(model, base.name)
    return write_version(folder, model.packed(), settings, card_text(front, _BODY.read_text(encoding="utf-8")))


def pin_base(folder: Path, base: ModelVersion) -> ModelVersion:
    """Write a version's configuration anew for a MusicLM whose lent parts were trained on.

    Its codes must be those it learnt, so this is for a decoder or a fine stage that was mended: a judgement that only
    a person can make. The version has another digest then, and must be signed again.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["parts"]["base"], config["base"] = dict(read_base(base)[1].digests), base.name
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return read_version(folder)


def training_data(manifest: Path) -> dict[str, Any]:
    """Sum up a manifest of pairs: its digest, collections with their licences, SoundFonts."""
    data = manifest.read_bytes()
    found = json.loads(data)
    counted = Counter((each["from"], each["licence"]) for each in found["sources"])
    return {
        "manifest": digest_of_bytes(data),
        "collections": [
            {"name": name, "licence": licence, "files": count} for (name, licence), count in sorted(counted.items())
        ],
        "soundfonts": found["soundfonts"],
    }
