"""A PostgreSQL database: connection pool, units of work, migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import psycopg
from sqlalchemy import Connection, create_engine, exc, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.orm import Session

import db.migrations
from db.errors import (
    DatabaseConflictError,
    DatabaseUnavailableError,
    DatabaseUrlError,
    DatabaseVersionError,
)

__all__ = ["Database", "Session", "connect"]

_CONNECT_TIMEOUT_S: Final = 5
_MIGRATION_LOCK: Final = 0x7475747469  # "tutti": any number that others are unlikely to lock
_NO_EXTENSION: Final = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,
    psycopg.errors.InsufficientPrivilege,
)
_MIGRATIONS: Final = Path(db.migrations.__file__).parent


def connect(url: str) -> Database:
    """Open a pool on the PostgreSQL server at `url` and see that it answers.

    Args:
        url: `postgresql://user:password@host:port/name`; a socket folder goes in as `?host=/folder`.

    Raises:
        DatabaseUrlError: the text is no PostgreSQL address.
        DatabaseUnavailableError: nobody answers within 5 s, or the credentials are refused.
    """
    address = _address(url)
    engine = create_engine(
        address,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=8,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "application_name": "tutti",
            # A server that vanishes without a word is noticed in under a minute, not in hours.
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    database = Database(engine)
    try:
        with _translated(address), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except BaseException:
        engine.dispose()
        raise
    return database


class Database:
    """One pool of connections. Not for another process: send the url there and connect again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.url = engine.url.render_as_string(hide_password=False)

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """Give a session; commit when the block ends, roll back when it raises.

        Raises:
            DatabaseUnavailableError: the server went away; nothing or everything was committed, so what
                follows must be safe to repeat.
            DatabaseConflictError: the server chose another unit of work over this one: repeat it.
        """
        with _translated(self._engine.url), Session(self._engine) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the schema to this code's revision; a single query when it is there already.

        Safe when several processes do it at once.

        Raises:
            DatabaseVersionError: the schema is newer than this code, or the tables are not ours.
        """
        with _translated(self._engine.url), self._engine.connect() as connection:
            if _revision(connection) == db.migrations.HEAD:
                return
            connection.rollback()
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                if _revision(connection) != db.migrations.HEAD:
                    _migrate(connection)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        port = address.port
    except (exc.ArgumentError, ValueError):
        raise DatabaseUrlError(f"{url!r} is no database address; write postgresql://user@host/name") from None
    if address.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise DatabaseUrlError(f"{_shown(address)}: only PostgreSQL serves; write postgresql://user@host/name")
    if port is not None and not 0 < port < 65536:
        raise DatabaseUrlError(f"{_shown(address)}: there is no port {port}")
    return address.set(drivername="postgresql+psycopg")


def _shown(address: URL) -> str:
    return address.render_as_string(hide_password=True)


@contextmanager
def _translated(address: URL) -> Iterator[None]:
    """Turn the driver's connection errors into ours; whatever else goes wrong is a fault and stays itself."""
    try:
        yield
    except exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.Error) and not _not_sent(error, error.orig):
            _raise_ours(error.orig, address, disconnected=error.connection_invalidated)
        raise
    except exc.TimeoutError as error:
        raise DatabaseUnavailableError(f"{_shown(address)}: every connection is in use: {error}") from error
    except psycopg.Error as error:  # from COPY, which goes past SQLAlchemy
        _raise_ours(error, address, disconnected=False)
        raise


def _not_sent(error: exc.DBAPIError, cause: psycopg.Error) -> bool:
    """Return whether the driver itself refused a statement on a sound connection: no server said anything of it."""
    return error.statement is not None and not error.connection_invalidated and cause.sqlstate is None


def _raise_ours(error: psycopg.Error, address: URL, *, disconnected: bool) -> None:
    state = error.sqlstate or ""
    if state.startswith("40"):  # serialization failure, deadlock
        raise DatabaseConflictError(f"{_shown(address)}: {_line(error)}") from error
    if disconnected or isinstance(error, psycopg.OperationalError):
        raise DatabaseUnavailableError(f"{_shown(address)}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _revision(connection: Connection) -> str | None:
    """Return the schema's revision, None for a database without ours."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    # Alembic takes a tenth of a second to import, and nearly every start needs no migration.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    at = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        _refuse(connection, f"is at revision {at}, which this version of Tutti does not know: use a newer one")
    try:
        command.upgrade(config, db.migrations.HEAD)
    except exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.DuplicateTable):
            _refuse(connection, f"holds tables of something else: {_line(error.orig)}")
        if isinstance(error.orig, _NO_EXTENSION) and "vector" in str(error.orig):
            _refuse(connection, f"has no pgvector, install it and CREATE EXTENSION vector: {_line(error.orig)}")
        raise


def _refuse(connection: Connection, why: str) -> NoReturn:
    raise DatabaseVersionError(f"the database {_shown(connection.engine.url)} {why}")
