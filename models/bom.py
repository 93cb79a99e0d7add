"""A model version's bill of materials: CycloneDX 1.6, with the model's card, its files, and what it learnt from."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from models.weights import CARD, CONFIG, WEIGHTS, ModelVersion

_SPDX: Final = frozenset({"Apache-2.0", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "MIT"})


def bill_of_materials(version: ModelVersion) -> dict[str, Any]:
    """Return the bill as JSON values: the same for the same version."""
    card = version.card
    data = [_data(number, each) for number, each in enumerate(_collections(card))]
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": version.digest,
        "name": version.name,
        "version": version.digest,
        "modelCard": {
            "modelParameters": {
                "task": f"generation of a {version.kind}",
                "architectureFamily": str(version.config.get("architecture", "")),
                "datasets": [{"ref": each["bom-ref"]} for each in data],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(card.get("metrics", {})))},
        },
    }
    if ancestor := _ancestor(card):
        model["pedigree"] = {"ancestors": [ancestor]}
    if licence := card.get("licence"):
        model["licenses"] = _licences(str(licence))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, version.digest)}",
        "version": 1,
        "metadata": {"component": model},
        "components": [*(_file(version, name) for name in (WEIGHTS, CONFIG, CARD)), *data],
        "dependencies": [{"ref": version.digest, "dependsOn": [each["bom-ref"] for each in data]}],
    }


def _ancestor(card: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the version that training began at, which also lends parts; None if it began from nothing."""
    base = card.get("base")
    begun = card.get("begun_at") or (base.get("model") if isinstance(base, Mapping) else None)
    if not isinstance(begun, str):
        return None
    name, _, digest = begun.partition("@")
    return {"type": "machine-learning-model", "name": name, "version": digest}


def _file(version: ModelVersion, name: str) -> dict[str, Any]:
    with (version.path / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"type": "file", "bom-ref": name, "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _collections(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = card.get("training_data")
    found = data.get("collections", ()) if isinstance(data, Mapping) else ()
    return [each for each in found if isinstance(each, Mapping)]


def _data(number: int, collection: Mapping[str, Any]) -> dict[str, Any]:
    name = str(collection.get("name", f"collection {number}"))
    described: dict[str, Any] = {"type": "data", "bom-ref": f"data/{number}", "name": name}
    if licence := collection.get("licence"):
        described["licenses"] = _licences(str(licence))
    counts = {key: value for key, value in collection.items() if key not in ("name", "licence")}
    described["properties"] = [{"name": f"tutti:{key}", "value": str(value)} for key, value in counts.items()]
    return described


def _licences(licence: str) -> list[dict[str, Any]]:
    return [{"license": {"id" if licence in _SPDX else "name": licence}}]


def _metrics(metrics: Any, prefix: str = "") -> Iterator[dict[str, str]]:
    """Yield every number among nested metrics."""
    if isinstance(metrics, Mapping):
        for name, value in metrics.items():
            yield from _metrics(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(metrics, int | float) and not isinstance(metrics, bool):
        yield {"type": prefix, "value": f"{metrics:g}"}
