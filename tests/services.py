"""Real services for tests: a PostgreSQL and an S3 server, our own or given by address.

TUTTI_TEST_DATABASE_URL names an outside PostgreSQL whose user may create databases. TUTTI_TEST_S3_ENDPOINT names an
outside S3 server, with TUTTI_TEST_S3_ACCESS_KEY and TUTTI_TEST_S3_SECRET_KEY that may create buckets.
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import psycopg
import urllib3
from minio import Minio
from minio.error import MinioException
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from db.database import connect
from db.postgres import EmbeddedPostgres
from db.s3_access import S3Access

_numbers = itertools.count()


@contextmanager
def short_home() -> Iterator[Path]:
    """Give a home that any account can enter and that is short enough for a socket."""
    home = Path(tempfile.mkdtemp(prefix="tutti-test-", dir="/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """Run an embedded PostgreSQL in a home of its own."""
    with short_home() as home:
        postgres = EmbeddedPostgres(home)
        try:
            postgres.up()
            yield postgres
        finally:
            postgres.down()


class Databases:
    """Makes databases on one server: each a copy of a migrated one, dropped at the end."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url).set(drivername="postgresql+psycopg")
        self._mark = f"tutti_test_{os.getpid()}"
        self._template = f"{self._mark}_template"
        self._made: list[str] = []

    def address(self, name: str) -> str:
        return self.url.set(database=name).render_as_string(hide_password=False)

    def empty(self) -> str:
        """Make a database with nothing in it; return its address."""
        return self.address(self._create(f"{self._mark}_{next(_numbers)}"))

    def migrated(self) -> str:
        """Make a database with our tables; return its address."""
        if self._template not in self._made:
            database = connect(self.address(self._create(self._template)))
            database.upgrade()
            database.close()
        return self.address(self._create(f"{self._mark}_{next(_numbers)}", self._template))

    def drop(self, url: str) -> None:
        name = make_url(url).database
        with self._admin() as admin:
            admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        self._made.remove(name)

    def drop_all(self) -> None:
        for name in list(self._made):
            self.drop(self.address(name))

    def _create(self, name: str, template: str = "template1") -> str:
        with self._admin() as admin:
            admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
        self._made.append(name)
        return name

    def _admin(self) -> psycopg.Connection:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(plain, autocommit=True)


@dataclass(frozen=True)
class S3Server:
    """An S3 server that answers; `owner` may make buckets, `access` may only use them."""

    access: S3Access
    owner: S3Access

    def client(self) -> Minio:
        scheme, _, host = self.owner.endpoint.partition("://")
        return Minio(
            host,
            self.owner.access_key,
            self.owner.secret_key,
            secure=scheme == "https",
            region=self.owner.region,
            http_client=urllib3.PoolManager(timeout=5.0, retries=False),
        )

    def new_bucket(self) -> str:
        bucket = f"tutti-test-{os.getpid()}-{next(_numbers)}"
        self.client().make_bucket(bucket)
        return bucket

    def remove_bucket(self, bucket: str) -> None:
        client = self.client()
        for found in client.list_objects(bucket, recursive=True):
            client.remove_object(bucket, found.object_name)
        client.remove_bucket(bucket)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Give the S3 server named by the environment, or run SeaweedFS in a folder of its own."""
    if endpoint := os.environ.get("TUTTI_TEST_S3_ENDPOINT"):
        keys = os.environ["TUTTI_TEST_S3_ACCESS_KEY"], os.environ["TUTTI_TEST_S3_SECRET_KEY"]
        yield S3Server(S3Access(endpoint, *keys), S3Access(endpoint, *keys))
        return
    with short_home() as home, seaweedfs(home) as server:
        yield server


@contextmanager
def seaweedfs(home: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its data in `home`, closed to all but this machine."""
    # SeaweedFS makes a bucket for an administrator who writes into one that is missing; so there are two of us.
    rights = {"owner": ["Admin", "Read", "List", "Tagging", "Write"], "user": ["Read", "List", "Tagging", "Write"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": f"{name}key", "secretKey": f"{name}secret"}], "actions": actions}
        for name, actions in rights.items()
    ]
    (home / "identities.json").write_text(json.dumps({"identities": identities}))
    ports = _free_ports(12)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    names += ("s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc")
    command = [
        str(Path(sys.executable).with_name("weed")),
        "mini",
        f"-dir={home}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={home / 'identities.json'}",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=False)),
    ]
    with (home / "weed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)
    endpoint = f"http://127.0.0.1:{ports[6]}"
    server = S3Server(*(S3Access(endpoint, f"{name}key", f"{name}secret") for name in ("user", "owner")))
    try:
        _wait_until_it_stores(server, process, home / "weed.log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_stores(server: S3Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(MinioException, urllib3.exceptions.HTTPError):
            bucket = server.new_bucket()
            server.client().put_object(bucket, "probe", BytesIO(b"probe"), 5)
            server.remove_bucket(bucket)
            return
        time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS does not come up:\n{log.read_text()[-2000:]}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
