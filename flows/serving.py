"""What runs by the clock: the flows' deployments, served by this process.

Playlists are looked after every hour, for somewhere it is night; the audit comes once, before them. A run is skipped
while one of its flow is under way: the next does what is due all the same.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.types.entrypoint import EntrypointType

from db.errors import StorageError
from flows.cron import CronError
from flows.errors import InterruptedRunError, ServiceError
from flows.nightly_audit import nightly_audit
from flows.playlists.nightly import nightly_playlists
from flows.services import Services
from flows.stopping import SIGNALS

_log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 15.0
_ONE_AT_A_TIME: Final = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When: cron expressions, in UTC."""

    playlists: str
    audit: str


def deployments(schedule: Schedule) -> list[RunnerDeployment]:
    """Return the deployments; one run of each at a time.

    Raises:
        CronError: an expression cannot be read.
    """
    return [_deployment(nightly_playlists, schedule.playlists), _deployment(nightly_audit, schedule.audit)]


def _deployment(flow: Any, cron: str) -> RunnerDeployment:
    try:
        made: RunnerDeployment = flow.to_deployment(
            name="nightly",
            cron=cron,
            tags=["tutti"],
            concurrency_limit=_ONE_AT_A_TIME,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except ValueError as error:
        raise CronError(f"{cron!r} is no cron expression") from error
    return made


def serve_all(services: Services, schedule: Schedule) -> None:
    """Serve them until somebody stops this process, and bring up again what of ours goes away meanwhile.

    Raises:
        CronError: an expression cannot be read.
        InterruptedRunError: a signal asked to stop; the runs under way were asked to as well, and have ended.
    """
    asyncio.run(_serve(services, deployments(schedule)))


async def _serve(services: Services, served: list[RunnerDeployment]) -> None:
    runner = Runner(pause_on_shutdown=False)
    for each in served:
        await runner.aadd_deployment(each)
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()
    serving, seeing = asyncio.create_task(runner.start()), asyncio.create_task(_see_to(services))
    await asyncio.sleep(0)  # the runner takes a signal for itself as it starts, and would leave its runs behind
    for number in SIGNALS:
        loop.add_signal_handler(number, _ask, asked, number)
    either: set[asyncio.Future[Any]] = {serving, asked}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    seeing.cancel()
    if asked.done():
        if runner.started:
            await runner.astop()
        else:
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        raise InterruptedRunError(asked.result(), None)
    await serving  # it ended by itself: tell why


def _ask(asked: asyncio.Future[int], number: int) -> None:
    if not asked.done():
        asked.set_result(number)


async def _see_to(services: Services) -> None:
    """See that the database and the Prefect server are there, of which the clock depends."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await asyncio.to_thread(services.prefect_up)
        except (StorageError, ServiceError) as error:
            _log.warning("the Prefect server is away: %s", error)
