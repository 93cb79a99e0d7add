"""The pull worker: takes recipes from the database, makes them, commits them. A plain class, bare of Ray.

It claims recipes when its generator has free slots (more than those if they go quickly, see `actors.pace`), renews
its leases from a thread, and hands finished drafts to a finishing line that runs beside the generator. An item that
fails is set aside with its traceback and the others go on. Items that were being made when a worker died are made
alone, so that one that kills its worker is found out after three attempts and takes nothing else with it.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from actors.errors import BrokenGeneratorError
from actors.finishing import FinishingLine, Stores
from actors.heartbeat import Heartbeat
from actors.identity import has_id, recipe_id
from actors.marking.marker import Marker
from actors.pace import Pace
from actors.patience import Patience
from db.database import Database
from db.errors import CorruptObjectError, DatabaseError, MissingObjectError, ObjectStoreError, UnknownRunError
from db.objects import ObjectStore
from db.runs import get_run
from db.work import Claim, claim, give_back, progress, release_expired, release_owner
from models.generator import GenerationError, Generator, Outcome, inputs_of
from models.personal import with_personal

_log = logging.getLogger(__name__)
_PLAN_POLL_S = 0.1
_MAX_BREAKDOWNS = 10  # in a row, with nothing finished in between


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker works on, and how patiently; `awaits_plan` if the run may still be to be planned."""

    run_id: str
    awaits_plan: bool = False
    lease_s: float = 15.0
    patience_s: float = 120.0
    poll_s: float = 0.5


def new_owner() -> str:
    """Return a name to claim as, which no other life of any worker has: host/pid/random."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What one life of a worker came to."""

    owner: str
    made: int
    failed: int


