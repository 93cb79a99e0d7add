"""`tutti models train` and `evaluate`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, answers_only, note

Model = Annotated[str, typer.Argument(metavar="MODEL", help="musiclm-small, score-small or singsong-small")]
EVERY_S = 10.0


def add_to(app: typer.Typer) -> None:
    """Add the commands to `tutti models`."""
    app.command()(train)
    app.command()(evaluate)


def train(
    model: Model,
    data: Annotated[Path, typer.Option(help="Folder with openscore-lieder/, openscore-quartets/ and ambience/.")],
    out: Annotated[Path, typer.Option(help="Folder of the training; an interrupted one goes on there.")],
    step: Annotated[
        str | None,
        typer.Option(help="Of musiclm-small and singsong-small: only this step, so that steps can run side by side."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Of musiclm-small: go on from this version (name, or name@sha256:…) instead of from nothing.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train MODEL from free material, or go on with the training in --out, and write the version to OUT/version."""
    with errors_told():
        from flows.model_training import TrainingError, check_training
        from flows.settings import load_settings
        from models.registry import find_version

        try:
            begun = None if start is None else find_version(start, [load_settings().model_folder])
            check_training(model, step, begun)
            _prepare()
            from flows.reporting import also_told
            from flows.training import train_model

            also_told.set(_Progress())
            with answers_only():
                digest = train_model(model, str(data.absolute()), str(out.absolute()), device, step, start)
        except TrainingError as error:
            raise InputError(str(error)) from error
        if as_json:
            answer_json({"model": model, "digest": digest, "path": str(out / "version") if digest else None})
        elif digest is None:
            answer(f"the step {step!r} is done; all steps: tutti models train {model} --data {data} --out {out}")
        else:
            answer(f"{model}@{digest} is in {out / 'version'}; add it with: tutti models add {out / 'version'}")


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name, or name@sha256:…")],
    corpus: Annotated[Path | None, typer.Option(help="The prepared corpus (OUT/corpus) for likelihoods.")] = None,
    drafts: Annotated[int, typer.Option(min=1, help="How many drafts to make and judge.")] = 100,
    clips: Annotated[Path | None, typer.Option(help="Of musiclm-small: the rendered clips (OUT/clips).")] = None,
    training: Annotated[Path | None, typer.Option(help="Of singsong-small: the folder of its training.")] = None,
    voices: Annotated[
        Path | None, typer.Option(help="Of singsong-small: a folder of recordings of real singing, measured apart.")
    ] = None,
    page: Annotated[Path, typer.Option(help="Where the page to hear and see goes, unless of a score model.")] = Path(
        "report"
    ),
    part: Annotated[
        list[str] | None,
        typer.Option(help="Not of score models: only this part, such as stories or ablation; may be given again."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="A few minutes' look, unless of a score model.")] = False,
    card: Annotated[bool, typer.Option(help="Write the figures into the model's card.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure MODEL and hold it against references.

    Score models: likelihood on held-out composers beside a trigram model, and whether drafts obey. MusicLM: what
    judges that it was not trained with hear, the codec, retrieval, stories, long pieces, memorisation. SingSong:
    whether accompaniments go with their voices, beside retrieved and shuffled ones, and the ablation.
    """
    with errors_told():
        from flows.model_evaluation import EvaluationError
        from flows.settings import load_settings
        from models.registry import find_version
        from models.weights import with_metrics

        if card and part:
            raise InputError("--card writes all figures: it goes without --part")
        version = find_version(model, [load_settings().model_folder])
        try:
            _prepare()
            from flows.evaluation import evaluate_model
            from flows.reporting import also_told

            also_told.set(_Progress())
            with answers_only():
                figures = evaluate_model(
                    version.reference,
                    page=str(page.absolute()),
                    corpus=_absolute(corpus),
                    clips=_absolute(clips),
                    training=_absolute(training),
                    voices=_absolute(voices),
                    drafts=drafts,
                    parts=part or [],
                    quick=quick,
                )
        except EvaluationError as error:
            raise InputError(str(error)) from error
        if card:
            with_metrics(version, figures)
        if as_json:
            answer_json({"model": version.reference} | figures)
        else:
            answer(json.dumps(figures, indent=1, ensure_ascii=False))


def _prepare() -> None:
    """Have what flows run on, and tell Prefect's client where it is."""
    from flows.prefect_environment import prepare
    from flows.services import Services
    from flows.settings import load_settings

    services = Services(load_settings())
    services.check_given()
    services.up()
    prepare(services.prefect_up(), services.settings.home)


def _absolute(folder: Path | None) -> str | None:
    return None if folder is None else str(folder.absolute())


class _Progress:
    """Says how far a long job is, every few seconds and at its end."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Take a report; say it if the last one is old enough."""
        if done < total and time.monotonic() - self._said < EVERY_S:
            return
        self._said = time.monotonic()
        rest = "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if name != "step")
        note(f"{phase} {done}/{total}  {rest}".rstrip())
