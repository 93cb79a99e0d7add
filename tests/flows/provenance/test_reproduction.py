"""Making again: what differs is held against the profile, and what goes wrong with one asset is said of that one."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from db.assets import lineage
from flows.provenance.reproduction import Reproducer
from flows.settings import Dtype


@pytest.fixture
def reproducer(place):
    return Reproducer(place.settings, place.keys, place.objects)


@pytest.fixture
def known(place, assets):
    with place.database.unit_of_work() as session:
        return [lineage(session, asset.id) for asset in assets.values()]


def with_other_files(known):
    """The asset as if its files had been others."""
    files = tuple(replace(file, digest="sha256:" + "0" * 64, unsigned_digest=None) for file in known.asset.files)
    return replace(known, asset=replace(known.asset, files=files))


def asking(known, **changes):
    """The asset as if its recipe had been another."""
    return replace(known, recipe={**known.recipe, **changes})


def test_files_that_differ_on_the_same_profile_are_a_failure(reproducer, known):
    check = reproducer.check(with_other_files(known[0]))
    assert check.ok is False and "on the same profile, and not the same" in check.detail


def test_a_profile_that_names_no_processor_or_another_one_is_another_profile(reproducer, known):
    made = with_other_files(known[0])
    old = {name: value for name, value in made.numeric_profile.items() if name != "processor"}
    unnamed = reproducer.check(replace(made, numeric_profile=old))
    other = reproducer.check(replace(made, numeric_profile={**old, "processor": "abacus"}))
    assert unnamed.ok is None and "processor not recorded then" in unnamed.detail
    assert other.ok is None and "processor abacus then" in other.detail


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_an_asset_is_made_again_in_the_dtype_it_was_made_in(place, known, dtype):
    reproducer = Reproducer(
        place.settings.model_copy(update={"generator": "sounding:load_as_told"}), place.keys, place.objects
    )
    made = with_other_files(known[0])
    check = reproducer.check(replace(made, numeric_profile={**made.numeric_profile, "dtype": dtype}))
    assert check.ok is False and "on the same profile" in check.detail


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("poison", "this prompt cannot be made: poison"),
        ("finish", "ValueError: the page has no room"),
        ("explode", "RuntimeError: the generator is broken"),
    ],
)
def test_what_goes_wrong_with_one_asset_is_said_of_that_one(reproducer, known, prompt, told):
    first, second, third = known
    checks = reproducer.check_all([first, asking(second, prompt=prompt), third])
    assert checks[first.asset.id].ok and checks[third.asset.id].ok
    assert checks[second.asset.id].ok is False and told in checks[second.asset.id].detail


def test_a_damaged_input_is_a_failure_of_its_asset(place, reproducer, known):
    digest = place.objects.put(b"la la la")
    path = Path(place.objects.locate(digest))
    path.chmod(0o644)
    path.write_bytes(b"la la lo")
    first, second, _ = known
    checks = reproducer.check_all([first, asking(second, controls={"melody": digest})])
    assert checks[first.asset.id].ok
    found = checks[second.asset.id]
    assert found.ok is False
    assert f"the melody of asset {second.asset.id[:12]} was changed: {path}" in found.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {}},
        {"recipe": {"model": 3, "controls": {}}},
        {"recipe": {"model": {"name": "tiny", "digest": "x"}, "controls": {"accompany": 5}}},
        {"numeric_profile": {"slots": "many"}},
    ],
)
def test_rows_that_hold_anything_are_a_failure_of_their_asset(reproducer, known, changes):
    first, second, _ = known
    checks = reproducer.check_all([first, replace(second, **changes)])
    assert checks[first.asset.id].ok
    assert checks[second.asset.id].ok is False and "was changed" in checks[second.asset.id].detail


def test_a_machine_that_cannot_load_the_model_proves_nothing(place, known):
    settings = place.settings.model_copy(update={"generator": "sounding:nothing_of_that_name"})
    check = Reproducer(settings, place.keys, place.objects).check(known[0])
    assert check.ok is None and "nothing_of_that_name" in check.detail
