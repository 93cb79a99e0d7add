"""Listeners and their events; what goes with them, and what stays."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db.assets import lineage, record_assets
from db.errors import ListenerExistsError, UnknownListenerError
from db.ledger import entries_about
from db.listeners import (
    Event,
    add_listener,
    consenting_listeners,
    count_events,
    forget_listener,
    list_listeners,
    meetings,
    record_events,
)
from db.playlists import NewPlaylist, PieceFor, clock, commitment, get_playlist, note_pieces_for, record_playlists
from db.work import claim

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def heard(plant):
    """Two assets, two listeners, and what the first of them heard."""
    run = plant.plan(1, 2)
    with plant.database.unit_of_work() as session:
        for row in claim(session, run, "me", 2, 60):
            record_assets(session, plant.maker("me"), [plant.finished(row)])
        for name in ("ann", "ben"):
            add_listener(session, name, time_zone="Europe/Berlin", consents=True)
    ids = plant.ids(1, 2)
    return [
        Event("ann", NOON, ids[0], "completed"),
        Event("ann", NOON, ids[0], "liked"),
        Event("ann", NOON + timedelta(hours=1), ids[1], "skipped"),
    ]


def test_events_that_come_twice_are_kept_once(plant, heard):
    with plant.database.unit_of_work() as session:
        assert record_events(session, heard + heard[:1]) == 3
    with plant.database.unit_of_work() as session:
        assert record_events(session, heard) == 0
        assert count_events(session) == {"ann": 3}


def test_meetings_sum_up_what_a_listener_heard_of_an_asset(plant, heard):
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
    with plant.database.unit_of_work() as session:
        found = {each.asset_id: each for each in meetings(session, LATER, known_at=LATER)}
    first, second = (found[event.asset_id] for event in heard[1:])
    assert (first.completed, first.skipped, first.liked_at, first.hated_at) == (1, 0, NOON.timestamp(), None)
    assert (second.completed, second.skipped, second.last_at) == (0, 1, NOON.timestamp() + 3600)


def test_what_was_heard_later_or_was_not_known_yet_is_left_out(plant, heard):
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
    with plant.database.unit_of_work() as session:
        assert list(meetings(session, NOON, known_at=LATER)) == []
        assert len(list(meetings(session, NOON + timedelta(minutes=1), known_at=LATER))) == 1
        assert list(meetings(session, LATER, known_at=NOON)) == []


def test_who_was_no_listener_yet_or_had_not_consented_is_left_out(plant, heard):
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
        add_listener(session, "cat", time_zone="UTC", consents=False)
        now = clock(session)
    with plant.database.unit_of_work() as session:
        assert [each.name for each in consenting_listeners(session, known_at=now)] == ["ann", "ben"]
        session.execute(text("UPDATE listeners SET created_at = :at WHERE name = 'ann'"), {"at": LATER})
        session.execute(text("UPDATE listeners SET consented_at = :at WHERE name = 'ben'"), {"at": LATER})
        assert consenting_listeners(session, known_at=now) == []
        assert list(meetings(session, LATER, known_at=now)) == []


def test_a_playlist_is_kept_once_a_date_with_an_entry_that_names_nobody(plant, heard):
    with plant.database.unit_of_work() as session:
        new = [NewPlaylist(name, NOON.date(), '{"tracks":[]}', NOON) for name in ("ann", "nobody")]
        assert record_playlists(session, new) == ["ann"]
    with plant.database.unit_of_work() as session:
        assert record_playlists(session, [NewPlaylist("ann", NOON.date(), "{}", NOON)]) == []
        kept = get_playlist(session, "ann")
        salt = list_listeners(session, ["ann"])[0].salt
        entry = entries_about(session, commitment(salt, kept.digest))[-1]
    assert kept.body == '{"tracks":[]}'
    assert entry.kind == "playlist" and b"ann" not in entry.body


def test_a_name_is_given_once(plant, heard):
    with pytest.raises(ListenerExistsError, match="ann"), plant.database.unit_of_work() as session:
        add_listener(session, "ann", time_zone="UTC", consents=True)


def test_a_listener_is_forgotten_and_the_catalogue_stays(plant, heard):
    made, *_ = plant.ids(1)
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
        piece = PieceFor(made, "ann", NOON.date(), "run", 20.0, {"chance": "00", "tokens": [1]}, "{}")
        note_pieces_for(session, [piece])
        record_playlists(session, [NewPlaylist("ann", NOON.date(), '{"tracks":[]}', NOON)])
    with plant.database.unit_of_work() as session:
        gone = forget_listener(session, "ann")
    assert (gone.events, gone.playlists, list(gone.pieces)) == (3, 1, [made])
    with plant.database.unit_of_work() as session:
        assert [each.name for each in list_listeners(session)] == ["ben"]
        for table in ("listening_events", "playlists", "pieces_made_for"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        assert session.execute(text("SELECT count(*) FROM assets")).scalar_one() == 2
        assert lineage(session, made).personal is None
        assert entries_about(session, made)[-1].content["erased"] == "taste tokens"
        with pytest.raises(UnknownListenerError, match="ann"):
            forget_listener(session, "ann")
