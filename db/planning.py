"""Plan a run: write its recipes, their places in the run and the work still to do, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from db.database import Database
from db.runs import NewRun


@dataclass(frozen=True, slots=True)
class PlannedRecipe:
    """One recipe as planned; `body` is its canonical JSON text and `id` the hex SHA-256 of that."""

    id: str
    kind: str
    model_digest: str
    prompt: str
    seed: int
    duration_s: float
    body: str


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """Distinct recipes of a run: planned = fresh (still to be made) + reused (an asset is there)."""

    planned: int
    fresh: int
    reused: int


def plan_run(database: Database, run: NewRun, recipes: Iterable[PlannedRecipe]) -> PlanCounts:
    """Write a run, its recipes and their work; all of it or, if `recipes` raises, nothing.

    Recipes stream through: a million need no more memory than one. A recipe that comes twice counts once,
    at its first place. One that failed in an earlier run is queued again.

    Raises:
        UnknownModelVersionError: a recipe's model digest was never registered.
        InvalidValueError: a text cannot be held by the database.
        DatabaseUnavailableError: the server went away.
    """
    raise NotImplementedError
