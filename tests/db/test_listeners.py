"""Listeners and their events; what goes with them, and what stays."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db.assets import record_assets
from db.errors import ListenerExistsError, UnknownListenerError
from db.ledger import entries_about
from db.listeners import Event, add_listener, events_before, forget_listener, list_listeners, record_events
from db.playlists import NewPlaylist, note_made_for, record_playlists
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
        assert sorted(events_before(session, LATER, known_at=LATER), key=lambda e: e.kind) == sorted(
            heard, key=lambda e: e.kind
        )


def test_what_was_heard_later_or_was_not_known_yet_is_left_out(plant, heard):
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
    with plant.database.unit_of_work() as session:
        assert list(events_before(session, NOON, known_at=LATER)) == []
        assert len(list(events_before(session, NOON + timedelta(minutes=1), known_at=LATER))) == 2
        assert list(events_before(session, LATER, known_at=NOON)) == []
        assert list(events_before(session, LATER, known_at=LATER, listener="ben")) == []


def test_a_name_is_given_once(plant, heard):
    with pytest.raises(ListenerExistsError, match="ann"), plant.database.unit_of_work() as session:
        add_listener(session, "ann", time_zone="UTC", consents=True)


def test_a_listener_is_forgotten_and_the_catalogue_stays(plant, heard):
    made, *_ = plant.ids(1)
    with plant.database.unit_of_work() as session:
        record_events(session, heard)
        session.execute(
            text("""UPDATE recipes SET body = body || '{"controls": {"personal": true, "taste_tokens": [1]}}'
                WHERE id = :id"""),
            {"id": made},
        )
        note_made_for(session, "run", NOON.date(), [("ann", made)])
        record_playlists(session, [NewPlaylist("ann", NOON.date(), '{"tracks":[]}', NOON)])
    with plant.database.unit_of_work() as session:
        gone = forget_listener(session, "ann")
    assert (gone.events, gone.playlists, list(gone.recipes)) == (3, 1, [made])
    with plant.database.unit_of_work() as session:
        assert [each.name for each in list_listeners(session)] == ["ben"]
        for table in ("listening_events", "playlists", "pieces_made_for"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        assert session.execute(text("SELECT count(*) FROM assets")).scalar_one() == 2
        controls = session.execute(text("SELECT body->'controls' FROM recipes WHERE id = :id"), {"id": made})
        assert controls.scalar_one() == {"personal": True}
        assert entries_about(session, made)[-1].content["erased"] == "taste tokens"
        with pytest.raises(UnknownListenerError, match="ann"):
            forget_listener(session, "ann")
