"""Cron expressions, read without Prefect, so that a wrong one is refused before any service is started."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from flows.errors import FlowError


class CronError(FlowError):
    """A schedule is no cron expression."""


def check_cron(text: str) -> None:
    """See that `text` has cron's five fields, and that there are such times.

    A sixth field, which programs put in two places, is refused.

    Raises:
        CronError: it has not.
    """
    if len(text.split()) != 5:
        raise CronError(f"{text!r} is no cron expression of five fields: minute, hour, day, month, day of the week")
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError as error:
        raise CronError(f"{text!r} is no cron expression: {str(error).lower()}") from None
