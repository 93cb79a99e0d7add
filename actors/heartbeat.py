"""The heartbeat of a worker: renews the leases of what it holds, and learns that its run was stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable

from actors.beating import Beating
from db.database import Database
from db.errors import DatabaseError
from db.runs import get_run
from db.work import heartbeat

_log = logging.getLogger(__name__)


class Heartbeat(Beating):
    """A thread that beats three times a lease, from entering to leaving its block.

    A beat that fails is not repeated at once: the next comes before the lease is over, and a worker whose leases
    do run out only loses the work at hand, because every commit is fenced.
    """

    def __init__(
        self, database: Database, run_id: str, owner: str, lease_s: float, on_stopped: Callable[[], None]
    ) -> None:
        self._database, self._run_id, self._owner, self._lease_s = database, run_id, owner, lease_s
        self._on_stopped = on_stopped
        super().__init__("heartbeat", lease_s / 3, self._renew)

    def _renew(self) -> None:
        try:
            with self._database.unit_of_work() as session:
                heartbeat(session, self._owner, self._lease_s)
                running = get_run(session, self._run_id).state == "running"
        except DatabaseError as error:
            _log.warning("heartbeat of %s missed: %s", self._owner, error)
            return
        if not running:
            self._on_stopped()
