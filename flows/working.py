"""Working off a run: workers on Ray, watched until nothing is left or somebody asks to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.actor import WorkerSpec
from actors.cluster import ClusterSpec, ray_cluster
from actors.factory import GeneratorFactory
from actors.pool import PoolSpec, WorkerPool
from actors.warming import warm_up
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
    check_signature(job.version, load_keys(services.settings).trusted_models)
    settings = services.settings
    workers = min(job.workers, left.open)
    pool_spec = PoolSpec(
        workers=workers,
        threads=settings.threads,
        gpus_per_worker=_gpus(settings.gpus_per_worker),
        told_threads=settings.ray_address is None,
    )
    cluster = nullcontext() if handed_over().ray_is_up else ray_cluster(_cluster_spec(services, workers))
    with cluster, WorkerPool(pool_spec, _worker_spec(services, job)) as pool:
        stop.listen_again()
        _watch(services, database, job, stop, pool)
        left = patiently(services, lambda: _look(database, job.run_id))
        if left.open and pool.errors:
            raise pool.errors[0]
    return left


@contextmanager
def ray_ahead(services: Services, version: ModelVersion, workers: int) -> Iterator[None]:
    """Give a Ray for the length of the block, whose processes load the model while other things start.

    For the main thread of a command that will certainly make something. Ray takes signals for itself; they are given
    back at once.

    Raises:
        ClusterError: Ray cannot be started.
    """
    settings = services.settings
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with ray_cluster(_cluster_spec(services, workers)):
        for number, handler in handlers.items():
            signal.signal(number, handler)
        warm_up(_factory(services, version), workers=workers, threads=settings.threads)
        yield


def _cluster_spec(services: Services, workers: int) -> ClusterSpec:
    settings = services.settings
    return ClusterSpec(address=settings.ray_address, cpus=workers * settings.threads, threads=settings.threads)


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


def _worker_spec(services: Services, job: Job) -> WorkerSpec:
    settings = services.settings
    return WorkerSpec(
        options=WorkerOptions(run_id=job.run_id, lease_s=settings.lease_s, patience_s=settings.patience_s),
        database_url=services.database_up(),
        objects=settings.objects_at,
        s3=services.s3_access(),
        factory=_factory(services, job.version),
        marking=marking_spec(settings),
    )


def _factory(services: Services, version: ModelVersion) -> GeneratorFactory:
    settings = services.settings
    return GeneratorFactory(
        loader=settings.generator,
        version=version,
        device=settings.device,
        dtype=settings.dtype,
        slots=settings.slots,
        threads=settings.threads,
    )


def _gpus(wanted: float | None) -> float:
    return 0.0 if wanted is None else wanted
