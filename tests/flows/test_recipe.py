"""Recipes: the id is the hash of the canonical JSON, however it was written."""

import hashlib
import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from actors.identity import asset_digest, canonical_json, recipe_id
from flows.recipe import SEED_BITS, ModelIdentity, RecipeWriter, recipe_body

MODEL = ModelIdentity("score-small", "sha256:" + "ab" * 32, "score")
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
CONTROLS = st.dictionaries(
    TEXTS, st.one_of(TEXTS, st.integers(0, 2**50), st.floats(-1e300, 1e300), st.lists(TEXTS)), max_size=5
)


@given(
    prompt=TEXTS,
    seed=st.integers(0, 2**SEED_BITS - 1),
    duration_s=st.floats(1, 900),
    controls=CONTROLS,
    name=TEXTS,
)
def test_the_fast_writer_writes_the_bytes_that_rfc_8785_asks_for(prompt, seed, duration_s, controls, name):
    model = ModelIdentity(name, MODEL.digest, "score")
    recipe = RecipeWriter(model, duration_s=duration_s, controls=controls).write(prompt, seed)
    body = recipe_body(model, prompt=prompt, seed=seed, duration_s=duration_s, controls=controls)
    assert recipe.body.encode() == rfc8785.dumps(body)
    assert recipe.id == hashlib.sha256(rfc8785.dumps(body)).hexdigest()


@given(prompt=TEXTS, duration_s=st.floats(1, 900))
def test_a_body_read_back_as_json_still_hashes_to_its_id(prompt, duration_s):
    recipe = RecipeWriter(MODEL, duration_s=duration_s, controls={"tempo_bpm": 90}).write(prompt, 5)
    assert recipe_id(json.loads(recipe.body)) == recipe.id


def test_the_id_of_a_known_recipe_never_changes():
    recipe = RecipeWriter(MODEL, duration_s=20.0, controls={"key": "D minor"}).write("slow piano, für Élise", 7)
    assert recipe.body == (
        '{"controls":{"key":"D minor"},"duration_s":20,"kind":"score","model":{"digest":"sha256:' + "ab" * 32 + '",'
        '"name":"score-small"},"prompt":"slow piano, für Élise","schema":"tutti.recipe/1","seed":7}'
    )
    assert recipe.id == "125abfe622b0010f5a730dd5ee3879c122b8411b453b374cbc4d06bb7825f2d1"


def test_twenty_and_twenty_point_nought_seconds_are_the_same_recipe():
    whole = RecipeWriter(MODEL, duration_s=20, controls={}).write("a", 1)
    assert whole.id == RecipeWriter(MODEL, duration_s=20.0, controls={}).write("a", 1).id


def test_the_digest_of_an_asset_depends_on_roles_and_contents_only():
    files = {"midi": "sha256:01", "musicxml": "sha256:02"}
    expected = hashlib.sha256(b'{"midi":"sha256:01","musicxml":"sha256:02"}').hexdigest()
    assert asset_digest(dict(reversed(files.items()))) == "sha256:" + expected
    assert canonical_json(files) == b'{"midi":"sha256:01","musicxml":"sha256:02"}'
