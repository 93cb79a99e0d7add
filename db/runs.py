"""Runs: one order worked off into one catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Row, false, func, select, text

from db.database import Session
from db.errors import UnknownRunError
from db.json_values import Json
from db.prefixes import SHORTEST_PREFIX, not_one
from db.tables import runs

RunState = Literal["running", "stopped", "done", "failed", "cancelled"]

PLANNING_LOCK: Final = 0x706C616E  # "plan": an advisory lock that plans and resumes take one at a time


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be planned. `id` is `new_run_id()`; `order` is the order as validated."""

    id: str
    catalogue: str
    order: Mapping[str, Json]
    order_digest: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as recorded. One that is `running` and not `is_driven` was interrupted: its process is gone."""

    id: str
    catalogue: str
    order: Mapping[str, Json]
    order_digest: str
    state: RunState
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    wall_s: float | None
    planned: int
    reused: int
    is_driven: bool


# Every field of Run, under the fields' names.
_RUNS: Final = select(
    *(column for column in runs.c if column.name not in ("driver", "driven_until")),
    func.coalesce(runs.c.driven_until > func.now(), false()).label("is_driven"),
)


def new_run_id() -> str:
    """Return a fresh run id: 12 hex digits."""
    return secrets.token_hex(6)


def get_run(session: Session, id_or_prefix: str) -> Run:
    """Return the run with this id, or the only one whose id begins so (at least `SHORTEST_PREFIX` digits).

    Raises:
        UnknownRunError: there is none, or more than one.
    """
    found = session.execute(_RUNS.where(runs.c.id == id_or_prefix)).all()
    if not found and len(id_or_prefix) >= SHORTEST_PREFIX:
        found = session.execute(_RUNS.where(runs.c.id.startswith(id_or_prefix, autoescape=True)).limit(2)).all()
    if len(found) != 1:
        raise UnknownRunError(not_one("run", id_or_prefix, several=bool(found)))
    return _run(found[0])


def list_runs(session: Session, limit: int = 50) -> list[Run]:
    """Return the newest runs, newest first."""
    newest = _RUNS.order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)
    return [_run(row) for row in session.execute(newest)]


def finish_run(session: Session, run_id: str, wall_s: float) -> Run:
    """Mark a running run as done, adding `wall_s` to the time it has taken; others stay as they are.

    Raises:
        UnknownRunError: no run has this id.
    """
    return _close(session, run_id, "done", wall_s, None)


def fail_run(session: Session, run_id: str, wall_s: float, error: str) -> Run:
    """Mark a running run as failed as a whole (no generator, no store ...); it can be resumed.

    Raises:
        UnknownRunError: no run has this id.
    """
    return _close(session, run_id, "failed", wall_s, error)


def take_run(session: Session, run_id: str, driver: str, lease_s: float) -> None:
    """Note that the process `driver` drives this run from now on, whoever did, and does so for `lease_s`."""
    session.execute(
        text("""
            UPDATE runs SET driver = :driver, driven_until = now() + make_interval(secs => :lease) WHERE id = :run
        """),
        {"run": run_id, "driver": driver, "lease": lease_s},
    )


def drive_run(session: Session, run_id: str, driver: str, spent_s: float, lease_s: float) -> None:
    """Note that a process has spent `spent_s` more on this run, and if it took it last, drives it for `lease_s`."""
    session.execute(
        text("""
            UPDATE runs
            SET wall_s = coalesce(wall_s, 0) + :spent,
                driven_until = CASE WHEN driver = :driver THEN now() + make_interval(secs => :lease)
                    ELSE driven_until END
            WHERE id = :run
        """),
        {"run": run_id, "driver": driver, "spent": spent_s, "lease": lease_s},
    )


def stop_run(session: Session, run_id: str, driver: str, wall_s: float) -> Run:
    """Mark a running run as stopped, if `driver` took it last, adding `wall_s` to the time; it can be resumed.

    Raises:
        UnknownRunError: no run has this id.
    """
    session.execute(
        text("""
            UPDATE runs SET state = 'stopped', finished_at = now(), wall_s = coalesce(wall_s, 0) + :wall
            WHERE id = :run AND state = 'running' AND driver = :driver
        """),
        {"run": run_id, "driver": driver, "wall": wall_s},
    )
    return _exactly(session, run_id)


def cancel_run(session: Session, run_id: str) -> Run:
    """Stop handing out this run's items, also of one that was stopped; a done run stays done.

    Items that another running run wants as well are still made there.

    Raises:
        UnknownRunError: no run has this id.
    """
    return _close(session, run_id, "cancelled", 0.0, None)


def resume_run(session: Session, run_id: str) -> Run:
    """Set a run to running again and queue what had been set aside, with its attempts forgotten.

    Raises:
        UnknownRunError: no run has this id.
    """
    session.execute(
        text("UPDATE runs SET state = 'running', error = NULL, finished_at = NULL WHERE id = :run"),
        {"run": run_id},
    )
    resumed = _exactly(session, run_id)
    queue_failed_again(session, run_id)
    return resumed


def queue_failed_again(session: Session, run_id: str) -> None:
    """Queue what was set aside among a run's recipes, with its attempts forgotten, for every run wanting it.

    One plan or resume at a time does so: each must see the other's items to keep `open` true of them.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PLANNING_LOCK})
    session.execute(
        text("""
            WITH failed AS (
                SELECT work.recipe_id FROM work
                WHERE state = 'failed' AND EXISTS (
                    SELECT FROM run_items WHERE run_id = :run AND run_items.recipe_id = work.recipe_id
                )
                ORDER BY work.recipe_id
                FOR UPDATE
            ), queued AS (
                UPDATE work SET state = 'queued', attempt = 0, error = NULL, traceback = NULL
                FROM failed WHERE work.recipe_id = failed.recipe_id
                RETURNING work.recipe_id
            )
            UPDATE run_items SET open = true FROM queued WHERE run_items.recipe_id = queued.recipe_id
        """),
        {"run": run_id},
    )


def _close(session: Session, run_id: str, state: RunState, wall_s: float, error: str | None) -> Run:
    session.execute(
        text("""
            UPDATE runs
            SET state = :state, error = :error, finished_at = now(), wall_s = coalesce(wall_s, 0) + :wall
            WHERE id = :run AND (state = 'running' OR state = 'stopped' AND :state = 'cancelled')
        """),
        {"run": run_id, "state": state, "error": error, "wall": wall_s},
    )
    return _exactly(session, run_id)


def _exactly(session: Session, run_id: str) -> Run:
    row = session.execute(_RUNS.where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRunError(f"there is no run {run_id!r}")
    return _run(row)


def _run(row: Row[tuple[object, ...]]) -> Run:
    return Run(**row._mapping)
