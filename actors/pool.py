"""A pool of pull workers on Ray: the one place where a worker becomes a Ray actor.

Ray places the workers and gives each its share of a GPU; one whose process dies is started anew, unless it only dies
while it starts. What is made and what is left is known to the database only, so the pool holds nothing that could be
lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from actors.actor import WorkerActor, WorkerLife, WorkerSpec
from actors.cluster import THREAD_VARIABLES
from actors.deaths import cause_of_death
from actors.errors import ClusterError, WorkersFailedError
from actors.worker import WorkerReport

_DEATHS_WITHOUT_PROGRESS: Final = 6  # for each worker; three come of one item that kills its worker
_DEATHS_AT_START: Final = 3  # in a row, of one worker
_STOP_GRACE_S: Final = 20.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """How many workers, and what each of them takes of its machine.

    `told_threads` where the cluster's processes were started for so many threads already, as those of a local Ray
    are: then a worker can be one of the processes that Ray keeps ready. `logs` is the folder where those processes
    write, if it is on this machine.
    """

    workers: int
    threads: int
    gpus_per_worker: float
    told_threads: bool = False
    start_within_s: float = 180.0
    logs: Path | None = None


@dataclass(slots=True)
class _Member:
    actor: Any
    run: Any
    life_asked: Any
    life: WorkerLife | None = None
    ended: bool = False
    deaths_at_start: int = 0


@dataclass(slots=True)
class _Tally:
    reports: list[WorkerReport] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    deaths: int = 0
    last_cause: str = ""


class WorkerPool:
    """Workers from entering the block to leaving it or closing the pool; poll it with `wait`."""

    def __init__(self, spec: PoolSpec, worker: WorkerSpec) -> None:
        self._spec, self._worker = spec, worker
        self._members: list[_Member] = []
        self._tally = _Tally()
        self._dead_owners: list[str] = []
        self._last_progress = -1
        self._remote: Any = None

    def __enter__(self) -> WorkerPool:
        import ray

        environment = {} if self._spec.told_threads else dict.fromkeys(THREAD_VARIABLES, str(self._spec.threads))
        as_actor: Any = ray.remote  # its types leave out what only actors take
        self._remote = as_actor(
            num_cpus=self._spec.threads,
            num_gpus=self._spec.gpus_per_worker,
            max_restarts=0,  # Ray would not tell of deaths, nor ever give up
            max_concurrency=4,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment} if environment else None,
        )(WorkerActor)
        for _ in range(self._spec.workers):
            self._members.append(_Member(*self._started()))
        return self

    def _started(self) -> tuple[Any, Any, Any]:
        """Start a worker; return it, its run, and what will be its life."""
        actor = self._remote.remote(self._worker)
        return actor, actor.run.remote(), actor.life.remote()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ask the workers to stop, wait a while for what they finished, and end them; once is enough."""
        import ray

        running = [member for member in self._members if not member.ended and member.life is not None]
        for member in running:
            member.actor.stop.remote()
        if running:
            ray.wait([m.run for m in running], num_returns=len(running), timeout=_STOP_GRACE_S)
        for member in self._members:
            ray.kill(member.actor, no_restart=True)
        self._members.clear()

    def wait(self, timeout_s: float) -> bool:
        """Wait a while for workers to end; return whether all have."""
        import ray

        running = [member for member in self._members if not member.ended]
        ready, _ = ray.wait([m.run for m in running], num_returns=len(running), timeout=timeout_s)
        for member in running:
            self._look_at_life(member)
            if member.run in ready:
                self._collect(member)
        return all(member.ended for member in self._members)

    def see_to_progress(self, made_or_failed: int) -> None:
        """Take note of how far the run is.

        Raises:
            WorkersFailedError: the workers die again and again, and nothing comes of it.
        """
        if made_or_failed != self._last_progress:
            self._last_progress, self._tally.deaths = made_or_failed, 0
        elif self._tally.deaths >= _DEATHS_WITHOUT_PROGRESS * self._spec.workers:
            raise WorkersFailedError(
                f"workers died {self._tally.deaths} times without finishing anything; is there enough memory? "
                f"The last: {self._tally.last_cause}"
            )

    def see_to_start(self, waited_s: float) -> None:
        """See that a worker has started.

        Raises:
            ClusterError: none has, in the time that it may take.
        """
        if waited_s > self._spec.start_within_s and all(m.life is None and not m.ended for m in self._members):
            raise ClusterError(
                f"no worker started within {self._spec.start_within_s:.0f} s: the cluster has no room for one with "
                f"{self._spec.threads} processors and {self._spec.gpus_per_worker:g} GPUs"
            )

    def take_dead_owners(self) -> list[str]:
        """Return the owners whose process died since the last call: what they held can be queued again."""
        dead, self._dead_owners = self._dead_owners, []
        return dead

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that have answered so far."""
        return [member.life.pid for member in self._members if member.life is not None]

    @property
    def reports(self) -> Sequence[WorkerReport]:
        """What the workers that ended well have made."""
        return self._tally.reports

    @property
    def errors(self) -> Sequence[BaseException]:
        """Why workers ended that could not go on."""
        return self._tally.errors

    def _look_at_life(self, member: _Member) -> None:
        import ray
        from ray.exceptions import RayActorError

        if member.life is not None or not ray.wait([member.life_asked], timeout=0)[0]:
            return
        try:
            member.life = ray.get(member.life_asked)
        except RayActorError:
            return  # it died before it could answer; its run says so too
        member.deaths_at_start = 0

    def _collect(self, member: _Member) -> None:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        try:
            self._tally.reports.append(ray.get(member.run))
        except RayTaskError as error:
            self._tally.errors.append(error.cause if isinstance(error.cause, BaseException) else error)
        except RayActorError as error:
            self._start_anew(member, cause_of_death(str(error), self._spec.logs))
            return
        member.ended = True

    def _start_anew(self, member: _Member, cause: str) -> None:
        """Replace a worker whose process died; give it up if it died at its start some times in a row."""
        import ray

        ray.kill(member.actor, no_restart=True)  # Ray may only have lost sight of it
        self._tally.deaths += 1
        self._tally.last_cause = cause
        if member.life is None:
            member.deaths_at_start += 1
        else:
            self._dead_owners.append(member.life.owner)
        if member.deaths_at_start >= _DEATHS_AT_START:
            member.ended = True
            self._tally.errors.append(
                WorkersFailedError(f"a worker died {member.deaths_at_start} times while it started: {cause}")
            )
            return
        _log.warning("a worker died and is started anew: %s", cause)
        member.actor, member.run, member.life_asked = self._started()
        member.life = None
