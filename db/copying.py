"""PostgreSQL's COPY inside a session's transaction: the fast way in for rows by the hundred and the million."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import Table

from db.database import Session


def copy_rows(session: Session, table: Table, rows: Iterable[tuple[object, ...]]) -> None:
    """Append rows, each with every column of `table` in its order; JSONB columns take JSON text."""
    # The driver's own connection: COPY is not in SQLAlchemy's vocabulary. The session has begun by asking for it.
    driver = session.connection().connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"not a psycopg connection: {driver!r}")
    columns = SQL(", ").join(Identifier(column.name) for column in table.columns)
    statement = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table.name), columns)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
