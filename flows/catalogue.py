"""The Prefect flows that make a catalogue: plan, run, verify, publish; one task for each phase, none for an item.

The flows' parameters are small and plain, so that a deployment can schedule them; everything else comes from the
settings. What is to be made and what is made is in the database, so a flow can be killed at any time and its run
resumed by another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from db.assets import stream_assets, stream_files
from db.database import Database, Session
from db.errors import StorageError
from db.model_versions import register_version
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, fail_run, finish_run, get_run, new_run_id, resume_run, stop_run
from flows.driving import Driver
from flows.errors import InterruptedRunError, RunCancelledError, ServiceError, VerificationError
from flows.handover import handed_over
from flows.inputs import store_missing
from flows.model_choice import choose_version, registration, version_for
from flows.order import OrderOptions, load_order
from flows.patiently import opened, patiently
from flows.planning import plan_recipes
from flows.provenance.sealing import seal
from flows.recipe import ModelIdentity
from flows.services import Backend, Services
from flows.settings import load_settings
from flows.shelf import shelve
from flows.stopping import StopRequest, stop_on_signals
from flows.working import Job, work_off

_log = logging.getLogger(__name__)


@flow(name="generate-catalogue", persist_result=False)
async def generate_catalogue(
    order: str, run_id: str | None = None, options: dict[str, Any] | None = None, workers: int | None = None
) -> dict[str, int]:
    """Plan an order as a new run and make what is missing of it.

    Args:
        order: path of the order.
        run_id: of the run to be; a new one if not given, as on a schedule.
        options: those of `OrderOptions` that go before what the order says.
        workers: how many; from the settings if not given.

    Returns:
        Counts of the run: planned, done, failed.
    """
    services = Services(load_settings())
    run_id = run_id or new_run_id()
    with stop_on_signals() as stop, opened(services) as backend:
        model = await plan(services, backend, order, run_id, options or {}, stop)
        stop.run_id = run_id
        return await _make(services, backend, run_id, model, workers, stop)


@flow(name="resume-catalogue", persist_result=False)
async def resume_catalogue(run_id: str, workers: int | None = None) -> dict[str, int]:
    """Go on with a run: what was set aside is tried again, what was finished is kept."""
    services = Services(load_settings())
    with stop_on_signals(run_id) as stop, opened(services) as backend:
        model = await asyncio.to_thread(patiently, services, lambda: _resumed(backend, run_id), stop.check)
        return await _make(services, backend, run_id, model, workers, stop)


async def _make(
    services: Services, backend: Backend, run_id: str, model: str, workers: int | None, stop: StopRequest
) -> dict[str, int]:
    with Driver(backend.database, run_id, services.settings.lease_s) as driver:
        try:
            counts = await run(services, backend, run_id, model, workers, stop)
            await verify(services, backend, run_id)
            await publish(services, backend, run_id, driver)
        except (InterruptedRunError, RunCancelledError) as error:
            _shelve_finished(services, backend, run_id)
            if isinstance(error, InterruptedRunError):
                _note_end(driver, error, lambda session, spent_s: stop_run(session, run_id, driver.name, spent_s))
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"[:2000]
            _note_end(driver, error, lambda session, spent_s: fail_run(session, run_id, spent_s, why))
            raise
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
async def plan(
    services: Services, backend: Backend, order: str, run_id: str, options: dict[str, Any], stop: StopRequest
) -> str:
    """Write the run and its recipes; return the reference of the model version that makes them."""
    return await asyncio.to_thread(_plan, services, backend, order, run_id, options, stop)


@task(cache_policy=NO_CACHE, persist_result=False)
async def run(
    services: Services, backend: Backend, run_id: str, model: str, workers: int | None, stop: StopRequest
) -> dict[str, int]:
    """Have the workers make what is missing."""

    def work() -> dict[str, int]:
        version = choose_version(model, None, services.settings)
        job = Job(run_id, version, workers or services.settings.workers)
        ended = work_off(services, backend.database, job, stop)
        if ended.open:
            _explain_open_items(backend.database, run_id, ended.open)
        return {"planned": ended.total, "done": ended.done, "failed": ended.failed}

    return await asyncio.to_thread(work)


@task(cache_policy=NO_CACHE, persist_result=False)
async def verify(services: Services, backend: Backend, run_id: str) -> None:
    """See that the object of every file of the run's assets is in the store."""
    await asyncio.to_thread(patiently, services, lambda: _verify(backend, run_id))


