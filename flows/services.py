"""The parts Tutti stands on: database, object store, Prefect server; embedded ones are started as needed.

What is embedded runs as daemons in sessions of their own, shared by all commands of a home and left running after
a command, so that the next one is fast. Nobody counts users: `up` and `down` may be called at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from db.database import Database, connect
from db.objects import ObjectStore, S3Access, open_objects
from db.postgres import EmbeddedPostgres, forget_other_servers
from flows.errors import ServiceError
from flows.prefect_server import PrefectServer, answers
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class Backend:
    """An open database with the current schema, and the object store."""

    database: Database
    objects: ObjectStore


class Services:
    """The parts that one set of settings names.

    Where the database is ours, PG* variables are none of its business and are taken out of this process; an outside
    one may need them (PGPASSFILE, say).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        if settings.database_url is None:
            forget_other_servers()
        self.postgres = EmbeddedPostgres(settings.home)
        prefect_database = self.postgres.url("prefect", "asyncpg")
        self.prefect = PrefectServer(settings.home, prefect_database)
        # Of a server that the user runs. Looked up now: a command later sets it for Prefect's client.
        self.prefect_given = os.environ.get("PREFECT_API_URL") or None

    @property
    def is_fresh(self) -> bool:
        """Say that nothing was ever made here: there is no database to ask."""
        return self.settings.database_url is None and self.postgres.status().state == "absent"

    def database_up(self) -> str:
        """Bring the database up if it is ours; return its address.

        Raises:
            PostgresError: the embedded server cannot be started.
            ServiceError: the home cannot be used.
        """
        if self.settings.database_url is not None:
            return self.settings.database_url.get_secret_value()
        check_folder("TUTTI_HOME", self.settings.home)
        return self.postgres.up()

    def prefect_up(self) -> str:
        """Bring the Prefect server up unless the user runs one; return the address of its API.

        Raises:
            PostgresError: the embedded server that keeps its records cannot be started.
            ServiceError: it cannot be started, or the home cannot be used.
        """
        if self.prefect_given:
            if not answers(self.prefect_given):
                raise ServiceError(f"no Prefect server answers at PREFECT_API_URL {self.prefect_given}")
            return self.prefect_given
        check_folder("TUTTI_HOME", self.settings.home)
        self.postgres.up()
        return self.prefect.up()

    def prefect_begun(self) -> str:
        """Have the Prefect server begin to start unless it runs; return where it will answer: see `prefect_up`.

        Raises:
            PostgresError: the embedded server that keeps its records cannot be started.
            ServiceError: it cannot be started, or the one that the user runs does not answer.
        """
        if self.prefect_given:
            return self.prefect_up()
        check_folder("TUTTI_HOME", self.settings.home)
        self.postgres.up()
        return self.prefect.begin()

    def prefect_ready(self, api_url: str) -> None:
        """Wait for a Prefect server that began to start.

        Raises:
            ServiceError: it does not answer, or now has another address than it was to have.
        """
        if self.prefect_up() != api_url:
            raise ServiceError(f"another program took the port of the Prefect server at {api_url}: say it again")

    def up(self) -> None:
        """Bring up everything that is ours. What the user gives by address is looked at first.

        Raises:
            StorageError: the database or the object store cannot be used.
            ServiceError: the home or the Prefect server cannot be used.
        """
        self.check_given()
        with self.open():
            pass
        self.prefect_up()

    def down(self) -> bool:
        """Stop what is ours; say whether any of it was running.

        Raises:
            PostgresError: the server does not stop.
        """
        at_rest = ("absent", "stopped")
        ran = self.prefect.status()[0] not in at_rest or self.postgres.status().state not in at_rest
        self.prefect.down()
        self.postgres.down()
        return ran

    def check_given(self) -> None:
        """See that what the user gives by address can be used, before anything is started or written.

        Raises:
            StorageError: it cannot.
            ServiceError: the home cannot be used.
        """
        if self.settings.database_url is not None:
            connect(self.settings.database_url.get_secret_value()).close()
        if self.has_shelves:
            check_folder("TUTTI_OBJECTS", Path(self.settings.objects_at))
        else:
            self.objects().check()
        if self.prefect_given:
            self.prefect_up()
        if self.settings.database_url is None or not self.prefect_given:
            check_folder("TUTTI_HOME", self.settings.home)

    def objects(self) -> ObjectStore:
        """Return the object store; nothing is touched yet.

        Raises:
            ObjectStoreError: the setting is no store.
        """
        return open_objects(self.settings.objects_at, self.s3_access())

    @property
    def has_shelves(self) -> bool:
        """Say whether objects lie in a folder, so that shelves can be made of them."""
        return not self.settings.objects_at.startswith("s3://")

    def shelf(self, catalogue: str) -> Path:
        """Return the folder where the files of a catalogue lie under their names."""
        return self.settings.home / "catalogues" / catalogue

    def s3_access(self) -> S3Access:
        """Return how to get into an S3 server."""
        settings = self.settings
        secret = settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None
        return S3Access(settings.s3_endpoint, settings.s3_access_key, secret, settings.s3_region)

    @contextmanager
    def open(self) -> Iterator[Backend]:
        """Give the database, at the current schema, and the object store, for the length of the block.

        Raises:
            StorageError: either cannot be used.
            ServiceError: the home cannot be used.
        """
        database = connect(self.database_up())
        try:
            database.upgrade()
            objects = self.objects()
            objects.check()
            yield Backend(database, objects)
        finally:
            database.close()


def check_folder(what: str, folder: Path) -> None:
    """See that a folder is there or can be made, without making it.

    Raises:
        ServiceError: it cannot; the message says what it was for.
    """
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ServiceError(f"{what} {folder}: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK) or os.statvfs(nearest).f_flag & os.ST_RDONLY:
        raise ServiceError(f"{what} {folder}: {nearest} cannot be written; choose another folder")
