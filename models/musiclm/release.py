"""From finished trainings to a model version: packed weights, configuration, card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.digests import digest_of_bytes
from models.musiclm.lending import is_of, part_digests, whole_tensors
from models.musiclm.model import MusicLM
from models.musiclm.sampling import Sampling, StageSampling
from models.packing import unpack
from models.training.run import read_metrics
from models.weights import ModelVersion, card_body, card_text, write_version

NAME, KIND, ARCHITECTURE = "musiclm-small", "soundscape", "musiclm"
LICENCE = "Apache-2.0"
TAKES = 6
OCTAVES = 3  # that a melody is told in, its own among them, by turns of the takes: as many takes of each
LEG_S = 10.0  # as long as MuLan hears at once
STEADINESS_WEIGHT = 0.5  # beside likeness, when a take of a long piece is chosen
FOLLOWS_MELODY = True
_BODY = Path(__file__).with_name("card_body.md")
PARTS = (
    "codec", "decoder", "texture", "joint", "semantic", "melody", "semantic-stage", "semantic-melody",
    "semantic-following", "semantic-octaves", "coarse-stage", "coarse-melody", "coarse-following", "coarse-octaves",
    "fine-stage",
)  # fmt: skip


def sampling() -> Sampling:
    """Return how musiclm-small draws; windows are those it was trained on."""
    return Sampling(
        semantic=StageSampling(temperature=0.9, top_k=0, guidance_scale=3.0, window_s=10.0, given_s=5.0),
        coarse=StageSampling(
            temperature=0.85,
            top_k=0,
            guidance_scale=3.0,
            window_s=8.0,
            given_s=4.0,
            forgetful=0.25,
            guided_by_tokens=True,
        ),
        fine=StageSampling(temperature=0.3, top_k=0, guidance_scale=1.0, window_s=3.0, given_s=1.0),
    )


def sampling_with_melody() -> Sampling:
    """Return how musiclm-small draws what has a melody, in the same windows: it goes by that more than by itself."""
    drawn = sampling()
    return replace(drawn, semantic=replace(drawn.semantic, guidance_scale=5.0, forgetful=0.5))


def release(model: MusicLM, training: Path, folder: Path, start: ModelVersion | None = None) -> ModelVersion:
    """Write a version into `folder`.

    Args:
        model: the trained parts.
        training: the pipeline's folder, with the manifest of the clips and the parts' runs.
        folder: where the version goes.
        start: the version that training began at: what was not trained on is lent as it is, and it is superseded.
    """
    packed, settings = model.packed(), _settings(model.config.as_dict())
    if start is not None:
        begun = whole_tensors(start)
        lent = unchanged(model.state_dict(), unpack(begun), start.config.get("lent", {}))
        settings |= {"lent": part_digests(begun, lent), "supersedes": _older(start)}
        packed = {name: tensor for name, tensor in packed.items() if not any(is_of(name, part) for part in lent)}
    front = {
        "name": NAME,
        "kind": KIND,
        "licence": LICENCE,
        "created": _today(),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()},
        **({} if start is None else {"begun_at": start.reference}),
        "training_data": training_data(training / "clips" / "manifest.json"),
        "training": {run.name: spent(run) for run in runs(training)} | {"torch": str(torch.__version__)},
        "metrics": {},
    }
    return write_version(folder, packed, settings, card_text(front, _BODY.read_text(encoding="utf-8")))


def renew(start: ModelVersion, folder: Path) -> ModelVersion:
    """Write a version into `folder` that has all weights of another, lent, and draws as this code says.

    Its card is that of the other, without its figures: they are to be measured again.
    """
    begun = whole_tensors(start)
    state = unpack(begun)
    lent = unchanged(state, state, start.config.get("lent", {}))
    own = {"name": start.name, "lent": part_digests(begun, lent), "supersedes": _older(start)}
    settings = _settings(start.config["parts"]) | own
    front = {
        **start.card,
        "created": _today(),
        "weights_of": start.reference,
        "metrics": {},
    }
    return write_version(folder, {}, settings, card_text(front, card_body(start)))


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": NAME,
        "kind": KIND,
        "architecture": ARCHITECTURE,
        "parts": parts,
        "sampling": asdict(sampling()),
        "sampling_with_melody": asdict(sampling_with_melody()),
        "takes": TAKES,
        "takes_with_melody": TAKES * OCTAVES,
        "octaves": OCTAVES,
        "leg_s": LEG_S,
        "steadiness_weight": STEADINESS_WEIGHT,
        "follows_melody": FOLLOWS_MELODY,
    }


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _older(start: ModelVersion) -> list[str]:
    """Return the digests of those that a version which begins at `start` supersedes."""
    return [start.digest, *start.config.get("supersedes", [])]


def unchanged(state: Mapping[str, Tensor], begun: Mapping[str, Tensor], borrowed: Collection[str]) -> list[str]:
    """Return the parts of a model whose tensors are what they were, and the pieces that are, of parts that changed.

    A part that the beginning itself `borrowed` in pieces is named in pieces: nobody has the whole of it.
    """
    same = {name: name in begun and torch.equal(tensor.cpu(), begun[name]) for name, tensor in state.items()}
    split = {piece.partition(".")[0] for piece in borrowed if "." in piece}
    found: list[str] = []
    for part, names in groupby(state, lambda name: name.partition(".")[0]):
        pieces: dict[str, bool] = {}
        for name in names:
            piece = ".".join(name.split(".")[:2])
            pieces[piece] = pieces.get(piece, True) and same[name]
        whole = part not in split and all(pieces.values())
        found += [part] if whole else [piece for piece, kept in pieces.items() if kept]
    return found


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
