"""Plan a run: write its recipes, their places in the run and the work still to do, in one transaction.

Recipes stream by COPY into a temporary table, and from there by set into the tables: 1,000,000 of them need no
more memory here than one, besides what their iterator remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Column, Double, MetaData, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from db.copying import copy_rows
from db.database import Database, Session
from db.errors import InvalidValueError, UnknownModelVersionError
from db.json_values import checked_text, json_text
from db.runs import PLANNING_LOCK, NewRun, queue_failed_again

_MANY: Final = 1000
_PLANNED: Final = Table(
    "planned",
    MetaData(),
    Column("place", BigInteger),
    Column("id", String(64, collation="C")),
    Column("kind", Text),
    Column("model_digest", String(71, collation="C")),
    Column("prompt", Text),
    Column("seed", BigInteger),
    Column("duration_s", Double),
    Column("body", JSONB),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


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


def plan_run(
    database: Database, run: NewRun, recipes: Iterable[PlannedRecipe], store_inputs: Callable[[], None] = lambda: None
) -> PlanCounts:
    """Write a run, its recipes and their work; all of it or, if `recipes` or `store_inputs` raises, nothing.

    Recipes stream through: a million need no more memory than one. A recipe that comes twice counts once,
    at its first place. One that failed in an earlier run is queued again.

    Args:
        database: a connected database.
        run: what is planned.
        recipes: what it consists of.
        store_inputs: stores what of the files that recipes name is not in the object store. Called when rows of work
            were written and are to be committed: until then nobody can hold the work, as whoever sweeps the store
            does. A sweep before has removed files that no row named, and they are stored again; one after finds the
            rows, and removes none.

    Raises:
        UnknownModelVersionError: a recipe's model digest was never registered.
        InvalidValueError: a text cannot be held by the database.
        DatabaseUnavailableError: the server went away.
    """
    order = json_text(run.order, "the order")
    with database.unit_of_work() as session:
        session.execute(text("SET LOCAL work_mem = '64MB'"))  # for sorts of a million rows
        _PLANNED.create(session.connection())
        copy_rows(session, _PLANNED, _rows(recipes))
        session.execute(text("ANALYZE planned"))
        _check_models(session)
        # Sorted by id, rows reach each primary key's index in order, and two plans at once lock in one order.
        session.execute(
            text("""
                INSERT INTO recipes (id, kind, model_digest, prompt, seed, duration_s, body)
                SELECT DISTINCT ON (id) id, kind, model_digest, prompt, seed, duration_s, body FROM planned
                ORDER BY id
                ON CONFLICT DO NOTHING
            """)
        )
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PLANNING_LOCK})
        session.execute(
            text("""
                INSERT INTO work (recipe_id)
                SELECT DISTINCT id FROM planned
                WHERE NOT EXISTS (SELECT FROM assets WHERE assets.id = planned.id)
                ORDER BY id
                ON CONFLICT DO NOTHING
            """)
        )
        store_inputs()
        session.execute(
            text("""
                INSERT INTO run_items (run_id, recipe_id, position, open)
                SELECT :run, places.id, place, coalesce(work.state IN ('queued', 'claimed'), false)
                FROM (SELECT id, min(place) AS place FROM planned GROUP BY id) places
                LEFT JOIN work ON work.recipe_id = places.id
                ORDER BY places.id
            """),
            {"run": run.id},
        )
        queue_failed_again(session, run.id)
        planned, fresh = session.execute(
            text("SELECT count(*), count(*) FILTER (WHERE open) FROM run_items WHERE run_id = :run"),
            {"run": run.id},
        ).one()
        session.execute(
            text("INSERT INTO catalogues (name) VALUES (:name) ON CONFLICT DO NOTHING"), {"name": run.catalogue}
        )
        session.execute(
            text("""
                INSERT INTO runs (id, catalogue, "order", order_digest, state, planned, reused)
                VALUES (:id, :catalogue, CAST(:order AS jsonb), :order_digest, 'running', :planned, :reused)
            """),
            {
                "id": run.id,
                "catalogue": run.catalogue,
                "order": order,
                "order_digest": run.order_digest,
                "planned": planned,
                "reused": planned - fresh,
            },
        )
    if planned >= _MANY:
        with database.unit_of_work() as session:  # what the server believes of these tables decides a claim's speed
            session.execute(text("ANALYZE recipes, work, run_items"))
    return PlanCounts(planned=planned, fresh=fresh, reused=planned - fresh)


def _rows(recipes: Iterable[PlannedRecipe]) -> Iterator[tuple[int, str, str, str, str, int, float, str]]:
    for place, recipe in enumerate(recipes):
        if "\\u0000" in recipe.body:  # the escape that JSON allows and JSONB does not
            raise InvalidValueError(f"recipe {recipe.id[:12]} has a NUL character, which the database cannot hold")
        yield (
            place,
            recipe.id,
            recipe.kind,
            recipe.model_digest,
            checked_text(recipe.prompt, f"the prompt of recipe {recipe.id[:12]}"),
            recipe.seed,
            recipe.duration_s,
            recipe.body,
        )


def _check_models(session: Session) -> None:
    unknown = session.execute(
        text("""
            SELECT DISTINCT model_digest FROM planned
            WHERE model_digest NOT IN (SELECT digest FROM model_versions) LIMIT 1
        """)
    ).scalar()
    if unknown is not None:
        raise UnknownModelVersionError(f"the model version {unknown} was never registered")
