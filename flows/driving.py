"""Driving a run: as long as a process does, it says so in the database, with the time it has spent.

A process that is killed says nothing more, and after a lease everybody can see that nobody drives its run.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType

from actors.beating import Beating
from db.database import Database, Session
from db.errors import DatabaseError
from db.runs import drive_run, take_run

_log = logging.getLogger(__name__)


class Driver:
    """Says that a run is driven, three times a lease from a thread, from entering to leaving its block.

    Args:
        database: where the run is.
        run_id: a run that is planned.
        lease_s: how long each time is good for.

    Whoever enters last has the run: only they can stop it.
    """

    def __init__(self, database: Database, run_id: str, lease_s: float) -> None:
        self._database, self._run_id, self._lease_s = database, run_id, lease_s
        self.name = secrets.token_hex(6)
        self._taken = False
        self._counted_to = time.monotonic()
        self._lock = threading.Lock()
        self._beating = Beating("driver", lease_s / 3, lambda: self._say(lease_s))

    def __enter__(self) -> Driver:
        self._say(self._lease_s)
        self._beating.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beating.__exit__(kind, error, trace)
        self._say(0.0)

    def count(self, write: Callable[[Session, float], object]) -> None:
        """Call `write` in a unit of work with the seconds spent that were not counted yet; then they are.

        Raises:
            StorageError: the database cannot be asked; nothing is counted.
        """
        with self._lock:
            now = time.monotonic()
            with self._database.unit_of_work() as session:
                write(session, now - self._counted_to)
            self._counted_to = now

    def _say(self, lease_s: float) -> None:
        def write(session: Session, spent_s: float) -> None:
            if not self._taken:
                take_run(session, self._run_id, self.name, lease_s)
            drive_run(session, self._run_id, self.name, spent_s, lease_s)

        try:
            self.count(write)
        except DatabaseError as error:
            _log.warning("run %s could not be said to be driven: %s", self._run_id, error)
        else:
            self._taken = True
