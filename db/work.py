"""The work queue: one row per recipe that some run wants made.

A worker claims rows for a time (a lease), renews it while it works, and completes or sets aside what it has
finished. Every one of these steps is fenced: it touches a row only while the caller still holds it in the same
attempt, so a worker that was thought dead changes nothing. No transaction is held while something is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from db.database import Session
from db.json_values import Json

MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """One recipe to be made by the claimer. `attempt` counts from 1; `solo`: make nothing else beside it."""

    recipe_id: str
    attempt: int
    body: Mapping[str, Json]
    solo: bool


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


def claim(
    session: Session, run_id: str, owner: str, limit: int, lease_s: float, *, solo: bool = False
) -> list[Claim]:
    """Take up to `limit` queued rows of a running run, in the order of the plan.

    Without `solo` only rows never tried before are given. With `solo` (ask so only when nothing else is being
    made) at most one row is given, and it may be one tried before: then its `solo` is true. A run that is not
    running gives nothing. `owner` must be unique to one life of one worker.
    """
    raise NotImplementedError


def heartbeat(session: Session, owner: str, lease_s: float) -> int:
    """Renew the lease of everything `owner` holds; return how many rows that was."""
    raise NotImplementedError


def complete_many(session: Session, owner: str, held: Sequence[Held]) -> frozenset[str]:
    """Mark held rows as done; return the recipe ids that were still `owner`'s in that attempt.

    `record_assets` calls this; nobody else needs to.
    """
    raise NotImplementedError


def set_aside(session: Session, owner: str, failures: Sequence[Failure]) -> frozenset[str]:
    """Mark held rows as failed, with error and traceback; return those that were still `owner`'s."""
    raise NotImplementedError


def give_back(session: Session, owner: str) -> int:
    """Queue again all that `owner` holds, as if never claimed: a worker that stops on purpose."""
    raise NotImplementedError


def release_owner(session: Session, owner: str) -> int:
    """Queue again all that a dead `owner` held; a row lost for the third time is set aside instead.

    Returns how many rows changed.
    """
    raise NotImplementedError


def release_expired(session: Session) -> int:
    """Do as `release_owner` for every row whose lease has run out; return how many rows changed."""
    raise NotImplementedError


def progress(session: Session, run_id: str) -> Progress:
    """Count a run's recipes by state."""
    raise NotImplementedError


def list_set_aside(session: Session, run_id: str, limit: int = 1000) -> list[SetAside]:
    """Return what was set aside in a run, in the order of the plan."""
    raise NotImplementedError
