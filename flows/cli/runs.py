"""`tutti runs` and `tutti cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import SHORT, answer, answer_json, seconds, shortened, table

if TYPE_CHECKING:
    from db.database import Session
    from db.runs import Run


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(runs)
    app.command()(cancel)


def runs(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run, or the beginning of its id: 4 digits or more.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first, or show one RUN with what was set aside.

    A run is running, done, failed, cancelled, stopped (by a signal), or interrupted: what drove it was killed.
    """
    with errors_told():
        if run is None:
            _list(limit, as_json)
        else:
            _show(run, as_json)


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of its id: 4 digits or more.")],
    as_json: JsonOption = False,
) -> None:
    """Stop RUN: its workers end soon, what is finished is kept. `tutti resume` goes on with it."""
    with errors_told():
        from db.runs import cancel_run, get_run
        from flows.cli.backend import opened

        with opened() as found:
            if found is None:
                raise _no_run(run)
            with found[1].database.unit_of_work() as session:
                cancelled = cancel_run(session, get_run(session, run).id)
                described = _described(session, cancelled)
        if as_json:
            answer_json(described)
        elif cancelled.state == "cancelled":
            answer(f"run {cancelled.id} is cancelled; go on with it: tutti resume {cancelled.id}")
        else:
            answer(f"run {cancelled.id} was {cancelled.state} already")


def _list(limit: int, as_json: bool) -> None:
    from db.runs import list_runs
    from flows.cli.backend import opened

    with opened() as found:
        listed: list[dict[str, Any]] = []
        more = False
        if found is not None:
            with found[1].database.unit_of_work() as session:
                newest = list_runs(session, limit + 1)
                more = len(newest) > limit
                listed = [_described(session, each) for each in newest[:limit]]
    if as_json:
        answer_json({"runs": listed, "more": more})
        return
    rows = [
        (
            each["run"],
            each["catalogue"],
            each["state"],
            f"{each['done']}/{each['planned']}",
            str(each["failed"] or ""),
            seconds(each["wall_s"]),
            each["created_at"][:19].replace("T", " "),
        )
        for each in listed
    ]
    table(("run", "catalogue", "state", "done", "set aside", "took", "begun (UTC)"), rows, whole=("run",))
    if more:
        answer(f"… and more: tutti runs --limit {10 * limit}")


def _show(run: str, as_json: bool) -> None:
    from db.runs import get_run
    from db.work import list_set_aside
    from flows.cli.backend import opened

    with opened() as found:
        if found is None:
            raise _no_run(run)
        with found[1].database.unit_of_work() as session:
            recorded = get_run(session, run)
            described = _described(session, recorded)
            aside = list_set_aside(session, recorded.id)
    if as_json:
        items = [
            {"id": i.recipe_id, "prompt": i.prompt, "attempt": i.attempt, "error": i.error, "traceback": i.traceback}
            for i in aside
        ]
        answer_json(described | {"order": recorded.order, "set_aside": items})
        return
    for name, value in described.items():
        answer(f"{name:>12}  {'' if value is None else value}")
    if aside:
        table(
            ("set aside", "prompt", "tried", "error"),
            [(i.recipe_id[:SHORT], shortened(i.prompt, 40), str(i.attempt), i.error) for i in aside],
            whole=("set aside",),
        )


def _described(session: Session, run: Run) -> dict[str, Any]:
    from db.work import progress

    now = progress(session, run.id)
    return {
        "run": run.id,
        "catalogue": run.catalogue,
        "state": "interrupted" if run.state == "running" and not run.is_driven else run.state,
        "planned": run.planned,
        "reused": run.reused,
        "done": now.done,
        "failed": now.failed,
        "open": now.open,
        "error": run.error,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "wall_s": run.wall_s and round(run.wall_s, 3),
    }


def _no_run(run: str) -> InputError:
    return InputError(f"there is no run {run!r}: nothing was made here yet")
