"""A place where assets were made."""

import pytest
from sounding import new_place


@pytest.fixture(scope="module")
def place(databases, tmp_path_factory):
    """Shared by the tests of a module, which leave it as it was."""
    made = new_place(databases, tmp_path_factory.mktemp("home"))
    yield made
    made.database.close()


@pytest.fixture
def own_place(databases, tmp_path):
    """For a test that breaks it."""
    made = new_place(databases, tmp_path)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def assets(place):
    return place.make(1, 2, 3)
