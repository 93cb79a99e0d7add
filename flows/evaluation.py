"""The Prefect flow that measures a model: a task for each part, progress as an artifact, the figures as another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.model_evaluation import EvaluationError, Extent, Study, study_of
from flows.reporting import Told, artifact_key
from flows.settings import load_settings
from models.registry import find_version


@flow(name="evaluate-model", persist_result=False)
def evaluate_model(
    model: str,
    page: str = "report",
    corpus: str | None = None,
    clips: str | None = None,
    training: str | None = None,
    voices: str | None = None,
    drafts: int = 100,
    parts: Sequence[str] = (),
    quick: bool = False,
) -> dict[str, Any]:
    """Measure a model and write a page to hear and see, unless it is a score model; return the figures.

    Args:
        model: name, or name@sha256:...
        page: the folder of the page.
        corpus: of a score model, for likelihoods: the prepared corpus.
        clips: of a MusicLM: the rendered clips.
        training: of a SingSong: the folder of its training.
        voices: of a SingSong: a folder of recordings of real singing.
        drafts: of a score model: how many to make and judge.
        parts: only these parts.
        quick: a few minutes' look.

    Raises:
        UnknownModelError: there is no such model.
        EvaluationError: no such part, or see `flows.model_evaluation.study_of`.
    """
    version = find_version(model, [load_settings().model_folder])
    extent = Extent(
        corpus=_path(corpus),
        drafts=drafts,
        clips=_path(clips),
        training=_path(training),
        voices=_path(voices),
        page=Path(page),
        quick=quick,
    )
    study = study_of(version, extent)
    if unknown := [part for part in parts if part not in study.known]:
        raise EvaluationError(f"{version.name} has no part {unknown[0]!r}; its parts: {', '.join(study.known)}")
    for part in parts or study.parts:
        measure_part.with_options(name=part)(study, version.name, part)
    figures = study.finish()
    shown = json.dumps(figures, indent=1, ensure_ascii=False)
    create_markdown_artifact(
        f"{version.reference}\n```json\n{shown}\n```", key=artifact_key(f"{version.name} figures")
    )
    return figures


@task(cache_policy=NO_CACHE, persist_result=False)
def measure_part(study: Study, name: str, part: str) -> None:
    """Measure one part, and tell Prefect how far it is."""
    study.measure(part, Told(f"{name} {part}"))


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)
