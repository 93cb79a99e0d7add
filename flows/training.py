"""The Prefect flow that trains a model: a task for each step, progress as an artifact, the training in the database.

A killed training is taken up by the next flow on the same folder: its steps are resumable, and a step that is done
is passed over.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from db.model_versions import finish_training, register_version, start_training
from flows.model_choice import registration
from flows.model_training import check_training, figures_of, steps_of, threads_for, train
from flows.reporting import Told
from flows.services import Services
from flows.settings import load_settings
from models.registry import find_version
from models.weights import ModelVersion


@flow(name="train-model", persist_result=False)
def train_model(
    model: str, data: str, out: str, device: str = "cpu", step: str | None = None, start: str | None = None
) -> str | None:
    """Train a model, or go on with the training in `out`; return the digest of the version, once there is one.

    Args:
        model: one of `flows.model_training.TRAINABLE`.
        data: the folder with the free material.
        out: where the training lives.
        device: what it runs on.
        step: only this step.
        start: the version to go on from, by its name or name@digest.

    Raises:
        TrainingError: see `flows.model_training.train`.
        UnknownModelError: there is no such version to go on from.
    """
    settings = load_settings()
    begun = None if start is None else find_version(start, [settings.model_folder])
    check_training(model, step, begun)
    services = Services(settings)
    with services.open() as backend:
        with backend.database.unit_of_work() as session:
            config = {"data": data, "out": out, "device": device, "step": step}
            if begun is not None:
                config["start"] = begun.reference
            training = start_training(session, model, config).id
        version: ModelVersion | None = None
        for name in (step,) if step else steps_of(model, begun):
            named = make_step.with_options(name=name or model)
            version = named(model, data, out, device, threads_for(step), name, begun)
        with backend.database.unit_of_work() as session:
            if version is not None:
                register_version(session, registration(version))
            digest = None if version is None else version.digest
            finish_training(session, training, figures_of(model, Path(out)), digest)
    return digest


@task(cache_policy=NO_CACHE, persist_result=False)
def make_step(
    model: str, data: str, out: str, device: str, threads: int, step: str | None, start: ModelVersion | None
) -> ModelVersion | None:
    """Make one step, and tell Prefect how far it is."""
    told = Told(f"{model}-{step or 'training'}")
    return train(model, Path(data), Path(out), device=device, report=told, threads=threads, step=step, start=start)
