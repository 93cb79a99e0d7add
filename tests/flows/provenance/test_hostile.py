"""Bundles and rows that hold anything: an audit says what is wrong with them, and never breaks off."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sounding import checks

from db.assets import lineage
from flows.keys import read_verifier
from flows.provenance.audits import audit_bundle
from flows.provenance.catalogue_audit import audit_catalogue
from flows.provenance.evidence import BundleError, asset_entries, read_bundle
from flows.provenance.exports import export_lineage
from flows.provenance.stored import model_checks, rows_check

MEMBERS = st.text(max_size=3) | st.sampled_from(
    ["type", "asset", "files", "bytes", "digest", "name", "media_type", "unsigned_digest", "model", "collections",
     "training_data", "prompt", "seed", "controls"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(2**60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(MEMBERS, ANYTHING, max_size=4)


@pytest.fixture(scope="module")
def bundle(place, assets, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "bundle.json"
    export_lineage(place.auditor(), assets[1].id, "bundle", path)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def prove(place, assets, tmp_path_factory):
    """Audit a file of asset 1 with a bundle."""
    folder = tmp_path_factory.mktemp("subject")
    subject = folder / "score.mid"
    subject.write_bytes(place.data(assets[1], "midi"))
    key = read_verifier(place.keys.folder / "log.pub")

    def prove(bundle):
        (folder / "bundle.json").write_text(json.dumps(bundle))
        folders = [place.settings.model_folder]
        return audit_bundle(subject, read_bundle(folder / "bundle.json"), key, place.keys, folders)

    return prove


def with_entry(bundle, **changes):
    return {**bundle, "entry": json.dumps({**json.loads(bundle["entry"]), **changes})}


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "recipe": OBJECTS,
            "attributes": OBJECTS,
            "numeric_profile": OBJECTS,
            "stages": st.lists(OBJECTS, max_size=2),
            "card": OBJECTS,
            "index": st.integers(),
            "entry": OBJECTS.map(json.dumps) | st.text(max_size=20),
            "checkpoint": st.text(max_size=20) | st.none(),
            "proof": st.lists(st.sampled_from(["", "AAAA", "A" * 44]), max_size=2),
        },
    ),
    entered=OBJECTS,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bundle_breaks_an_audit_off_or_proves_what_it_does_not_hold(bundle, prove, changes, entered):
    changed = {**with_entry(bundle, **entered), **changes}
    try:
        found = prove(changed)
    except BundleError:
        return
    json.dumps(found.as_json())
    same = all(value == bundle[part] for part, value in changed.items() if part not in ("card", "entry"))
    if found.verdict == "proved":
        assert same and json.loads(changed["entry"]) == json.loads(bundle["entry"])


@pytest.mark.parametrize(
    ("recipe", "check", "told"),
    [
        ({}, "model", "does not say, by name and digest, which model"),
        ({"model": []}, "model", "does not say, by name and digest, which model"),
        ({"model": {"name": "tiny", "digest": 7}}, "model", "does not say, by name and digest, which model"),
        ({"a": 2**60}, "recipe", "has no canonical JSON"),
    ],
)
def test_a_recipe_that_is_none_is_named(bundle, prove, recipe, check, told):
    found = prove({**bundle, "recipe": recipe})
    assert found.verdict == "failed"
    assert checks(found)[check].ok is False and told in checks(found)[check].detail


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([{"name": "a", "media_type": "b", "digest": "c", "bytes": "x"}], "files.0.bytes"),
        ([{"name": "a", "media_type": "b", "digest": "c", "bytes": -1}], "files.0.bytes"),
        ([7], "files.0"),
        (7, "files"),
    ],
)
def test_an_entry_that_describes_no_files_is_named(bundle, prove, files, told):
    found = prove(with_entry(bundle, files=files))
    assert found.verdict == "failed"
    assert checks(found)["entry"].ok is False and told in checks(found)["entry"].detail


def test_an_entry_nested_without_end_is_no_json_object(bundle, prove):
    found = prove({**bundle, "entry": "[" * 100_000})
    assert checks(found)["entry"].ok is False and "no JSON object" in checks(found)["entry"].detail


def test_a_card_that_lists_its_collections_as_anything_says_nothing(bundle, prove, place):
    card = {"training_data": {"collections": 5}}
    found = prove({**bundle, "card": card, "recipe": {**bundle["recipe"], "model": {"name": "no", "digest": "no"}}})
    assert "does not say what it learnt from" in checks(found)["training data"].detail


def test_the_beginning_of_a_digest_names_no_weights(place, assets):
    found = {
        each.name: each
        for each in model_checks(
            {"model": {"name": "tiny", "digest": "sha256:"}}, [place.settings.model_folder], place.keys
        )
    }
    assert found["model"].ok is None and "no weights of tiny" in found["model"].detail


BODIES = ['{"a": 1152921504606846976}', "{}", "[]", "5", '{"model": 5}', '{"model": {"name": "tiny"}}']


def test_a_recipe_row_that_holds_anything_is_a_failure_that_is_named(own_place):
    [asset] = own_place.make(1).values()
    for body in BODIES:
        own_place.force("UPDATE recipes SET body = CAST(:body AS jsonb) WHERE id = :id", body=body, id=asset.id)
        found = own_place.auditor(reproduce=True).audit_asset(asset.id)
        json.dumps(found.as_json())
        assert found.verdict == "failed", body
        assert checks(found)["recipe"].ok is False and checks(found)["model"].ok is False, body
        assert checks(found)["rows"].ok is False and checks(found)["reproduced"].ok is False, body
        whole = audit_catalogue(own_place.auditor(reproduce=True), "study")
        assert checks(whole)["rows"].ok is False, body


def test_other_rows_that_hold_anything_are_failures_that_are_named(own_place):
    changes = {
        "numeric_profile": "UPDATE assets SET numeric_profile = '[1]' WHERE id = :id",
        "attributes": "UPDATE assets SET attributes = '3' WHERE id = :id",
        "stages": "UPDATE stage_executions SET detail = '[]' WHERE asset_id = :id",
        "files": "UPDATE asset_files SET digest = 'x' WHERE role = 'midi' AND asset_id = :id",
    }
    made = own_place.make(*range(len(changes)))
    for (part, statement), asset in zip(changes.items(), made.values(), strict=True):
        own_place.force(statement, id=asset.id)
        found = own_place.auditor(reproduce=True).audit_asset(asset.id)
        json.dumps(found.as_json())
        assert checks(found)["rows"].ok is False and part in checks(found)["rows"].detail
    assert audit_catalogue(own_place.auditor(reproduce=True), "study").verdict == "failed"


@given(body=OBJECTS.map(json.dumps) | st.text(max_size=20))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_entry_that_holds_anything_is_not_what_the_rows_say(place, assets, body):
    with place.database.unit_of_work() as session:
        known, [entry] = lineage(session, assets[1].id), asset_entries(session, assets[1].id)
    assert rows_check(known, replace(entry, body=body.encode("utf-8", "replace"))).ok is False
