"""The steps of a night on their own, and what can go wrong around them."""

import http.server
import json
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime

import psycopg
import pytest
import tiny_musiclm
from answering import answering
from sqlalchemy import text
from sqlalchemy.engine import make_url
from taste_house import NOON

from db.content_vectors import without_content
from db.errors import UnknownListenerError, UnknownPlaylistError
from db.playlists import failures_of, get_playlist, playlists_of
from flows.playlists.night import MOST_TRIES
from flows.playlists.nights import Night
from flows.playlists.notifying import notify
from flows.playlists.placing import place_assets, taste_version, versions_alike
from flows.settings import Settings
from models.musiclm.joint_space import JointSpace
from models.weights import UnknownModelError


def test_those_who_have_their_playlist_are_not_due_again(house):
    house.stock(8)
    house.listener("ann")
    house.listener("ben", time_zone="Asia/Tokyo")
    work = house.work()
    nights, strange = work.due(None, None, 0)
    assert not strange
    assert sorted(name for night in nights for name in night.names) == ["ann", "ben"]
    for night in nights:
        work.write(night)
    assert work.due(None, None, 0)[0] == []


def test_a_night_that_was_killed_in_the_middle_ends_with_one_list_each(house):
    house.stock(8)
    for name in ("ann", "ben", "cat"):
        house.listener(name)
    work = house.work()
    (night,) = work.due(None, None, 0)[0]
    work.write(Night(night.date, night.due_at, ("ann",), is_present=True))  # killed after the first
    (rest,) = work.due(None, None, 0)[0]
    assert rest.names == ("ben", "cat")
    assert work.write(night).playlists == 2
    with house.database.unit_of_work() as session:
        assert [each.listener for each in playlists_of(session, night.date)] == ["ann", "ben", "cat"]


def test_the_clock_gives_up_a_list_that_cannot_be_made_after_some_tries_and_says_so(house):
    ids = house.stock(8)
    house.listener("ann")
    house.listener("eve", hears=ids[:2])
    with house.database.unit_of_work() as session:
        session.execute(text("ALTER TABLE listening_events DROP CONSTRAINT listening_events_kind_check"))
        session.execute(text("UPDATE listening_events SET kind = 'explodes'"))
        session.execute(text("UPDATE listeners SET time_zone = 'Mars' WHERE name = 'ann'"))
    work = house.work()
    for tried in range(1, MOST_TRIES + 1):
        (night,), strange = work.due(None, None, 0)
        told = work.write(night).failed | strange
        assert sorted(told) == ["ann", "eve"]
        assert all(("given up" in why) == (tried == MOST_TRIES) for why in told.values())
    assert work.due(None, None, 0) == ([], {})
    with house.database.unit_of_work() as session, pytest.raises(UnknownPlaylistError, match="not known"):
        get_playlist(session, "eve", night.date)

    with house.database.unit_of_work() as session:
        session.execute(text("UPDATE listening_events SET kind = 'liked'"))
    ((again,), _) = work.due(None, ["eve"], 0)
    assert work.write(again).playlists == 1
    with house.database.unit_of_work() as session:
        assert not [name for name, _ in failures_of(session, [night.date]) if name == "eve"]


def test_a_name_that_nobody_has_is_refused(house):
    with pytest.raises(UnknownListenerError, match="eve"):
        house.work().due(None, ["eve"], 0)


def test_a_date_that_is_asked_for_may_be_long_past(house):
    house.listener("ann")
    (night,) = house.work().due(date(2020, 2, 29), None, 0)[0]
    assert (night.due_at, night.is_present) == (datetime(2020, 2, 29, 4, tzinfo=UTC), False)


def test_new_assets_are_placed_once_where_their_sound_is_heard(house):
    house.stock(4)
    with house.database.unit_of_work() as session:
        session.connection().exec_driver_sql("DELETE FROM content_vectors")
        assert len(without_content(session, house.model.digest)) == 4
    space = JointSpace(house.model)
    assert place_assets(house.backend, space).assets == 4
    assert place_assets(house.backend, space).assets == 0
    with house.database.unit_of_work() as session:
        content = session.connection().exec_driver_sql("SELECT tempo_bpm, key FROM content_vectors").all()
    assert all(key for _, key in content)


