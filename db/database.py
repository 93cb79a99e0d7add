"""A PostgreSQL database: connection pool, units of work, migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

__all__ = ["Database", "Session", "connect"]


def connect(url: str) -> Database:
    """Open a pool on the PostgreSQL server at `url` and see that it answers.

    Args:
        url: `postgresql://user:password@host:port/name`; a socket folder goes in as `?host=/folder`.

    Raises:
        DatabaseUrlError: the text is no PostgreSQL address.
        DatabaseUnavailableError: nobody answers within 5 s, or the credentials are refused.
    """
    raise NotImplementedError


class Database:
    """One pool of connections. Not for another process: send the url there and connect again."""

    url: str

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """Give a session; commit when the block ends, roll back when it raises.

        Raises:
            DatabaseUnavailableError: the server went away; nothing or everything was committed, so what
                follows must be safe to repeat.
            DatabaseConflictError: the server chose another unit of work over this one: repeat it.
        """
        raise NotImplementedError
        yield

    def upgrade(self) -> None:
        """Bring the schema to this code's revision; a single query when it is there already.

        Safe when several processes do it at once.

        Raises:
            DatabaseVersionError: the schema is newer than this code, or the tables are not ours.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection."""
        raise NotImplementedError
