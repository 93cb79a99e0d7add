"""Model versions known to the database, and the training runs that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from db.database import Session
from db.json_values import Json


@dataclass(frozen=True, slots=True)
class NewModelVersion:
    """A model version by digest ("sha256:...")."""

    digest: str
    name: str
    kind: str
    config: Mapping[str, Json]
    card: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model version as recorded."""

    digest: str
    name: str
    kind: str
    config: Mapping[str, Json]
    card: Mapping[str, Json]
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training; `model_digest` is what came of it, once it has."""

    id: str
    name: str
    config: Mapping[str, Json]
    started_at: datetime
    finished_at: datetime | None
    metrics: Mapping[str, Json]
    model_digest: str | None


def register_version(session: Session, new: NewModelVersion) -> RegisteredModel:
    """Insert a model version; return the row already there on a repeat.

    Raises:
        InvalidValueError: config or card hold what JSON cannot.
    """
    raise NotImplementedError


def get_version(session: Session, digest: str) -> RegisteredModel:
    """Return a model version.

    Raises:
        UnknownModelVersionError: the digest was never registered.
    """
    raise NotImplementedError


def list_registered(session: Session) -> list[RegisteredModel]:
    """Return all registered versions, newest first."""
    raise NotImplementedError


def start_training(session: Session, name: str, config: Mapping[str, Json]) -> TrainingRun:
    """Record that a training has begun."""
    raise NotImplementedError


def finish_training(
    session: Session, training_id: str, metrics: Mapping[str, Json], model_digest: str
) -> TrainingRun:
    """Record what came of a training.

    Raises:
        UnknownTrainingRunError: no training run has this id.
        UnknownModelVersionError: register the version first.
    """
    raise NotImplementedError
