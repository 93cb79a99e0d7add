"""The Prefect flow of every night: place what is new, make pieces for listeners, then everybody's playlist.

It is scheduled every hour: each time it does the nights that have become due by somebody's clock, and those that were
missed. What is done is in the database, so it can be killed at any time and called again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import date as Date
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from actors.errors import ActorError
from db.errors import DatabaseUnavailableError, StorageError
from flows.catalogue import resume_catalogue
from flows.errors import FlowError, InterruptedRunError
from flows.patiently import opened, patiently
from flows.playlists.fresh import Budget
from flows.playlists.night import Done, NightWork
from flows.playlists.nights import Night
from flows.playlists.notifying import notify
from flows.playlists.placing import Placed
from flows.provenance.sealing import seal
from flows.services import Services
from flows.settings import load_settings

_log = logging.getLogger(__name__)


def _tell_of_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell that a whole night failed or crashed; Prefect calls this."""
    message = {"flow": flow.name, "flow_run": str(flow_run.id), "state": state.name, "message": state.message}
    notify(load_settings(), message)


@flow(
    name="nightly-playlists",
    persist_result=False,
    on_failure=[_tell_of_failure],
    on_crashed=[_tell_of_failure],
)
async def nightly_playlists(
    date: str | None = None,
    listeners: list[str] | None = None,
    budget_s: float | None = None,
    catch_up: int = 2,
    workers: int | None = None,
    licences: list[str] | None = None,
) -> dict[str, Any]:
    """Make the playlists that are due and not made yet.

    Args:
        date: this date (2026-05-01), for whom it is due; else every listener's newest, and those that were missed.
        listeners: only of these.
        budget_s: seconds of new audio for each date; from the settings if not given, 0 for none.
        catch_up: how many missed nights before the newest are made up for, without new audio.
        workers: how many make new audio; from the settings if not given.
        licences: only of pieces under one of these; from the settings if not given.

    Returns:
        What was done: nights with their playlists and whose could not be made, pieces made, what could not be placed.
    """
    services = Services(load_settings())
    only = None if date is None else Date.fromisoformat(date)
    seconds = services.settings.night_budget_s if budget_s is None else budget_s
    with opened(services) as backend:
        allowed = services.settings.night_licences if licences is None else tuple(licences)
        work = NightWork(services, backend, licences=allowed)
        placed = await place(work)
        nights, strange = await asyncio.to_thread(work.due, only, listeners, catch_up)
        told: dict[str, Any] = {"nights": [], "failed": dict(strange), "unplaced": dict(placed.failed), "pieces": 0}
        told["errors"] = []
        for night in nights:
            if night.is_present:
                made, errors = await _make_pieces(work, night, Budget(budget_s=seconds), listeners, workers)
                told["pieces"] += made
                told["errors"] += errors
                placed = await place(work) if made else placed
            done = await write(work, night)
            told["nights"].append(done.as_json())
            told["failed"] |= done.failed
        if nights:
            told["pruned"] = await asyncio.to_thread(work.prune)
            await asyncio.to_thread(patiently, services, lambda: seal(services, backend))
    if nights or strange:
        told["notified"] = notify(services.settings, {"flow": "nightly-playlists", "state": "Completed", **told})
    return told


async def _make_pieces(
    work: NightWork, night: Night, budget: Budget, names: Sequence[str] | None, workers: int | None
) -> tuple[int, Sequence[str]]:
    """Make what is to be made for listeners; what goes wrong with it takes nobody's playlist away."""
    made, errors = 0, []
    licence = work.version.card.get("licence")
    if budget.budget_s and work.licences is not None and licence not in work.licences:
        return 0, [f"no pieces are made for listeners: {work.version.name} is under {licence or 'no known licence'}"]
    try:
        for run_id in await ask(work, night, budget, names):
            counts = await resume_catalogue(run_id, workers)
            made += counts["done"]
            if counts["failed"]:
                errors.append(f"{counts['failed']} pieces of run {run_id} were set aside: tutti runs {run_id}")
    except (InterruptedRunError, DatabaseUnavailableError):
        raise
    except (FlowError, ActorError, StorageError, ValueError) as error:
        _log.warning("pieces for listeners could not be made", exc_info=error)
        errors.append(f"no pieces were made for listeners: {error}")
    return made, errors


@task(cache_policy=NO_CACHE, persist_result=False)
async def place(work: NightWork) -> Placed:
    """Give every new asset its place in the joint space."""
    return await asyncio.to_thread(work.place)


@task(cache_policy=NO_CACHE, persist_result=False)
async def ask(work: NightWork, night: Night, budget: Budget, names: Sequence[str] | None) -> list[str]:
    """Decide which pieces are made for whom; return the runs to be made."""
    return await asyncio.to_thread(work.ask, night, budget, names)


@task(cache_policy=NO_CACHE, persist_result=False)
async def write(work: NightWork, night: Night) -> Done:
    """Make and keep a night's playlists."""
    return await asyncio.to_thread(work.write, night)
