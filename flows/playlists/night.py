"""One night's work, step by step, each of which can be repeated: what is done already is left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from db.content_vectors import index_vectors
from db.database import Session
from db.errors import UnknownRunError
from db.listeners import list_listeners
from db.model_versions import register_version
from db.playlists import (
    NewPlaylist,
    PieceFor,
    clock,
    failures_of,
    have_playlists,
    note_failures,
    pieces_of,
    prune_playlists,
    record_playlists,
)
from db.runs import get_run
from flows.model_choice import registration
from flows.patiently import patiently
from flows.playlists.fresh import Budget, ask_for_pieces, plan_pieces
from flows.playlists.lists import Failed, Lists, Moment, lists_of
from flows.playlists.nights import Night, dates_around, nights_due
from flows.playlists.placing import Placed, place_assets, taste_version, versions_alike
from flows.services import Backend, Services
from models.taste.choosing import Rules

if TYPE_CHECKING:
    from models.musiclm.joint_space import JointSpace
    from models.taste.space import Vectors

T = TypeVar("T")
MOST_TRIES: Final = 3  # by the clock, of a playlist that cannot be made
_COMMITTED_AT_ONCE: Final = 512


@dataclass(slots=True)
class Done:
    """What a night came to."""

    date: date
    due_at: datetime
    playlists: int = 0
    empty: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "date": str(self.date),
            "due_at": self.due_at.isoformat(),
            "playlists": self.playlists,
            "empty": self.empty,
            "failed": self.failed,
        }


class NightWork:
    """The steps. Each waits for a database that is away, as long as the patience lasts."""

    def __init__(
        self,
        services: Services,
        backend: Backend,
        rules: Rules | None = None,
        licences: tuple[str, ...] | None = None,
    ) -> None:
        """Take the parts; nothing heavy is loaded before it is needed.

        Args:
            services: with the settings.
            backend: where the rows and objects are.
            rules: how lists are made.
            licences: those that pieces of lists may be under; any if not given.

        Raises:
            UnknownModelError: there is no MusicLM to tell tastes by.
        """
        self.services, self.backend, self.rules = services, backend, rules or Rules()
        self.licences = licences
        self.version = taste_version(services.settings)

    @cached_property
    def space(self) -> JointSpace:
        """The joint space of the model."""
        from models.musiclm.joint_space import JointSpace

        return JointSpace(self.version)

    def due(
        self, only: date | None, names: Sequence[str] | None, catch_up: int
    ) -> tuple[list[Night], Mapping[str, str]]:
        """Return the nights to be done; see `nights_due`.

        What could not be made some times is not due by the clock any more, only to who asks for a date or a name.

        Raises:
            UnknownListenerError: nobody has one of these names.
        """

        def look() -> tuple[list[Night], Mapping[str, str]]:
            now = datetime.now(UTC)
            with self.backend.database.unit_of_work() as session:
                register_version(session, registration(self.version))
                people = [each for each in list_listeners(session, names) if each.consented_at is not None]
                dates = dates_around(now, catch_up, only)
                have = have_playlists(session, dates)
                tries = {key: failure.tries for key, failure in failures_of(session, dates).items()}
            given_up = {key for key, count in tries.items() if count >= MOST_TRIES and not (only or names)}
            hour = self.services.settings.night_hour
            nights, strange = nights_due(people, have | given_up, now=now, hour=hour, catch_up=catch_up, only=only)
            on = only or now.date()
            strange = {name: why for name, why in strange.items() if (name, on) not in given_up}
            with self.backend.database.unit_of_work() as session:
                return nights, _noted(session, on, strange)

        return self._patiently(look)

    def place(self) -> Placed:
        """Place every asset that is new."""

        def alike() -> list[str]:
            return versions_alike(self.version, self.services.settings)

        placed = self._patiently(lambda: place_assets(self.backend, self.space, alike))
        self._patiently(self._index)
        return placed

    def _index(self) -> None:
        with self.backend.database.unit_of_work() as session:
            index_vectors(session, self.version.digest)

    def lists(self, night: Night) -> Lists:
        """Return what makes the lists of a night, from the rows of now."""

        def read() -> Lists:
            with self.backend.database.unit_of_work() as session:
                as_of = clock(session)
            return self.lists_of(
                Moment(
                    date=night.date,
                    heard_before=night.due_at,
                    as_of=as_of,
                    model=self.version,
                    licences=self.licences,
                )
            )

        return self._patiently(read)

    def lists_of(self, moment: Moment) -> Lists:
        """Return what makes the lists of any moment."""
        threads = self.services.settings.workers
        return lists_of(self.backend.database, moment, self._place_words, rules=self.rules, threads=threads)

    def _place_words(self, words: str) -> Vectors:
        return self.space.of_words(words)

    def ask(self, night: Night, budget: Budget, names: Sequence[str] | None) -> list[str]:
        """Decide what is made for whom (all, or those named) on a date; return the runs that are still to be made."""
        if budget.budget_s >= budget.piece_s:
            lists = self.lists(night)
            self._patiently(lambda: ask_for_pieces(self.backend.database, lists, self.space, budget, names))
        return self._patiently(lambda: self._open_runs(night.date))

    def _open_runs(self, on: date) -> list[str]:
        """Plan what was asked for and not planned; return the runs of a date that are not done."""
        with self.backend.database.unit_of_work() as session:
            pieces = pieces_of(session, on)
        runs: dict[str, list[PieceFor]] = {}
        for piece in pieces:
            runs.setdefault(piece.run_id, []).append(piece)
        open_runs = []
        for run_id, own in runs.items():
            try:
                with self.backend.database.unit_of_work() as session:
                    state = get_run(session, run_id).state
            except UnknownRunError:
                plan_pieces(self.backend.database, run_id, own)
                state = "running"
            if state in ("running", "stopped", "failed"):
                open_runs.append(run_id)
        return open_runs

    def write(self, night: Night) -> Done:
        """Make the playlists of a night and keep them, some hundreds at a time."""
        lists = self.lists(night)
        done = Done(night.date, night.due_at)
        for start in range(0, len(night.names), _COMMITTED_AT_ONCE):
            names = night.names[start : start + _COMMITTED_AT_ONCE]
            made: list[NewPlaylist] = []
            for each in lists.make(names):
                if isinstance(each, Failed):
                    done.failed[each.listener] = each.error
                else:
                    made.append(each)
            kept = set(self._patiently(lambda made=made: self._record(made)))  # type: ignore[misc]
            done.playlists += len(kept)
            done.empty += sum('"tracks":[]' in each.body for each in made if each.listener in kept)
        done.failed = self._patiently(lambda: self._note(night.date, done.failed))
        return done

    def prune(self) -> int:
        """Drop the tracks of playlists that are older than they are to be kept; return of how many."""
        days = self.services.settings.playlist_days
        if days is None:
            return 0
        before = datetime.now(UTC).date() - timedelta(days=days)

        def drop() -> int:
            with self.backend.database.unit_of_work() as session:
                return prune_playlists(session, before)

        return self._patiently(drop)

    def _note(self, on: date, failed: Mapping[str, str]) -> dict[str, str]:
        with self.backend.database.unit_of_work() as session:
            return _noted(session, on, failed)

    def _record(self, made: Sequence[NewPlaylist]) -> list[str]:
        with self.backend.database.unit_of_work() as session:
            return record_playlists(session, made)

    def _patiently(self, work: Callable[[], T]) -> T:
        return patiently(self.services, work)


def _noted(session: Session, on: date, failed: Mapping[str, str]) -> dict[str, str]:
    """Keep what could not be made; return it, saying of what the clock gives up."""
    note_failures(session, on, failed)
    tries = {name: failure.tries for (name, _), failure in failures_of(session, [on]).items()}
    given_up = f" (given up after {MOST_TRIES} tries; playlists make --listener tries again)"
    return {name: why + (given_up if tries.get(name, 0) == MOST_TRIES else "") for name, why in failed.items()}
