"""Model versions known to the database, and the training runs that made them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db.database import Session
from db.errors import UnknownModelVersionError, UnknownTrainingRunError
from db.json_values import Json, json_text
from db.tables import model_versions, training_runs


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
    json_text(new.config, f"the config of {new.name}")
    json_text(new.card, f"the card of {new.name}")
    session.execute(
        upsert(model_versions)
        .values(digest=new.digest, name=new.name, kind=new.kind, config=dict(new.config), card=dict(new.card))
        .on_conflict_do_nothing()
    )
    return get_version(session, new.digest)


def get_version(session: Session, digest: str) -> RegisteredModel:
    """Return a model version.

    Raises:
        UnknownModelVersionError: the digest was never registered.
    """
    row = session.execute(select(model_versions).where(model_versions.c.digest == digest)).one_or_none()
    if row is None:
        raise UnknownModelVersionError(f"the model version {digest} was never registered")
    return RegisteredModel(**row._mapping)


def list_registered(session: Session) -> list[RegisteredModel]:
    """Return all registered versions, newest first."""
    newest = select(model_versions).order_by(model_versions.c.registered_at.desc(), model_versions.c.digest)
    return [RegisteredModel(**row._mapping) for row in session.execute(newest)]


def start_training(session: Session, name: str, config: Mapping[str, Json]) -> TrainingRun:
    """Record that a training has begun."""
    json_text(config, f"the config of the training of {name}")
    row = session.execute(
        insert(training_runs)
        .values(id=secrets.token_hex(6), name=name, config=dict(config))
        .returning(*training_runs.c)
    ).one()
    return TrainingRun(**row._mapping)


def finish_training(
    session: Session, training_id: str, metrics: Mapping[str, Json], model_digest: str | None
) -> TrainingRun:
    """Record what came of a training: a model version, or none yet where it was one step of several.

    Raises:
        UnknownTrainingRunError: no training run has this id.
        UnknownModelVersionError: register the version first.
    """
    json_text(metrics, f"the metrics of training {training_id}")
    if model_digest is not None:
        get_version(session, model_digest)
    row = session.execute(
        update(training_runs)
        .where(training_runs.c.id == training_id)
        .values(finished_at=func.now(), metrics=dict(metrics), model_digest=model_digest)
        .returning(*training_runs.c)
    ).one_or_none()
    if row is None:
        raise UnknownTrainingRunError(f"there is no training run {training_id!r}")
    return TrainingRun(**row._mapping)
