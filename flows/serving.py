"""What runs by the clock: the flows' deployments, served by this process.

Playlists are looked after every hour, for somewhere it is night; the audit comes once, before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.errors import FlowError
from flows.nightly_audit import nightly_audit
from flows.playlists.nightly import nightly_playlists


class CronError(FlowError):
    """A schedule is no cron expression."""


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
            concurrency_limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except ValueError as error:
        raise CronError(f"{cron!r} is no cron expression; every hour is '7 * * * *'") from error
    return made


def serve_all(schedule: Schedule) -> None:
    """Serve them until somebody stops this process; missed runs of the same flow are not made up one by one."""
    serve(*deployments(schedule), pause_on_shutdown=False, print_starting_message=False)
