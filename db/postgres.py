"""The embedded PostgreSQL: a real server below Tutti's home, started and stopped by address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class PostgresStatus:
    """What there is: `absent` (never set up), `stopped`, `running`, or `starting` (recovering, say)."""

    state: Literal["absent", "stopped", "starting", "running"]
    data: Path
    log: Path
    pid: int | None
    version: str | None


class EmbeddedPostgres:
    """One PostgreSQL server in `home`/postgres, shared by every command of that home.

    `up` and `down` may be called any number of times, by several processes at once.
    """

    def __init__(self, home: Path) -> None:
        raise NotImplementedError

    def url(self, database: str = "tutti", driver: str = "psycopg") -> str:
        """Return the address of a database of this server ("tutti" or "prefect"), as SQLAlchemy writes it."""
        raise NotImplementedError

    def up(self) -> str:
        """Set up and start the server unless it runs; return the address of the database "tutti".

        Raises:
            PostgresError: it cannot be started; the message says why and where its log is.
        """
        raise NotImplementedError

    def down(self) -> None:
        """Stop the server, if it runs, and wait until it has stopped.

        Raises:
            PostgresError: it does not stop.
        """
        raise NotImplementedError

    def status(self) -> PostgresStatus:
        """Say what there is, without changing it."""
        raise NotImplementedError
