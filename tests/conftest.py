"""Fixtures that every test may use: a new database for each test, an S3 server, an object folder."""

import os

import pytest
from services import Databases, embedded_postgres, s3_server

from db.database import connect
from db.objects import LocalObjects
from db.s3_objects import S3Objects


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Have files with what takes longest come first, so that two processes end at about the same time."""
    weights = {}
    for item in items:
        weight = (item.get_closest_marker("slow") is not None, "integration" in item.path.parts)
        weights[item.path] = max(weights.get(item.path, weight), weight)
    items.sort(key=lambda item: weights[item.path], reverse=True)


@pytest.fixture(scope="session")
def databases():
    """The server to make databases on: one embedded PostgreSQL, or the one named by the environment."""
    if url := os.environ.get("TUTTI_TEST_DATABASE_URL"):
        made = Databases(url)
        yield made
        made.drop_all()
        return
    with embedded_postgres() as postgres:
        yield Databases(postgres.url())


@pytest.fixture
def database_url(databases):
    """The address of a database of this test alone, with our tables and no rows."""
    url = databases.migrated()
    yield url
    databases.drop(url)


@pytest.fixture
def database(database_url):
    database = connect(database_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def s3():
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3):
    """A bucket of this test alone."""
    name = s3.new_bucket()
    yield name
    s3.remove_bucket(name)


@pytest.fixture(params=["folder", "s3"])
def any_objects(request, tmp_path):
    """Each kind of object store in turn."""
    if request.param == "folder":
        return LocalObjects(tmp_path / "objects")
    server = request.getfixturevalue("s3")
    return S3Objects(request.getfixturevalue("bucket"), server.access)
