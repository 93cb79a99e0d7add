"""`tutti generate` and `tutti resume`: make a catalogue, or go on with one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import SET_ASIDE, InputError, errors_told
from flows.cli.output import SHORT, answer, answer_json, answers_only, note, seconds, shortened, table

if TYPE_CHECKING:
    from actors.pool import WorkerPool
    from flows.order import Order
    from flows.services import Services
    from flows.summary import RunSummary

_LISTED = 40

WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="How many workers; otherwise TUTTI_WORKERS or one a processor.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on standard output.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(generate)
    app.command()(resume)


def generate(
    order: Annotated[Path, typer.Argument(metavar="ORDER", help="A .yaml, .csv or .jsonl order.")],
    catalogue: Annotated[str | None, typer.Option(help="Name of the catalogue; else the order's.")] = None,
    model: Annotated[str | None, typer.Option(help="Model or model@digest; else the order's.")] = None,
    kind: Annotated[str | None, typer.Option(help="What to make: score, soundscape or accompaniment.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed that all seeds derive from; else the order's.")] = None,
    duration_s: Annotated[float | None, typer.Option(help="Seconds, for tracks that do not say.")] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan and make a catalogue from ORDER; what is there already is not made again.

    CSV orders have a track a row and JSONL orders a track a line; their catalogue is named by the option or else
    by the file. Exit codes: 0 done, 1 done with items set aside or cancelled, 2 the order is wrong, 3 a service
    failed.
    """
    with errors_told():
        from flows.model_choice import version_for
        from flows.order import OrderOptions, load_order
        from flows.services import Services
        from flows.settings import load_settings

        began = time.monotonic()
        options = OrderOptions(catalogue, model, kind, seed, duration_s)  # type: ignore[arg-type]  # load_order checks
        services = Services(load_settings())
        checked = load_order(order, options)
        version = version_for(checked, services.settings)
        services.check_given()

        from db.runs import new_run_id

        run_id = new_run_id()

        def start() -> Coroutine[Any, Any, Any]:
            from flows.catalogue import generate_catalogue

            return driven(generate_catalogue)(str(order.absolute()), run_id, options.given(), workers)

        def ahead() -> AbstractContextManager[WorkerPool]:
            from flows.working import Job, workers_ahead

            number = min(workers or services.settings.workers, checked.items)
            return workers_ahead(services, Job(run_id, version, number))

        all_to_be_made = services.is_fresh and services.settings.ray_address is None
        _make(services, run_id, start, began, as_json, checked, ahead if all_to_be_made else None)


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of its id: 4 digits or more.")],
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with RUN: make what is missing, and try again what was set aside."""
    with errors_told():
        from db.runs import get_run
        from db.work import progress
        from flows.services import Services
        from flows.settings import load_settings

        began = time.monotonic()
        services = Services(load_settings())
        if services.is_fresh:
            raise InputError(f"there is no run {run!r}: nothing was ever made in {services.settings.home}")
        services.check_given()
        with services.open() as backend, backend.database.unit_of_work() as session:
            run_id = get_run(session, run).id
            there = progress(session, run_id).done

        def start() -> Coroutine[Any, Any, Any]:
            from flows.catalogue import resume_catalogue

            return driven(resume_catalogue)(run_id, workers)

        with errors_told(run_id):
            _make(services, run_id, start, began, as_json, there=there)


def driven(flow: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return the flow, to be run under tags that say who drives it, after marking those nobody drives."""
    from prefect import tags

    from flows.abandoned import driver_tags, mark_abandoned

    async def run(*arguments: Any) -> Any:
        await mark_abandoned()
        with tags(*driver_tags()):
            return await flow(*arguments)

    return run


def _make(
    services: Services,
    run_id: str,
    start: Callable[[], Coroutine[Any, Any, Any]],
    began: float,
    as_json: bool,
    order: Order | None = None,
    workers_ahead: Callable[[], AbstractContextManager[WorkerPool]] | None = None,
    there: int | None = None,
) -> None:
    """Start what is needed, side by side as far as can be, drive the flow and say what came of it.

    `there` is how many pieces of a run that is resumed there are already.
    """
    from flows.cli.progress import progress_bar
    from flows.errors import RunCancelledError
    from flows.handover import Handover, handing_over
    from flows.prefect_environment import prepare
    from flows.summary import summarise

    cancelled = None
    with answers_only(), progress_bar(run_id) as bar:
        bar.say("starting services")
        prefect = services.prefect_begun()
        with services.open():
            pass
        prepare(prefect, services.settings.home)
        with workers_ahead() if workers_ahead else nullcontext() as pool:
            import flows.catalogue  # noqa: F401  (takes seconds, in which the server starts)

            services.prefect_ready(prefect)
            bar.watch(services.database_up())
            with handing_over(Handover(order, pool)):
                try:
                    asyncio.run(start())
                except RunCancelledError as error:
                    cancelled = str(error)
    with services.open() as backend:
        summary = summarise(services, backend, run_id, time.monotonic() - began, there)
    if as_json:
        answer_json(summary.as_json())
    else:
        _show(summary)
    if summary.failed:
        _tell_failures(summary)
    if cancelled:
        note(f"tutti: {cancelled}")
    if summary.failed or cancelled:
        raise typer.Exit(SET_ASIDE)


def _show(summary: RunSummary) -> None:
    rows = [
        (asset.id[:SHORT], seconds(asset.duration_s), shortened(asset.prompt, 48), asset.path)
        for asset in summary.assets[:_LISTED]
    ]
    table(("asset", "length", "prompt", "opens with"), rows, whole=("asset", "length", "opens with"))
    if len(summary.assets) > _LISTED:
        answer(f"… and {len(summary.assets) - _LISTED} more: tutti list --run {summary.run} --limit 0")
    answer(
        f"run {summary.run}: {summary.made} made, {summary.reused} reused, {summary.failed} set aside "
        f"in {summary.wall_s:.1f} s; {len(summary.assets)} pieces, {summary.audio_s:.0f} s of music in all; "
        f"catalogue {summary.catalogue}"
    )


def _tell_failures(summary: RunSummary) -> None:
    for item in summary.set_aside[:_LISTED]:
        note(f"set aside {item.recipe_id[:SHORT]} ({shortened(item.prompt, 48)}): {item.error}")
    note(f"tracebacks: tutti runs {summary.run} --json; to try again: tutti resume {summary.run}")
