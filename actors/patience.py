"""Patience with services that are away for a while: a database that restarts, a store that is being moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from db.errors import (
    DatabaseConflictError,
    DatabaseUnavailableError,
    DatabaseUrlError,
    ObjectStoreUnavailableError,
)

T = TypeVar("T")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0
_PASSING = (DatabaseUnavailableError, DatabaseConflictError, ObjectStoreUnavailableError)


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats what may be repeated for up to `limit_s` seconds after a service was first found away.

    `given_up` says that there is no point in waiting any longer: somebody asked to stop.
    """

    limit_s: float
    given_up: Callable[[], bool] = lambda: False

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, trying again while a service is away.

        Raises:
            StorageError: the service was still away at the end, or the error is not one that passes.
        """
        until: float | None = None
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return work()
            except DatabaseUrlError:
                raise
            except _PASSING:
                now = time.monotonic()
                until = now + self.limit_s if until is None else until
                if self.given_up() or now + wait_s > until:
                    raise
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
