"""What Ray runs: a pull worker that connects for itself, and answers while it works."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from actors.marking.marker import Marker, MarkingSpec
from actors.patience import Patience
from actors.worker import PullWorker, WorkerOptions, WorkerReport, new_owner
from db.database import connect
from db.objects import S3Access, open_objects
from models.generator import Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """All a worker needs, ready to travel to another process."""

    options: WorkerOptions
    database_url: str
    objects: str
    s3: S3Access | None
    factory: Callable[[], Generator]
    marking: MarkingSpec | None = None


@dataclass(frozen=True, slots=True)
class WorkerLife:
    """Which life of an actor is working: another pid after a restart, another owner in the database."""

    pid: int
    owner: str


class WorkerActor:
    """One pull worker in a process of its own. `run` blocks; `life` and `stop` are answered beside it."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._owner = new_owner()
        self._worker: PullWorker | None = None
        self._stopped = threading.Event()

    def run(self) -> WorkerReport:
        """Connect and work until the run is over; see `PullWorker.run`."""
        spec = self._spec
        patience = Patience(spec.options.patience_s, given_up=self._stopped.is_set)
        database = patience.call(lambda: connect(spec.database_url))
        try:
            objects = open_objects(spec.objects, spec.s3)
            marker = Marker(spec.marking) if spec.marking is not None else None
            self._worker = PullWorker(spec.options, database, objects, spec.factory, self._owner, marker)
            if self._stopped.is_set():  # asked while it connected
                self._worker.stop()
            return self._worker.run()
        finally:
            database.close()

    def life(self) -> WorkerLife:
        """Say which process this is, and as whom it claims."""
        return WorkerLife(os.getpid(), self._owner)

    def stop(self) -> None:
        """Ask the worker to stop soon."""
        self._stopped.set()
        if self._worker is not None:
            self._worker.stop()
