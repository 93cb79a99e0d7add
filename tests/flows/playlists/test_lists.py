"""A night's playlists as they are kept."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from taste_house import NOON

from actors.identity import canonical_json
from db.ledger import entries_about
from db.listeners import forget_listener, list_listeners
from db.playlists import clock, commitment, get_playlist, playlists_of
from db.recalls import withdraw
from flows.playlists.lists import Moment
from flows.playlists.nights import Night
from flows.playlists.replaying import replayed

ON = date(2026, 5, 1)


def night(*names, on=ON):
    return Night(on, NOON, names, is_present=True)


def kept(house, name, on=ON):
    with house.database.unit_of_work() as session:
        return get_playlist(session, name, on)


def body(house, name, on=ON):
    return json.loads(kept(house, name, on).body)


def assets(house, name, on=ON):
    return [track["asset"] for track in body(house, name, on)["tracks"]]


@pytest.fixture
def stocked(house):
    """Eighty assets; ann likes the piano, ben heard rain, cat said a sentence, dan nothing."""
    ids = house.stock(80)
    house.listener("ann", hears=ids[0:40:4], kind="liked")
    house.listener("ben", hears=ids[1:41:4])
    house.listener("cat", sentence="a flute")
    house.listener("dan")
    return ids


def test_every_listener_gets_a_list_with_reasons_and_an_entry_of_the_ledger(house, stocked):
    done = house.work().write(night("ann", "ben", "cat", "dan"))
    assert (done.playlists, done.empty, done.failed) == (4, 0, {})
    ann = body(house, "ann")
    assert ann["listener"] == "ann"
    assert len(ann["tracks"]) == 30
    assert {track["why"]["kind"] for track in ann["tracks"]} == {"known", "sound"}
    because = {t["why"]["because_of"] for t in ann["tracks"] if t["why"]["kind"] == "sound"}
    assert because <= set(stocked[0:40:4])
    assert "sounds like “piano number" in str(ann["tracks"])
    assert ann["candidates"]["by_sound"]
    assert {t["why"]["kind"] for t in body(house, "cat")["tracks"]} == {"sentence"}
    assert {t["why"]["kind"] for t in body(house, "dan")["tracks"]} == {"start"}
    with house.database.unit_of_work() as session:
        salt = list_listeners(session, ["ann"])[0].salt
        (entry,) = entries_about(session, commitment(salt, kept(house, "ann").digest))
    assert entry.kind == "playlist"


def test_the_same_night_twice_is_the_same_byte_for_byte_and_is_kept_once(house, stocked):
    work = house.work()
    names = ("ann", "ben", "cat", "dan")
    assert work.write(night(*names)).playlists == 4
    with house.database.unit_of_work() as session:
        first = {each.listener: each.body for each in playlists_of(session, ON)}
        session.execute(text("DELETE FROM playlists"))
    assert work.write(night(*reversed(names))).playlists == 4
    assert work.write(night(*names)).playlists == 0
    with house.database.unit_of_work() as session:
        assert {each.listener: each.body for each in playlists_of(session, ON)} == first
    assert all(canonical_json(json.loads(each)).decode() == each for each in first.values())


def test_another_date_is_another_list(house, stocked):
    work = house.work()
    work.write(night("ann"))
    work.write(night("ann", on=ON + timedelta(days=1)))
    assert assets(house, "ann") != assets(house, "ann", ON + timedelta(days=1))


def test_a_list_is_made_again_from_the_rows_of_its_time_whatever_was_heard_and_made_since(house, stocked):
    work = house.work()
    work.write(night("ann"))
    house.stock(20, start=80)
    house.hears("ann", stocked[:30], "hated")
    house.listener("eve", hears=stocked[:30])
    again = replayed(work.services, work.backend, kept(house, "ann"))
    assert again.digest == kept(house, "ann").digest
    assert work.lists(night("ann")).ears.heard.opinion_N.min() == -1, "a list of now would be another"


def test_a_list_is_made_again_whoever_became_a_listener_since(house, stocked):
    names = ["ann", "ben", "cat", "dan", "eva", "fay", "gus", "hal"]
    for number, name in enumerate(names[4:]):
        house.listener(name)
        house.hears(name, stocked[number : number + 40 : 2])
    for name in names[:4]:
        house.hears(name, stocked[0:40:3])
    work = house.work()
    work.write(night(*names))
    as_of = kept(house, "ann").as_of
    for name in ("abe", "bob", "zoe"):
        house.listener(name)
    lists = work.lists_of(Moment(date=ON, heard_before=NOON, as_of=as_of, model=house.model))
    assert [each.body for each in lists.make(names)] == [kept(house, name).body for name in names]
    assert lists.ears.names == names
    assert any(body(house, name)["candidates"]["heard_by_others"] for name in names), "each has a place among them"


def test_a_list_that_cannot_be_made_again_is_told(house, stocked):
    work = house.work()
    work.write(night("ann"))
    with house.database.unit_of_work() as session:
        session.execute(text("DELETE FROM listening_events WHERE listener = 'ann'"))
    again = replayed(work.services, work.backend, kept(house, "ann"))
    assert again.digest != kept(house, "ann").digest
    assert "deleted since" in again.detail


def test_what_is_withdrawn_or_hated_is_in_no_list(house, stocked):
    with house.database.unit_of_work() as session:
        withdraw(session, stocked[0:20:4], "a complaint")
    house.hears("ann", stocked[44:80:4], "hated")
    house.work().write(night("ann"))
    assert not set(assets(house, "ann")) & {*stocked[0:20:4], *stocked[44:80:4]}


def test_a_night_limited_to_licences_has_only_pieces_of_models_under_them_and_says_so(house, stocked):
    with house.database.unit_of_work() as session:
        session.execute(text('UPDATE model_versions SET card = card || \'{"licence": "CC0-1.0"}\''))
        session.execute(
            text("INSERT INTO lineage_edges VALUES (:child, :parent, 'vocals')"),
            [{"child": asset, "parent": "sha256:" + "a" * 64} for asset in stocked[40:60]],
        )
    house.work(licences=("CC0-1.0", "MIT")).write(night("ann", "dan"))
    ann = body(house, "ann")
    assert ann["filters"] == {"licences": ["CC0-1.0", "MIT"], "left_out": 20}
    assert len(ann["tracks"]) > 20
    assert not set(assets(house, "ann") + assets(house, "dan")) & set(stocked[40:60])
    work = house.work()
    again = replayed(work.services, work.backend, kept(house, "ann"))
    assert again.digest == kept(house, "ann").digest
    work.write(night("cat"))
    assert "filters" not in body(house, "cat")
    house.work(licences=("MIT",)).write(night("ben"))
    assert body(house, "ben")["note"] == "no piece of the catalogue is under MIT"


def test_of_an_old_list_stays_what_makes_it_again_and_what_the_ledger_names(house, stocked):
    work = house.work(playlist_days=30)
    work.write(night("ann"))
    whole = kept(house, "ann")
    new = datetime.now(UTC).date()
    work.write(Night(new, NOON, ("ann",), is_present=True))
    assert (work.prune(), work.prune()) == (1, 0)
    pruned = kept(house, "ann")
    assert pruned.pruned_at is not None
    assert not {"tracks", "candidates"} & set(json.loads(pruned.body))
    assert len(pruned.body) < len(whole.body) / 10
    assert pruned.digest == whole.digest
    assert replayed(work.services, work.backend, pruned).digest == whole.digest
    assert kept(house, "ann", new).pruned_at is None
    assert house.work().prune() == 0


def test_all_hated_or_an_empty_catalogue_gives_an_empty_list_that_says_why(house):
    house.listener("ann")
    house.work().write(night("ann"))
    assert body(house, "ann")["note"] == "the catalogue has no sound yet"
    house.listener("ben", hears=house.stock(8), kind="hated")
    done = house.work().write(night("ben"))
    assert (done.playlists, done.empty) == (1, 1)
    assert body(house, "ben")["note"] == "every piece of the catalogue is hated"


def test_a_listener_with_corrupt_events_is_named_and_the_others_have_the_lists_they_would_have_without(
    house, stocked
):
    expected = house.work()
    expected.write(night("ann"))
    before = kept(house, "ann").body
    house.listener("eve", hears=stocked[:10])
    with house.database.unit_of_work() as session:
        session.execute(text("DELETE FROM playlists"))
        session.execute(text("ALTER TABLE listening_events DROP CONSTRAINT listening_events_kind_check"))
        session.execute(text("UPDATE listening_events SET kind = 'explodes' WHERE listener = 'eve'"))
    done = house.work().write(night("ann", "eve"))
    assert done.playlists == 1
    assert "of a kind that is not known" in done.failed["eve"]
    assert kept(house, "ann").body == before


def test_who_was_deleted_in_the_meantime_gets_none_and_stops_nobody(house, stocked):
    work = house.work()
    with house.database.unit_of_work() as session:
        forget_listener(session, "ben")
    done = work.write(night("ann", "ben"))
    assert done.playlists == 1
    assert "was deleted" in done.failed["ben"]


def test_lists_are_made_of_what_was_heard_before_their_night(house, stocked):
    work = house.work()
    house.hears("dan", stocked[:10], at=NOON + timedelta(minutes=1))
    with house.database.unit_of_work() as session:
        as_of = clock(session)
    moment = Moment(date=ON, heard_before=NOON, as_of=as_of, model=house.model)
    (made,) = work.lists_of(moment).make(["dan"])
    assert {track["why"]["kind"] for track in json.loads(made.body)["tracks"]} == {"start"}
