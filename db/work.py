"""The work queue: one row per recipe that some run wants made.

A worker claims rows for a time (a lease), renews it while it works, and completes or sets aside what it has
finished. Every one of these steps is fenced: it touches a row only while the caller still holds it in the same
attempt, so a worker that was thought dead changes nothing. No transaction is held while something is made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from db.database import Session
from db.errors import UnknownRunError
from db.json_values import Json

MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """One recipe to be made by the claimer. `attempt` counts from 1; `solo`: make nothing else beside it.

    `personal` is what the recipe has by a commitment only, of a piece that is made for a listener.
    """

    recipe_id: str
    attempt: int
    body: Mapping[str, Json]
    solo: bool
    personal: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A row the caller holds, or held: the fence of a commit."""

    recipe_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a held row could not be made."""

    recipe_id: str
    attempt: int
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """A recipe of a run that was set aside."""

    recipe_id: str
    prompt: str
    attempt: int
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Distinct recipes of a run by state of their work; reused ones count as done."""

    queued: int
    claimed: int
    done: int
    failed: int

    @property
    def open(self) -> int:
        """How many are still to be made."""
        return self.queued + self.claimed

    @property
    def total(self) -> int:
        """How many the run has."""
        return self.queued + self.claimed + self.done + self.failed


# Through the index on open items: what is passed over is only what other workers are making now.
_CLAIM: Final = text("""
    WITH next AS MATERIALIZED (
        SELECT work.recipe_id, run_items.position FROM run_items JOIN work USING (recipe_id)
        WHERE run_items.run_id = :run AND run_items.open AND work.state = 'queued'
            AND (work.attempt = 0 OR :solo)
            AND EXISTS (SELECT FROM runs WHERE id = :run AND state = 'running')
        ORDER BY run_items.position
        LIMIT :limit
        FOR UPDATE OF work SKIP LOCKED
    ), claimed AS (
        UPDATE work SET state = 'claimed', attempt = attempt + 1, owner = :owner,
            lease_until = now() + make_interval(secs => :lease)
        FROM next WHERE work.recipe_id = next.recipe_id
        RETURNING work.recipe_id, work.attempt, next.position
    )
    SELECT claimed.recipe_id, claimed.attempt, recipes.body, pieces_made_for.personal
    FROM claimed JOIN recipes ON recipes.id = claimed.recipe_id
    LEFT JOIN pieces_made_for ON pieces_made_for.recipe_id = claimed.recipe_id
    ORDER BY claimed.position
""")

# Locks in one order, so that no two of these wait for each other; what is no longer the caller's is left alone.
_COMPLETE: Final = text("""
    WITH held AS (
        SELECT work.recipe_id
        FROM unnest(CAST(:ids AS text[]), CAST(:attempts AS int[])) AS given (recipe_id, attempt)
        JOIN work ON work.recipe_id = given.recipe_id AND work.attempt = given.attempt
        WHERE work.state = 'claimed' AND work.owner = :owner
        ORDER BY work.recipe_id
        FOR UPDATE OF work
    ), completed AS (
        UPDATE work SET state = 'done', owner = NULL, lease_until = NULL
        FROM held WHERE work.recipe_id = held.recipe_id
        RETURNING work.recipe_id
    ), closed AS (
        UPDATE run_items SET open = false FROM completed WHERE run_items.recipe_id = completed.recipe_id
    )
    SELECT recipe_id FROM completed
""")

_SET_ASIDE: Final = text("""
    WITH held AS (
        SELECT work.recipe_id, given.error, given.traceback
        FROM unnest(
            CAST(:ids AS text[]), CAST(:attempts AS int[]), CAST(:errors AS text[]), CAST(:tracebacks AS text[])
        ) AS given (recipe_id, attempt, error, traceback)
        JOIN work ON work.recipe_id = given.recipe_id AND work.attempt = given.attempt
        WHERE work.state = 'claimed' AND work.owner = :owner
        ORDER BY work.recipe_id
        FOR UPDATE OF work
    ), failed AS (
        UPDATE work SET state = 'failed', owner = NULL, lease_until = NULL,
            error = held.error, traceback = held.traceback
        FROM held WHERE work.recipe_id = held.recipe_id
        RETURNING work.recipe_id
    ), closed AS (
        UPDATE run_items SET open = false FROM failed WHERE run_items.recipe_id = failed.recipe_id
    )
    SELECT recipe_id FROM failed
""")

