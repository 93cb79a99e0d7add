"""Objects that no row names: a worker that died between storing and committing leaves them, and a withdrawn plan may.

Objects are stored before the rows that name them, so one is only known to be nobody's while nothing is being made.
The inputs of an order that is being planned may be swept: `plan_run` has them stored again before it commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import text

from db.database import Session
from db.digests import StoredObject
from db.errors import WorkUnderWayError
from db.work import release_expired

_AT_ONCE: Final = 5_000

_NAMED: Final = text("""
    SELECT digest FROM unnest(CAST(:digests AS text[])) AS given (digest)
    WHERE EXISTS (SELECT FROM asset_files WHERE asset_files.digest = given.digest)
        OR EXISTS (SELECT FROM lineage_edges WHERE lineage_edges.parent = given.digest)
""")

# What is still to be made, or was set aside and may be tried again, is made from files that no asset names yet.
_AWAITED: Final = text("""
    SELECT DISTINCT found #>> '{}' FROM work JOIN recipes ON recipes.id = work.recipe_id,
        jsonb_path_query(recipes.body -> 'controls', 'strict $.** ? (@ starts with "sha256:")') AS found
    WHERE work.state <> 'done'
""")


def hold_work(session: Session) -> None:
    """Let nobody plan, claim or commit until the unit of work ends; those who want to will wait.

    Raises:
        WorkUnderWayError: something is being made.
    """
    session.execute(text("LOCK TABLE work IN EXCLUSIVE MODE"))
    release_expired(session)
    claimed = session.execute(text("SELECT count(*) FROM work WHERE state = 'claimed'")).scalar_one()
    if claimed:
        raise WorkUnderWayError(f"{claimed} pieces are being made: objects can be swept when nothing is")


def unnamed(session: Session, objects: Iterable[StoredObject]) -> Iterator[StoredObject]:
    """Yield the objects that are neither a file of an asset nor what one was made from, or is to be."""
    rest, awaited = iter(objects), set(session.execute(_AWAITED).scalars())
    while group := list(islice(rest, _AT_ONCE)):
        named = set(session.execute(_NAMED, {"digests": [each.digest for each in group]}).scalars())
        yield from (each for each in group if each.digest not in named and each.digest not in awaited)
