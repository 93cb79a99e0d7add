"""Working off a run: workers on Ray, watched until nothing is left or somebody asks to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.actor import WorkerSpec
from actors.cluster import ClusterSpec, ray_cluster
from actors.factory import GeneratorFactory
from actors.pool import PoolSpec, WorkerPool
from actors.worker import WorkerOptions
from db.database import Database
from db.work import Progress, progress, release_owner
from flows.handover import handed_over
from flows.keys import load_keys, marking_spec
from flows.patiently import patiently
from flows.services import Services
from flows.stopping import SIGNALS, StopRequest
from models.signing import check_signature

if TYPE_CHECKING:
    from models.weights import ModelVersion

_LOOK_EVERY_S, _LOOK_AT_LEAST_EVERY_S = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Job:
    """A planned run to be worked off. `workers` is how many, from the command or the settings."""

    run_id: str
    version: ModelVersion
    workers: int


def work_off(services: Services, database: Database, job: Job, stop: StopRequest) -> Progress:
    """Make what a run still needs; return how it stands then.

    Neither Ray nor the model is touched if nothing is to be made.

    Raises:
        InterruptedRunError: somebody asked to stop; what was finished is kept.
        CorruptModelError: the model's files are not those that were signed.
        ServiceError: the workers ended before the run did.
        ActorError: Ray or all workers cannot be started, or they die again and again.
        StorageError: the database or the store stayed away for longer than the patience.
    """
    left = patiently(services, lambda: _look(database, job.run_id))
    if not left.open:
        return left
    ahead = handed_over().workers
    fitting = replace(job, workers=min(job.workers, left.open))
    with closing(ahead) if ahead else _workers(services, fitting) as pool:
        stop.listen_again()
        _watch(services, database, job, stop, pool)
        left = patiently(services, lambda: _look(database, job.run_id))
        if left.open and pool.errors:
            raise pool.errors[0]
    return left


@contextmanager
def workers_ahead(services: Services, job: Job) -> Iterator[WorkerPool]:
    """Give workers that load the model while other things start, and begin as soon as the run is planned.

    For the main thread of a command that will certainly make something. Ray takes signals for itself; they are given
    back at once.

    Raises:
        CorruptModelError: the model's files are not those that were signed.
        ClusterError: Ray cannot be started.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with _workers(services, job, awaits_plan=True) as pool:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield pool


@contextmanager
def _workers(services: Services, job: Job, *, awaits_plan: bool = False) -> Iterator[WorkerPool]:
    """Start a job's workers, and Ray below them, for the length of the block; the model is looked at first."""
    settings = services.settings
    check_signature(job.version, load_keys(settings).trusted_models)
    cluster = ClusterSpec(address=settings.ray_address, cpus=job.workers * settings.threads, threads=settings.threads)
    pool = PoolSpec(
        workers=job.workers,
        threads=settings.threads,
        gpus_per_worker=settings.gpus_per_worker or 0.0,
        told_threads=settings.ray_address is None,
    )
    with (
        ray_cluster(cluster) as logs,
        WorkerPool(replace(pool, logs=logs), _worker_spec(services, job, awaits_plan)) as workers,
    ):
        yield workers


def _watch(services: Services, database: Database, job: Job, stop: StopRequest, pool: WorkerPool) -> None:
    began = time.monotonic()
    pause_s = _LOOK_EVERY_S
    while not pool.wait(pause_s):
        pool.see_to_start(time.monotonic() - began)
        dead = pool.take_dead_owners()

        def look(dead: list[str] = dead) -> Progress:
            with database.unit_of_work() as session:
                for owner in dead:
                    release_owner(session, owner)
                return progress(session, job.run_id)

        asked = time.monotonic()
        now = patiently(services, look, stop.check)
        counting_s = time.monotonic() - asked  # of a large run; a database may have been away as well
        pause_s = min(max(_LOOK_EVERY_S, 5 * counting_s), _LOOK_AT_LEAST_EVERY_S)
        pool.see_to_progress(now.done + now.failed)


def _look(database: Database, run_id: str) -> Progress:
    with database.unit_of_work() as session:
        return progress(session, run_id)


def _worker_spec(services: Services, job: Job, awaits_plan: bool) -> WorkerSpec:
    settings = services.settings
    return WorkerSpec(
        options=WorkerOptions(
            run_id=job.run_id, awaits_plan=awaits_plan, lease_s=settings.lease_s, patience_s=settings.patience_s
        ),
        database_url=services.database_up(),
        objects=settings.objects_at,
        s3=services.s3_access(),
        factory=GeneratorFactory(
            loader=settings.generator,
            version=job.version,
            device=settings.device,
            dtype=settings.dtype,
            slots=settings.slots,
            threads=settings.threads,
        ),
        marking=marking_spec(settings),
    )
