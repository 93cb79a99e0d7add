"""Which model version an order gets."""

from __future__ import annotations

import json
from collections.abc import Sequence

from db.model_versions import NewModelVersion
from flows.errors import OrderError
from flows.kinds import Kind, a_kind
from flows.order import Order, check_controls
from flows.settings import Settings
from models.generator import MELODY
from models.registry import find_version, follows_melody, list_versions, superseded
from models.weights import ModelVersion, UnknownModelError


def version_for(order: Order, settings: Settings) -> ModelVersion:
    """Return the version that makes an order, once it is seen that it can make all that is asked for.

    Raises:
        UnknownModelError: there is none, or it makes another kind, and what asks for it is an option or nothing.
        CorruptModelError: a registered version cannot be read.
        OrderError: a line of the order asks for it, or the order fixes what this version does not have, or gives it
            a melody that it does not follow.
    """
    try:
        version = choose_version(order.model, order.kind, settings)
    except UnknownModelError as error:
        if place := order.written.get("kind" if order.model is None else "model"):
            raise OrderError(place, str(error).removeprefix(f"{place.key} ")) from error
        if order.model is not None:
            raise UnknownModelError(f"--model: {str(error).removeprefix('model ')}") from error
        raise
    check_controls(order, version.kind)
    if MELODY in order.first_uses and not follows_melody(version):
        problem = f"{version.name} does not follow melodies; leave 'melody' out, or name a model that does"
        raise OrderError(order.first_uses[MELODY], problem)
    return version


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
            raise UnknownModelError(f"model {version.name} makes {a_kind(version.kind)}, not {a_kind(kind)}")
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


def newest(versions: Sequence[ModelVersion]) -> ModelVersion:
    """Return the version that was made last, by its card, of those that no other supersedes."""
    old = superseded(versions)
    current = [version for version in versions if version.digest not in old]
    return max(current, key=lambda version: (str(version.card.get("created", "")), version.name, version.digest))


def registration(version: ModelVersion) -> NewModelVersion:
    """Return a version as the database keeps it; what YAML reads as a date in the card is kept as text."""
    card = json.loads(json.dumps(dict(version.card), default=str))
    return NewModelVersion(version.digest, version.name, version.kind, version.config, card)