@task(cache_policy=NO_CACHE, persist_result=False)
async def publish(services: Services, backend: Backend, run_id: str, driver: Driver) -> None:
    """Put the assets on the catalogue's shelf, close the run, and sign the ledger as it is then."""
    await asyncio.to_thread(patiently, services, lambda: _publish(services, backend, run_id, driver))


def _plan(
    services: Services, backend: Backend, path: str, run_id: str, options: dict[str, Any], stop: StopRequest
) -> str:
    order = handed_over().order or load_order(Path(path), OrderOptions(**options))
    version = version_for(order, services.settings)
    identity = ModelIdentity(version.name, version.digest, version.kind)
    record = {**order.record, "model": version.reference, "kind": version.kind}
    inputs = order.inputs.values()
    for file in inputs:  # objects before rows
        backend.objects.put(file.read())
    with backend.database.unit_of_work() as session:
        register_version(session, registration(version))

    def planned() -> Iterator[PlannedRecipe]:
        for recipe in plan_recipes(order, identity):
            stop.check()
            yield PlannedRecipe(
                recipe.id,
                version.kind,
                version.digest,
                recipe.prompt,
                recipe.seed,
                recipe.duration_s,
                recipe.body,
            )

    new = NewRun(run_id, order.catalogue, record, order.digest)
    plan_run(backend.database, new, planned(), lambda: store_missing(backend.objects, inputs))
    return version.reference


def _resumed(backend: Backend, run_id: str) -> str:
    with backend.database.unit_of_work() as session:
        return str(resume_run(session, run_id).order["model"])


def _explain_open_items(database: Database, run_id: str, number: int) -> NoReturn:
    with database.unit_of_work() as session:
        state = get_run(session, run_id).state
    if state in ("cancelled", "stopped"):
        raise RunCancelledError(f"run {run_id} was {state}, {number} items are left: tutti resume {run_id}")
    raise ServiceError(f"the workers ended with {number} items still to be made: tutti resume {run_id}")


def _verify(backend: Backend, run_id: str) -> None:
    with backend.database.unit_of_work() as session:
        for asset_id, file in stream_files(session, run_id):
            if not backend.objects.exists(file.digest):
                where = backend.objects.locate(file.digest)
                raise VerificationError(f"asset {asset_id[:12]} misses its {file.role}: there is no {where}")


def _publish(services: Services, backend: Backend, run_id: str, driver: Driver) -> None:
    _shelve(services, backend, run_id)
    driver.count(lambda session, spent_s: finish_run(session, run_id, spent_s))
    seal(services, backend)


def _shelve(services: Services, backend: Backend, run_id: str) -> None:
    """Put the run's assets on its catalogue's shelf."""
    if services.has_shelves:
        with backend.database.unit_of_work() as session:
            shelf = services.shelf(get_run(session, run_id).catalogue)
            shelve(shelf, stream_assets(session, run_id), backend.objects)


def _shelve_finished(services: Services, backend: Backend, run_id: str) -> None:
    """Put what a run that is stopped or cancelled has finished on the shelf, if that can be done now."""
    try:
        _shelve(services, backend, run_id)
    except (OSError, StorageError) as error:  # it is in the store all the same, and shelved when the run is resumed
        _log.warning("what was finished could not be put into the catalogue's folder: %s", error)


def _note_end(driver: Driver, error: Exception, close: Callable[[Session, float], object]) -> None:
    try:
        driver.count(close)
    except Exception as second:  # the first error is the one to tell
        error.add_note(f"and the end of the run could not be noted: {second}")
