"""Keys, and products of real files, to mark and sign."""

import pytest
from marking_sounds import papers, sounds

from actors.identity import recipe_id
from flows.keys import make_keys, read_keys
from flows.recipe import ModelIdentity, recipe_body
from models.generator import Product


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "keys"
    make_keys(folder, development=True)
    return read_keys(folder)


@pytest.fixture
def recipe():
    model = ModelIdentity("tiny", "sha256:" + "7" * 64, "score")
    return recipe_body(model, prompt="a slow waltz", seed=7, duration_s=6.0, controls={})


@pytest.fixture
def asset_id(recipe):
    return recipe_id(recipe)


@pytest.fixture
def product():
    return Product(files=(*papers(), *sounds()), duration_s=6.0, stages=(), attributes={})