# Skips what a commit holds at this moment: that row is about to be done.
_RELEASE: Final = """
    WITH lost AS (
        SELECT recipe_id, attempt >= :most AS spent FROM work
        WHERE state = 'claimed' AND {which}
        FOR UPDATE SKIP LOCKED
    ), released AS (
        UPDATE work SET state = CASE WHEN spent THEN 'failed' ELSE 'queued' END, owner = NULL, lease_until = NULL,
            error = CASE WHEN spent THEN
                'its worker was lost ' || attempt || ' times while making it, last ' || owner END
        FROM lost WHERE work.recipe_id = lost.recipe_id
        RETURNING work.recipe_id, spent
    ), closed AS (
        UPDATE run_items SET open = false FROM released
        WHERE spent AND run_items.recipe_id = released.recipe_id
    )
    SELECT count(*) FROM released
"""
_RELEASE_OWNER: Final = text(_RELEASE.format(which="owner = :owner"))
_RELEASE_EXPIRED: Final = text(_RELEASE.format(which="lease_until < now()"))


def claim(
    session: Session, run_id: str, owner: str, limit: int, lease_s: float, *, solo: bool = False
) -> list[Claim]:
    """Take up to `limit` queued rows of a running run, in the order of the plan.

    Without `solo` only rows never tried before are given. With `solo` (ask so only when nothing else is being
    made) at most one row is given, and it may be one tried before: then its `solo` is true. A run that is not
    running gives nothing. `owner` must be unique to one life of one worker. It may have claimed even if its unit of
    work raises, when only the answer to the commit was lost: `give_back` all `but` what it knows of, then ask again.
    """
    rows = session.execute(
        _CLAIM,
        {"run": run_id, "owner": owner, "limit": 1 if solo else limit, "lease": lease_s, "solo": solo},
    ).all()
    if not rows:
        _settle(session, run_id)
    return [
        Claim(recipe_id, attempt, body, solo=attempt > 1, personal=personal)
        for recipe_id, attempt, body, personal in rows
    ]


def heartbeat(session: Session, owner: str, lease_s: float) -> int:
    """Renew the lease of everything `owner` holds; return how many rows that was."""
    return _affected(
        session,
        """
        WITH mine AS (
            SELECT recipe_id FROM work WHERE state = 'claimed' AND owner = :owner
            FOR UPDATE SKIP LOCKED
        ), renewed AS (
            UPDATE work SET lease_until = now() + make_interval(secs => :lease)
            FROM mine WHERE work.recipe_id = mine.recipe_id
            RETURNING 1
        )
        SELECT count(*) FROM renewed
        """,
        {"owner": owner, "lease": lease_s},
    )


def complete_many(session: Session, owner: str, held: Sequence[Held]) -> frozenset[str]:
    """Mark held rows as done; return the recipe ids that were still `owner`'s in that attempt.

    `record_assets` calls this; nobody else needs to.
    """
    parameters = {
        "owner": owner,
        "ids": [row.recipe_id for row in held],
        "attempts": [row.attempt for row in held],
    }
    return frozenset(session.execute(_COMPLETE, parameters).scalars())


def set_aside(session: Session, owner: str, failures: Sequence[Failure]) -> frozenset[str]:
    """Mark held rows as failed, with error and traceback; return those that were still `owner`'s."""
    parameters = {
        "owner": owner,
        "ids": [failure.recipe_id for failure in failures],
        "attempts": [failure.attempt for failure in failures],
        "errors": [_storable(failure.error) for failure in failures],
        "tracebacks": [_storable(failure.traceback) for failure in failures],
    }
    return frozenset(session.execute(_SET_ASIDE, parameters).scalars())