class PullWorker:
    """Works off one run with one generator, until nothing of it is left or it is told to stop.

    Args:
        options: the run, and how patiently.
        database: a connected database; the worker does not close it.
        objects: where the files go.
        factory: makes the generator; called again only if the generator breaks down.
        owner: as whom it claims; unique to this life of this worker.
        marker: marks and signs what is made.
    """

    def __init__(
        self,
        options: WorkerOptions,
        database: Database,
        objects: ObjectStore,
        factory: Callable[[], Generator],
        owner: str,
        marker: Marker | None = None,
    ) -> None:
        self._options, self._database, self._objects, self._factory = options, database, objects, factory
        self.owner, self._marker = owner, marker
        self._stop = threading.Event()
        self._patience = Patience(options.patience_s, given_up=self._stop.is_set)
        self._generator: Generator  # there once the worker runs
        self._changed = threading.Condition()
        self._waiting: deque[Claim] = deque()  # claimed, and no slot was free yet
        self._admitted: dict[str, Claim] = {}
        self._held: set[str] = set()  # guarded by _changed: whatever is claimed and not yet committed
        self._pace = Pace(slots=1)  # of the generator, once it is there; guarded by _changed
        self._alone = False
        self._breakdowns = 0
        self._ask_again_at = 0.0

    def stop(self) -> None:
        """Ask the worker to stop: what is drafted is finished and committed, the rest is given back."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def run(self) -> WorkerReport:
        """Load the generator, and work until the run is over.

        Raises:
            UnknownRunError: there is no such run, and none is awaited.
            BrokenGeneratorError: the generator fails whatever it is given.
            StorageError: the database or the object store was away for longer than the patience.
        """
        self._generator = self._factory()
        if self._options.awaits_plan:
            self._await_plan()
        self._pace = Pace(self._generator.slots)
        stores = Stores(self._database, self._objects, self._patience)
        line = FinishingLine(stores, self.owner, self._committed, self._marker)
        options = self._options
        with Heartbeat(self._database, options.run_id, self.owner, options.lease_s, self.stop):
            try:
                self._work(line)
            finally:
                line.close()
                self._give_back()
        if line.broken is not None:
            raise line.broken
        return WorkerReport(self.owner, line.made, line.failed)

    def _await_plan(self) -> None:
        """Wait until the run is there; it comes with all of its work at once."""

        def planned() -> bool:
            with self._database.unit_of_work() as session:
                try:
                    get_run(session, self._options.run_id)
                except UnknownRunError:
                    return False
            return True

        while not self._stop.is_set() and not self._patience.call(planned):
            self._stop.wait(_PLAN_POLL_S)

    def _work(self, line: FinishingLine) -> None:
        while not self._stop.is_set() and line.broken is None:
            claimed = self._claim()
            self._waiting.extend(claimed)
            while self._waiting and len(self._admitted) < self._generator.slots:
                self._admit(line, self._waiting.popleft())
            if self._admitted:
                self._advance(line)
            elif self._held:
                self._wait_for_commits()
            elif not claimed and self._over():
                return

    def _claim(self) -> list[Claim]:
        if self._alone and self._held:
            return []
        self._alone = False
        free = self._generator.slots - len(self._admitted) - len(self._waiting)
        if free <= 0:
            return []
        with self._changed:
            room = min(self._pace.claims_at_once(free), self._pace.holds_at_most() - len(self._held))
        if room <= 0 or (self._held and time.monotonic() < self._ask_again_at):
            return []
        claims = self._ask(room, solo=False)
        if not claims and not self._held:
            claims = self._ask(1, solo=True)
            self._alone = any(each.solo for each in claims)
        if len(claims) < room:  # the queue has run dry: do not ask at every step
            self._ask_again_at = time.monotonic() + self._options.poll_s
        with self._changed:
            self._held.update(each.recipe_id for each in claims)
        return claims

    def _ask(self, limit: int, *, solo: bool) -> list[Claim]:
        """Claim, asking again while the database is away.

        An answer that never came may have been that of a claim which was committed. Nobody would make what it took,
        and the heartbeat would keep it for ever: so it is given back before the next is asked for.
        """
        options, tries = self._options, itertools.count()
        with self._changed:
            held = set(self._held)

        def ask() -> list[Claim]:
            with self._database.unit_of_work() as session:
                if next(tries):
                    give_back(session, self.owner, but=held)
                return claim(session, options.run_id, self.owner, limit, options.lease_s, solo=solo)

        return self._patience.call(ask)

    def _admit(self, line: FinishingLine, each: Claim) -> None:
        """Give the generator an item; one that it cannot take is set aside.

        Raises:
            ObjectStoreError: what the item is made from cannot be got, and the item is not to blame.
        """
        try:
            _check_content(each)
            self._generator.admit(each.recipe_id, with_personal(each.body, each.personal), self._inputs(each))
        except Exception as error:
            if isinstance(error, ObjectStoreError) and not isinstance(error, MissingObjectError | CorruptObjectError):
                raise
            line.fail(each, error)
        else:
            self._admitted[each.recipe_id] = each

    def _inputs(self, each: Claim) -> dict[str, bytes]:
        """Return the bytes of the files that a recipe names, by role."""
        found = inputs_of(each.body).items()
        return {role: self._patience.call(partial(self._objects.get, digest)) for role, digest in found}

    def _advance(self, line: FinishingLine) -> None:
        """Advance the generator and pass on what finished; if it broke down, another takes its place."""
        try:
            outcomes = self._generator.advance()
        except Exception as error:
            self._get_over(error, line)
        else:
            self._pass_on(outcomes, line)
            return
        del self._generator  # nor does the error hold it here: its weights and cache go before those of the next come
        self._generator = self._factory()

    def _pass_on(self, outcomes: Iterable[Outcome], line: FinishingLine) -> None:
        for outcome in outcomes:
            each = self._admitted.pop(outcome.key, None)
            if each is None:
                raise BrokenGeneratorError(f"the generator finished {outcome.key!r}, which it was not given")
            if isinstance(outcome.result, GenerationError):
                line.fail(each, outcome.result)
            else:
                line.draft(self._generator, each, outcome.result)
            self._breakdowns = 0

    def _get_over(self, error: Exception, line: FinishingLine) -> None:
        """Deal with the items of a generator that broke down: the only one is at fault, or each is tried alone."""
        trace = "".join(traceback.format_exception(error))  # in words: the error itself would hold the generator
        _log.warning("generator of %s broke down\n%s", self.owner, trace)
        self._breakdowns += 1
        if self._breakdowns >= _MAX_BREAKDOWNS:
            raise BrokenGeneratorError(f"the generator broke down {self._breakdowns} times in a row") from error
        suspects, self._admitted = self._admitted, {}
        if len(suspects) == 1:
            line.fail(next(iter(suspects.values())), error)
        else:
            self._return_waiting()
            self._wait_until_held(set(suspects), line)
            self._patience.call(self._release)
            self._let_go(suspects)

    def _return_waiting(self) -> None:
        """Queue again what was claimed and not begun, as if never claimed."""
        ids = [each.recipe_id for each in self._waiting]
        self._waiting.clear()
        if ids:
            self._patience.call(lambda: self._give_back_only(ids))
            self._let_go(ids)

    def _give_back_only(self, ids: list[str]) -> None:
        with self._database.unit_of_work() as session:
            give_back(session, self.owner, ids)

    def _release(self) -> None:
        with self._database.unit_of_work() as session:
            release_owner(session, self.owner)

    def _over(self) -> bool:
        """Say whether the run is over; wait a little if others still work on it."""

        def look() -> bool:
            with self._database.unit_of_work() as session:
                release_expired(session)
                if get_run(session, self._options.run_id).state != "running":
                    return True
                return progress(session, self._options.run_id).open == 0

        if self._patience.call(look):
            return True
        self._stop.wait(self._options.poll_s)
        return False

    def _committed(self, ids: Collection[str]) -> None:
        with self._changed:
            self._pace.finished(len(ids))
        self._let_go(ids)

    def _let_go(self, ids: Iterable[str]) -> None:
        with self._changed:
            self._held.difference_update(ids)
            self._changed.notify_all()

    def _wait_for_commits(self) -> None:
        with self._changed:
            before = len(self._held)
            self._changed.wait_for(
                lambda: len(self._held) < before or self._stop.is_set(), timeout=self._options.poll_s
            )

    def _wait_until_held(self, only: set[str], line: FinishingLine) -> None:
        while line.broken is None:
            with self._changed:
                if self._changed.wait_for(lambda: self._held <= only, timeout=self._options.poll_s):
                    return

    def _give_back(self) -> None:
        """Queue again what is still held; if the database is away, the leases will run out instead."""
        try:
            with self._database.unit_of_work() as session:
                give_back(session, self.owner)
        except DatabaseError as error:
            _log.warning("%s could not give back its work: %s", self.owner, error)


def _check_content(each: Claim) -> None:
    if not has_id(each.body, each.recipe_id):
        found = recipe_id(each.body)
        raise GenerationError(f"the recipe kept as {each.recipe_id} has the content of {found}")
