"""Catalogues: names under which runs put what they make."""

from __future__ import annotations

from sqlalchemy import exists, select

from db.database import Session
from db.errors import UnknownCatalogueError
from db.tables import catalogues


def check_catalogue(session: Session, name: str) -> None:
    """See that a run was ever planned into a catalogue of this name.

    Raises:
        UnknownCatalogueError: there is none.
    """
    if not session.execute(select(exists().where(catalogues.c.name == name))).scalar_one():
        raise UnknownCatalogueError(f"there is no catalogue {name!r}; see `tutti runs`")
