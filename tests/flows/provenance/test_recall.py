"""Recalls through generations, withdrawals, and the erasure of an input."""

import pytest
from sounding import checks

from db.assets import AssetFilter, get_asset, list_assets, search_assets
from db.ledger import entries_about
from db.recalls import touched_by, withdraw
from flows.provenance.catalogue_audit import audit_catalogue
from flows.provenance.recall import RecallError, erase_input, find, find_told, withdraw_all
from flows.services import Backend, Services
from flows.shelf import shelve


@pytest.fixture
def services(own_place):
    return Services(own_place.settings)


@pytest.fixture
def backend(own_place):
    return Backend(own_place.database, own_place.objects)


@pytest.fixture
def family(own_place):
    """Asset 1 sings to the vocals; 2 has a file of 1 in it, 3 has 2 as a whole; 4 is of the same model alone."""
    place = own_place
    vocals = place.objects.put(b"a voice")
    made = place.make(1, 2, 3, 4)
    parents = {
        1: vocals,
        2: next(file.digest for file in made[1].files if file.role == "midi"),
        3: made[2].digest,
    }
    for seed, digest in parents.items():
        place.force("INSERT INTO lineage_edges VALUES (:id, :digest, 'input')", id=made[seed].id, digest=digest)
    return vocals, made


def listed(place):
    with place.database.unit_of_work() as session:
        return sorted(asset.seed for asset in list_assets(session, AssetFilter()))


def test_an_input_is_followed_through_every_generation(own_place, family):
    vocals, made = family
    with own_place.database.unit_of_work() as session:
        found = touched_by(session, [vocals])
    assert [(each.asset, each.generation) for each in found] == [(made[n].id, n) for n in (1, 2, 3)]


def test_a_model_or_a_training_item_recalls_all_that_was_made_with_it(own_place, family):
    with own_place.database.unit_of_work() as session:
        for subject in (
            "tiny",
            f"tiny@{own_place.model.digest[:20]}",
            own_place.model.digest,
            "nothing",
            "sha256:0000",
        ):
            assert len(find(session, subject).touched) == 4, subject
        with pytest.raises(RecallError, match="no model, no training item"):
            find(session, "elsewhere")


def test_an_asset_or_the_words_of_prompts_are_recalled_with_what_they_went_into(own_place, family):
    _, made = family
    with own_place.database.unit_of_work() as session:
        found = find(session, made[2].id[:12]).touched
        assert [(each.asset, each.generation) for each in found] == [(made[2].id, 0), (made[3].id, 1)]
        assert len(find_told(session, "SLOW*").touched) == 4
        for pattern in ("piano", "slow_piano", "100%"):
            with pytest.raises(RecallError, match="no asset has a prompt"):
                find_told(session, pattern)


def test_a_withdrawal_undone_by_a_superuser_is_found(own_place, services, backend):
    made = own_place.make(1)
    with own_place.database.unit_of_work() as session:
        recall = find(session, made[1].id)
    withdraw_all(services, backend, recall, "the singer asked")
    assert checks(audit_catalogue(own_place.auditor(), None))["withdrawals"].ok
    own_place.force("UPDATE withdrawals SET reason = 'nobody asked'")
    assert "not the one in the ledger" in checks(audit_catalogue(own_place.auditor(), None))["withdrawals"].detail
    own_place.force("DELETE FROM withdrawals")
    assert "is listed again" in checks(audit_catalogue(own_place.auditor(), None))["withdrawals"].detail


def test_what_is_withdrawn_is_off_every_list_and_the_reason_is_in_the_ledger(own_place, family, services, backend):
    vocals, made = family
    with own_place.database.unit_of_work() as session:
        recall = find(session, vocals)
    assert len(withdraw_all(services, backend, recall, "the singer asked")) == 3
    assert withdraw_all(services, backend, recall, "again") == []
    assert listed(own_place) == [4]
    with own_place.database.unit_of_work() as session:
        assert [asset.seed for asset in search_assets(session, "piano")] == [4]
        assert get_asset(session, made[1].id).seed == 1, "it can still be looked at"
        entry = entries_about(session, made[1].id)[-1]
    assert entry.kind == "withdrawal" and entry.content["reason"] == "the singer asked"
    assert "the singer asked" in checks(own_place.auditor().audit_asset(made[1].id))["withdrawal"].detail


def test_a_withdrawal_that_was_killed_is_completed_when_it_is_said_again(own_place, family, services, backend):
    vocals, made = family
    shelf = services.shelf("study")
    shelve(shelf, list(made.values()), own_place.objects)
    with own_place.database.unit_of_work() as session:  # killed once the rows were there
        withdraw(session, [made[1].id, made[2].id], "the singer asked")
    with own_place.database.unit_of_work() as session:
        recall = find(session, vocals)
    assert withdraw_all(services, backend, recall, "the singer asked") == [made[3].id]
    assert [path.name[-12:] for path in shelf.iterdir()] == [made[4].id[:12]]


def test_an_erased_input_is_gone_and_what_was_made_of_it_is_proved_as_before(own_place, services, backend):
    place = own_place
    vocals = place.objects.put(b"a voice")
    made = place.make(1)
    place.force("INSERT INTO lineage_edges VALUES (:id, :digest, 'vocals')", id=made[1].id, digest=vocals)
    before = checks(place.auditor().audit_asset(made[1].id))
    with pytest.raises(RecallError, match="no input"):
        erase_input(services, backend, made[1].files[0].digest, "mine")
    erase_input(services, backend, vocals, "asked to be forgotten")
    assert not place.objects.exists(vocals)
    after = checks(place.auditor().audit_asset(made[1].id))
    assert after["inclusion"].ok and after["rows"].detail == before["rows"].detail
    with place.database.unit_of_work() as session:
        assert entries_about(session, vocals)[0].content["reason"] == "asked to be forgotten"
