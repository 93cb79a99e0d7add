"""Installations of Tutti: one that most tests share, new ones, and one with its parts given by address."""

import sys
from pathlib import Path

import pytest
from services import Databases, embedded_postgres, short_home

from models.registry import SHIPPED

sys.path.insert(0, str(Path(__file__).parent / "support"))

from installation import Installation


@pytest.fixture(scope="session")
def tutti():
    """An installation that most tests share."""
    with short_home() as home:
        installation = Installation(home)
        yield installation
        installation.stop()


@pytest.fixture
def new_installation():
    """Make installations of this test alone."""
    made, homes = [], []

    def new(model="tiny", **environment):
        manager = short_home()
        homes.append(manager)
        made.append(Installation(manager.__enter__(), model, **environment))
        return made[-1]

    yield new
    for installation, home in zip(made, homes, strict=True):
        installation.stop()
        home.__exit__(None, None, None)


@pytest.fixture(scope="session")
def shipped_model():
    """The model that orders without a model get, or the tests' own as long as none is shipped."""
    return "score-small" if any(SHIPPED.glob("score-small*/config.json")) else "tiny"


@pytest.fixture(scope="session")
def outside(s3):
    """An installation whose database and objects are given by address."""
    with short_home() as home, embedded_postgres() as postgres:
        bucket = s3.new_bucket()
        installation = Installation(
            home,
            TUTTI_DATABASE_URL=Databases(postgres.url()).empty(),
            TUTTI_OBJECTS=f"s3://{bucket}/tutti",
            TUTTI_S3_ENDPOINT=s3.access.endpoint,
            TUTTI_S3_ACCESS_KEY=s3.access.access_key,
            TUTTI_S3_SECRET_KEY=s3.access.secret_key,
        )
        yield installation
        installation.stop()
        s3.remove_bucket(bucket)
