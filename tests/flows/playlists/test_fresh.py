"""Pieces made for listeners: budget, shares, privacy, and going on after being killed."""

import io
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
import soundfile
from sounding import checks
from sqlalchemy import text
from taste_house import NOON

from actors.marking.manifests import read_manifest
from db.assets import get_asset, lineage
from db.checkpoints import sign_checkpoint
from db.ledger import entries_about
from db.listeners import forget_listener
from db.playlists import get_playlist, pieces_of
from db.records import FolderRecords
from db.runs import get_run, stop_run, take_run
from db.work import progress
from flows.keys import load_keys
from flows.playlists.fresh import CATALOGUE, Budget
from flows.playlists.lists import Failed
from flows.playlists.nights import Night
from flows.provenance.audits import Auditor
from models.musiclm.joint_space import JointSpace

ON = date(2026, 5, 1)
NIGHT = Night(ON, NOON, ("ann", "ben"), is_present=True)
PIECE_S = 1.2


def budget(pieces, most_each=2):
    return Budget(budget_s=pieces * PIECE_S, piece_s=PIECE_S, most_each=most_each)


@pytest.fixture
def stocked(house):
    """Ann heard every piano and every rain there is, ben all drums; so the catalogue has nothing new for either."""
    ids = house.stock(40)
    house.listener("ann", hears=[*ids[0::4], *ids[1::4]], kind="liked")
    house.listener("ben", hears=ids[3::4], kind="liked")
    return ids


def pieces(house, on=ON):
    with house.database.unit_of_work() as session:
        return pieces_of(session, on)


def test_each_mood_that_nothing_new_serves_becomes_a_recipe_that_tells_no_taste(house, stocked):
    work = house.work()
    (run,) = work.ask(NIGHT, budget(10), None)
    asked = pieces(house)
    assert sorted(each.listener for each in asked) == ["ann", "ann", "ben"]
    assert {each.run_id for each in asked} == {run}
    for each in asked:
        recipe = json.loads(each.body)
        assert list(recipe["controls"]) == ["taste"]
        assert recipe["controls"]["taste"].startswith("sha256:")
        assert str(each.personal["tokens"])[1:-1] not in each.body
        assert recipe["prompt"].startswith("new, near: ")
    with house.database.unit_of_work() as session:
        assert get_run(session, run).catalogue == CATALOGUE


def test_tokens_are_those_of_the_listeners_own_taste(house, stocked):
    work = house.work()
    work.ask(NIGHT, budget(10), None)
    lists = work.lists(NIGHT)
    (ben,) = [each for each in pieces(house) if each.listener == "ben"]
    ((_, known),) = lists.people(["ben"])
    assert not isinstance(known, Failed)
    drums = lists.shelf.vector_IE[known[1].liked].mean(axis=0)
    assert ben.personal["tokens"] == JointSpace(house.model).tokens(drums / (drums @ drums) ** 0.5)


def test_a_date_never_gets_more_than_its_budget_however_often_it_is_asked(house, stocked):
    work = house.work()
    work.ask(NIGHT, budget(2), None)
    assert sorted(each.listener for each in pieces(house)) == ["ann", "ben"], "one each before two for anybody"
    work.ask(NIGHT, budget(2), None)
    house.listener("cat", hears=stocked[2::4], kind="liked")
    work.ask(NIGHT, budget(2.9), None)
    assert len(pieces(house)) == 2
    work.ask(NIGHT, budget(3), None)
    assert sorted(each.listener for each in pieces(house)) == ["ann", "ben", "cat"]


def test_who_had_more_on_earlier_nights_is_served_later(house, stocked):
    work = house.work()
    work.ask(NIGHT, budget(1), None)
    (first,) = pieces(house)
    tomorrow = Night(ON + timedelta(days=1), NOON, NIGHT.names, is_present=True)
    work.ask(tomorrow, budget(1), None)
    (second,) = pieces(house, tomorrow.date)
    assert {first.listener, second.listener} == {"ann", "ben"}


def test_nothing_is_asked_for_without_a_budget_or_for_others_than_named(house, stocked):
    work = house.work()
    assert work.ask(NIGHT, budget(0), None) == []
    work.ask(NIGHT, budget(10), ["ben"])
    assert {each.listener for each in pieces(house)} == {"ben"}