def test_an_asset_that_cannot_be_heard_is_named_and_the_others_are_placed(house):
    ids = house.stock(4)
    with house.database.unit_of_work() as session:
        session.connection().exec_driver_sql("DELETE FROM content_vectors")
        files = dict(without_content(session, house.model.digest))
    house.objects.remove(files[ids[2]].digest)
    placed = place_assets(house.backend, JointSpace(house.model))
    assert placed.assets == 3
    assert list(placed.failed) == [ids[2]]


def test_a_version_with_the_joint_space_of_another_need_not_hear_its_assets_again(house):
    folder = house.settings.model_folder
    ids = house.stock(4)
    newer = tiny_musiclm.version(folder / "newer", takes=3)
    stranger = tiny_musiclm.version(folder / "stranger", seed=5)
    assert house.model.digest in versions_alike(newer, house.settings)
    assert stranger.digest not in versions_alike(newer, house.settings)
    assert versions_alike(stranger, house.settings) == []

    with house.database.unit_of_work() as session:
        files = dict(without_content(session, newer.digest))
        heard = session.connection().exec_driver_sql("SELECT asset_id, vector::text FROM content_vectors").all()
    assert sorted(files) == sorted(ids)
    for file in files.values():
        house.objects.remove(file.digest)  # so that nothing can be heard
    work = house.work(taste_model=newer.reference)
    assert (work.place().assets, work.place().assets) == (4, 0)
    with house.database.unit_of_work() as session:
        query = text("SELECT asset_id, vector::text FROM content_vectors WHERE model_digest = :digest")
        taken = session.execute(query, {"digest": newer.digest}).all()
    assert sorted(map(tuple, taken)) == sorted(map(tuple, heard))


def test_tastes_are_told_by_the_named_or_the_newest_musiclm(house):
    assert taste_version(house.settings).name == "musiclm-tiny"
    newest = taste_version(house.settings.model_copy(update={"taste_model": None}))
    assert newest.config["architecture"] == "musiclm"
    with pytest.raises(UnknownModelError, match="no MusicLM"):
        taste_version(house.settings.model_copy(update={"taste_model": "score-small"}))


@contextmanager
def listening():
    """A server that keeps what it is told."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def test_somebody_is_told_how_the_night_went_and_if_nobody_answers_the_night_is_none_the_worse(tmp_path):
    with listening() as (url, told):
        assert notify(Settings(home=tmp_path, notify_url=url), {"failed": {"ann": "Zürich"}}) is True
    assert told == [{"failed": {"ann": "Zürich"}}]
    assert notify(Settings(home=tmp_path, notify_url=url), {}) is False
    assert notify(Settings(home=tmp_path), {}) is None


def test_a_night_is_none_the_worse_for_who_answers_no_http_or_has_no_address(tmp_path):
    with answering(b"220 mail.example.org ESMTP\r\n") as port:
        assert notify(Settings(home=tmp_path, notify_url=f"http://127.0.0.1:{port}/"), {}) is False
    with answering(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200) as port:
        assert notify(Settings(home=tmp_path, notify_url=f"http://127.0.0.1:{port}/"), {}) is False
    for url in ("http://127.0.0.1:port/", f"http://{'a' * 70}.org/", "http://[::1/"):
        assert notify(Settings(home=tmp_path, notify_url=url), {}) is False


def test_a_database_that_is_away_for_a_while_is_waited_for(house):
    house.stock(8)
    house.listener("ann")
    work = house.work(database_url=house.database.url)
    with psycopg.connect(server_of(house), autocommit=True) as admin:
        name = make_url(house.database.url).database
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        back = threading.Timer(2.0, lambda: admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        back.start()
        done = work.write(Night(date(2026, 5, 1), NOON, ("ann",), is_present=True))
        back.join()
    assert done.playlists == 1


def server_of(house):
    url = make_url(house.database.url).set(drivername="postgresql", database="postgres")
    return url.render_as_string(hide_password=False)
