"""Which model version an order gets."""

from __future__ import annotations

import json
from collections.abc import Iterable

from db.model_versions import NewModelVersion
from flows.order import Kind
from flows.settings import Settings
from models.registry import find_version, list_versions
from models.weights import ModelVersion, UnknownModelError


def choose_version(reference: str | None, kind: Kind | None, settings: Settings) -> ModelVersion:
    """Return the version that an order names, or the newest of its kind; without a kind, one that needs words only.

    Raises:
        UnknownModelError: there is none, or it makes another kind.
        CorruptModelError: a registered version cannot be read.
    """
    folders = (settings.model_folder,)
    if reference is not None:
        version = find_version(reference, folders)
        if kind is not None and version.kind != kind:
            raise UnknownModelError(f"model {version.name} makes a {version.kind}, the order asks for a {kind}")
        return version
    makers = [
        version
        for version in list_versions(folders)
        if (version.kind != "accompaniment" if kind is None else version.kind == kind)  # which wants vocals besides
    ]
    if not makers:
        raise UnknownModelError(
            f"no registered model makes pieces of {f'kind {kind}' if kind else 'any kind'} (see `tutti models list`)"
        )
    return newest(makers)


def newest(versions: Iterable[ModelVersion]) -> ModelVersion:
    """Return the version that was made last, by its card."""
    return max(versions, key=lambda version: (str(version.card.get("created", "")), version.name, version.digest))


def registration(version: ModelVersion) -> NewModelVersion:
    """Return a version as the database keeps it; what YAML reads as a date in the card is kept as text."""
    card = json.loads(json.dumps(dict(version.card), default=str))
    return NewModelVersion(version.digest, version.name, version.kind, version.config, card)