def test_killed_at_any_point_the_same_pieces_are_made_in_the_end(house, stocked):
    (run,) = house.work().ask(NIGHT, budget(2), None)
    asked = pieces(house)
    with house.database.unit_of_work() as session:  # as if killed after the rows and before the plan
        for table in ("run_items", "work"):
            session.execute(text(f"DELETE FROM {table} WHERE recipe_id IN (SELECT recipe_id FROM pieces_made_for)"))
        session.execute(text("DELETE FROM runs WHERE id = :run"), {"run": run})
        session.execute(text("DELETE FROM recipes WHERE id IN (SELECT recipe_id FROM pieces_made_for)"))
    assert house.work().ask(NIGHT, budget(2), None) == [run]
    assert house.work().ask(NIGHT, budget(2), None) == [run]  # as if killed after the plan
    with house.database.unit_of_work() as session:  # as if stopped while they are made
        take_run(session, run, "driver", 0.0)
        assert stop_run(session, run, "driver", 1.0).state == "stopped"
    assert house.work().ask(NIGHT, budget(2), None) == [run]
    assert pieces(house) == asked
    with house.database.unit_of_work() as session:
        assert progress(session, run).open == 2


@pytest.fixture
def made(house, stocked):
    """Two pieces as the real tiny model makes them, and the lists of their night."""
    work = house.work()
    (run,) = work.ask(NIGHT, budget(2), None)
    assert house.make_run(run).made == 2
    assert work.place().assets == 2
    work.write(NIGHT)
    places = [house.objects.records, FolderRecords(house.settings.checkpoint_folder)]
    with house.database.unit_of_work() as session:
        sign_checkpoint(session, load_keys(house.settings).log, places)
    return {each.listener: each for each in pieces(house)}


def audit(house, asset_id, **changes):
    keys = load_keys(house.settings)
    return checks(Auditor(settings=house.settings, backend=house.backend, keys=keys, **changes).audit_asset(asset_id))


def test_a_piece_is_made_from_the_taste_is_in_its_listeners_list_and_tells_nothing_of_them(house, made):
    ann = made["ann"]
    with house.database.unit_of_work() as session:
        asset, known = get_asset(session, ann.recipe_id), lineage(session, ann.recipe_id)
        body = json.loads(get_playlist(session, "ann", ON).body)
        ben = get_playlist(session, "ben", ON).body
    (track,) = [track for track in body["tracks"] if track["asset"] == asset.id]
    assert track["why"]["words"].startswith("made for you, because you like “")
    assert f'"asset":"{asset.id}"' not in ben.split('"candidates"')[1]
    file = asset.files[[f.role for f in asset.files].index("waveform")]
    data = house.objects.get(file.digest)
    assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(PIECE_S)
    manifest = read_manifest(data, "audio/flac", load_keys(house.settings).manifests.root, None)
    told = json.dumps([manifest.recipe, known.recipe, [dict(stage.detail) for stage in known.stages]])
    assert str(list(ann.personal["tokens"])) not in told
    assert ann.personal["chance"] not in told
    assert '"ann"' not in told
    assert audit(house, asset.id, reproduce=True)["reproduced"].ok is True


def test_a_deleted_listener_leaves_pieces_that_are_proved_and_that_nobody_can_make_again(house, made):
    piece = made["ann"].recipe_id
    before = audit(house, piece)
    with house.database.unit_of_work() as session:
        gone = forget_listener(session, "ann")
    assert list(gone.pieces) == [piece]
    after = audit(house, piece, reproduce=True)
    assert {name: after[name].ok for name in before} == {name: check.ok for name, check in before.items()}
    assert after["reproduced"].ok is None
    assert "taste it was made from is erased" in after["reproduced"].detail
    with house.database.unit_of_work() as session:
        assert lineage(session, piece).personal is None
        assert entries_about(session, piece)[-1].kind == "erasure"


def test_tokens_that_were_changed_make_nothing(house, stocked):
    (run,) = house.work().ask(NIGHT, budget(2), None)
    changed = replace(pieces(house)[0], personal={**pieces(house)[0].personal, "tokens": [0, 0, 0]})
    with house.database.unit_of_work() as session:
        session.execute(
            text("UPDATE pieces_made_for SET personal = CAST(:personal AS jsonb) WHERE recipe_id = :id"),
            {"personal": json.dumps(dict(changed.personal)), "id": changed.recipe_id},
        )
    report = house.make_run(run)
    assert (report.made, report.failed) == (1, 1)
