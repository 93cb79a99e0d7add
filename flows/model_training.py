"""Training the models that ship with the project."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import FlowError

if TYPE_CHECKING:
    from models.weights import ModelVersion

TRAINABLE = ("musiclm-small", "score-small", "singsong-small")
Report = Callable[[str, int, int, Mapping[str, float]], None]  # phase, done, of how many, figures


class TrainingError(FlowError):
    """A training that cannot start; the message says what would be right."""


def check_training(model: str, step: str | None, start: ModelVersion | None = None) -> None:
    """See that there is such a training.

    Raises:
        TrainingError: no such model or step, or nothing that could go on from this version.
    """
    if model not in TRAINABLE:
        raise TrainingError(f"{model!r} has no training of this project; one of: {', '.join(TRAINABLE)}")
    if start is not None and (model, start.config.get("architecture")) != ("musiclm-small", "musiclm"):
        raise TrainingError(f"{model} cannot go on from {start.name}; only musiclm-small does, from a musiclm-small")
    known = steps_of(model, start)
    if step is not None and step not in known:
        one = f"{model} is trained in one step; leave --step out"
        several = f"no step {step!r}; the steps are, in order: {', '.join(name or '' for name in known)}"
        raise TrainingError(one if known == (None,) else several)


def steps_of(model: str, start: ModelVersion | None = None) -> tuple[str | None, ...]:
    """Return the steps of a model's training, in order; (None,) for one that has no parts."""
    if model == "musiclm-small":
        from models.musiclm.pipeline import steps_from

        return steps_from(start)
    if model == "singsong-small":
        from models.singsong.pipeline import STEPS as SINGSONG_STEPS

        return SINGSONG_STEPS
    return (None,)


def figures_of(model: str, out: Path) -> dict[str, Any]:
    """Return the last figures of every run that is finished or on its way below a training's folder."""
    from models.training.run import read_metrics

    runs = sorted(path.parent for path in out.rglob("metrics.jsonl"))
    return {"model": model} | {str(run.relative_to(out)): read_metrics(run)[-1] for run in runs}


def train(
    model: str,
    data: Path,
    out: Path,
    *,
    device: str,
    report: Report,
    threads: int,
    step: str | None = None,
    start: ModelVersion | None = None,
) -> ModelVersion | None:
    """Make a step of a training, or go on with it; the last one writes the version to out/version.

    Args:
        model: one of TRAINABLE.
        data: the folder with the free material.
        out: where the training lives.
        device: what it runs on.
        report: told how far it is.
        threads: how many to compute on.
        step: one of `steps_of`.
        start: the version to go on from, instead of from nothing.

    Returns:
        The version, or None after a step that is not the last.

    Raises:
        TrainingError: no such model or step, no training material, or another training in `out`.
    """
    check_training(model, step, start)
    if model == "score-small":
        return _train_score(data, out, device, report, threads)
    assert step is not None, f"{model} is trained a step at a time"
    if model == "musiclm-small":
        return _train_musiclm(data, out, device, report, threads, step, start)
    return _train_singsong(data, out, device, report, threads, step)


def threads_for(step: str | None) -> int:
    """Return how many threads a training computes on: all, but one if it is one step, meant to run beside others."""
    return 1 if step else os.cpu_count() or 1


def _train_score(data: Path, out: Path, device: str, report: Report, threads: int) -> ModelVersion:
    import torch

    from models.score.corpus import CorpusError, load_passages, prepare
    from models.score.release import release
    from models.score.training import ScoreTrainingConfig
    from models.score.training import train as train_score

    corpus, run, config = out / "corpus", out / "run", ScoreTrainingConfig()
    try:
        if not (corpus / "manifest.json").is_file():
            prepare(data, corpus, os.cpu_count() or 1, lambda done, total: report("corpus", done, total, {}))
        passages = load_passages(corpus)
    except CorpusError as error:
        raise TrainingError(str(error)) from error
    torch.set_num_threads(threads)
    try:
        trained = train_score(
            config,
            passages,
            run,
            device=device,
            report=report,
        )
    except ValueError as error:
        raise TrainingError(str(error)) from error
    return release(trained.cpu(), config, corpus, run, out / "version")


def _train_musiclm(
    data: Path,
    out: Path,
    device: str,
    report: Report,
    threads: int,
    step: str,
    start: ModelVersion | None,
) -> ModelVersion | None:
    import torch

    from models.material.ambience import AmbienceError
    from models.material.clips import ClipsError
    from models.material.synth import SynthError
    from models.mulan.sentences import SentencesError
    from models.musiclm.pipeline import Pipeline
    from models.score.corpus import CorpusError
    from models.training.parts import PipelineError
    from models.training.run import RunError

    torch.set_num_threads(threads)
    pipeline = Pipeline(data, out, workers=os.cpu_count() or 1, device=device, report=report, start=start)
    try:
        pipeline.step(step)
    except (AmbienceError, ClipsError, CorpusError, PipelineError, RunError, SentencesError, SynthError) as error:
        raise TrainingError(str(error)) from error
    return pipeline.released


def _train_singsong(
    data: Path, out: Path, device: str, report: Report, threads: int, step: str
) -> ModelVersion | None:
    import torch

    from models.material.synth import SynthError
    from models.mulan.sentences import SentencesError
    from models.registry import find_version
    from models.score.corpus import CorpusError
    from models.singsong.pairs import PairsError
    from models.singsong.pipeline import Pipeline
    from models.training.parts import PipelineError
    from models.training.run import RunError

    torch.set_num_threads(threads)
    base = find_version("musiclm-small", [])
    pipeline = Pipeline(data, out, base, workers=os.cpu_count() or 1, device=device, report=report)
    try:
        pipeline.step(step)
    except (CorpusError, PairsError, PipelineError, RunError, SentencesError, SynthError) as error:
        raise TrainingError(str(error)) from error
    return pipeline.released
