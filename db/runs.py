"""Runs: one order worked off into one catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db.database import Session
from db.json_values import Json

RunState = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be planned. `id` is `new_run_id()`; `order` is the order as validated."""

    id: str
    catalogue: str
    order: Mapping[str, Json]
    order_digest: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as recorded. `running` also means interrupted: nobody may be working on it."""

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


def new_run_id() -> str:
    """Return a fresh run id: 12 hex digits."""
    raise NotImplementedError


def get_run(session: Session, id_or_prefix: str) -> Run:
    """Return the run with this id, or the only one whose id begins so (at least 4 characters).

    Raises:
        UnknownRunError: there is none, or more than one.
    """
    raise NotImplementedError


def list_runs(session: Session, limit: int = 50) -> list[Run]:
    """Return the newest runs, newest first."""
    raise NotImplementedError


def finish_run(session: Session, run_id: str, wall_s: float) -> Run:
    """Mark a running run as done, adding `wall_s` to the time it has taken; others stay as they are.

    Raises:
        UnknownRunError: no run has this id.
    """
    raise NotImplementedError


def fail_run(session: Session, run_id: str, wall_s: float, error: str) -> Run:
    """Mark a running run as failed as a whole (no generator, no store ...); it can be resumed.

    Raises:
        UnknownRunError: no run has this id.
    """
    raise NotImplementedError


def cancel_run(session: Session, run_id: str) -> Run:
    """Stop handing out this run's items; a done run stays done.

    Items that another running run wants as well are still made there.

    Raises:
        UnknownRunError: no run has this id.
    """
    raise NotImplementedError


def resume_run(session: Session, run_id: str) -> Run:
    """Set a run to running again and queue what had been set aside, with its attempts forgotten.

    Raises:
        UnknownRunError: no run has this id.
    """
    raise NotImplementedError
