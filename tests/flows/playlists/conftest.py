"""A house with a catalogue and listeners."""

import pytest
from taste_house import new_house


@pytest.fixture
def house(databases, tmp_path):
    made = new_house(databases, tmp_path)
    yield made
    made.database.close()
    databases.drop(made.database.url)