def give_back(session: Session, owner: str, only: Sequence[str] | None = None, *, but: Collection[str] = ()) -> int:
    """Queue again what `owner` holds, as if never claimed: nobody was at fault.

    All of it, or `only` these recipes, and none of those in `but`. Returns how many rows changed.
    """
    return _affected(
        session,
        """
        WITH mine AS (
            SELECT recipe_id FROM work WHERE state = 'claimed' AND owner = :owner
                AND (CAST(:only AS text[]) IS NULL OR recipe_id = ANY(CAST(:only AS text[])))
                AND NOT recipe_id = ANY(CAST(:but AS text[]))
            ORDER BY recipe_id
            FOR UPDATE
        ), queued AS (
            UPDATE work SET state = 'queued', attempt = attempt - 1, owner = NULL, lease_until = NULL
            FROM mine WHERE work.recipe_id = mine.recipe_id
            RETURNING 1
        )
        SELECT count(*) FROM queued
        """,
        {"owner": owner, "only": None if only is None else list(only), "but": list(but)},
    )


def release_owner(session: Session, owner: str) -> int:
    """Queue again all that a dead `owner` held; a row lost for the third time is set aside instead.

    Returns how many rows changed.
    """
    return int(session.execute(_RELEASE_OWNER, {"owner": owner, "most": MAX_ATTEMPTS}).scalar_one())


def release_expired(session: Session) -> int:
    """Do as `release_owner` for every row whose lease has run out; return how many rows changed."""
    return int(session.execute(_RELEASE_EXPIRED, {"most": MAX_ATTEMPTS}).scalar_one())


def progress(session: Session, run_id: str) -> Progress:
    """Count a run's recipes by state.

    Raises:
        UnknownRunError: no run has this id.
    """
    row = session.execute(
        text("""
            SELECT planned,
                (SELECT count(*) FROM run_items WHERE run_id = :run AND open) AS open,
                (SELECT count(*) FROM work JOIN run_items USING (recipe_id)
                    WHERE work.state = 'claimed' AND run_id = :run) AS claimed,
                (SELECT count(*) FROM work JOIN run_items USING (recipe_id)
                    WHERE work.state = 'failed' AND run_id = :run) AS failed
            FROM runs WHERE id = :run
        """),
        {"run": run_id},
    ).one_or_none()
    if row is None:
        raise UnknownRunError(f"there is no run {run_id!r}")
    return Progress(
        queued=max(0, row.open - row.claimed),
        claimed=row.claimed,
        done=row.planned - max(row.open, row.claimed) - row.failed,
        failed=row.failed,
    )


def list_set_aside(session: Session, run_id: str, limit: int = 1000) -> list[SetAside]:
    """Return what was set aside in a run, in the order of the plan."""
    rows = session.execute(
        text("""
            SELECT work.recipe_id, recipes.prompt, work.attempt, work.error, coalesce(work.traceback, '')
            FROM work JOIN run_items USING (recipe_id) JOIN recipes ON recipes.id = work.recipe_id
            WHERE work.state = 'failed' AND run_items.run_id = :run
            ORDER BY run_items.position
            LIMIT :limit
        """),
        {"run": run_id, "limit": limit},
    )
    return [SetAside(*row) for row in rows]


def _settle(session: Session, run_id: str) -> None:
    """Close items whose work ended between the moment a plan looked at it and the plan's commit."""
    session.execute(
        text("""
            WITH ended AS (
                SELECT run_items.recipe_id FROM run_items JOIN work USING (recipe_id)
                WHERE run_items.run_id = :run AND run_items.open AND work.state IN ('done', 'failed')
                FOR UPDATE OF run_items SKIP LOCKED
            )
            UPDATE run_items SET open = false FROM ended
            WHERE run_items.run_id = :run AND run_items.recipe_id = ended.recipe_id
        """),
        {"run": run_id},
    )


def _affected(session: Session, statement: str, parameters: dict[str, object]) -> int:
    return int(session.execute(text(statement), parameters).scalar_one())


def _storable(words: str) -> str:
    """Return an error's words as the database can hold them: they may quote what it cannot."""
    return words.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
