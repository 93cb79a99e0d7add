"""Playlists from the command line, as somebody uses them: listeners, events, a night that is killed, files."""

import fcntl
import json
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import tiny_musiclm
from installation import wait_for
from services import Databases, embedded_postgres
from taste_house import House

from db.database import connect
from db.listeners import Event, add_listener, record_events
from db.model_versions import register_version
from db.objects import open_objects
from flows.model_choice import registration
from flows.settings import Settings
from models.weights import read_version

ORDER = """
catalogue: shelf
kind: soundscape
model: musiclm-tiny
duration_s: 1.5
tracks:
  - prompt: "{what}"
    matrix: {what: [a flute, rain, drums, strings, a harp, thunder]}
    count: 2
"""


@pytest.fixture
def tutti(new_installation):
    made = new_installation("musiclm-tiny", TUTTI_TASTE_MODEL="musiclm-tiny", TUTTI_SLOTS="4", TUTTI_WORKERS="1")
    tiny_musiclm.version(made.home / "models" / "musiclm-tiny", takes=1)
    return made


@pytest.fixture
def stocked(tutti):
    """The same, with assets on its shelf that were made before."""
    return stock(tutti, tutti.postgres.up(), 40)


def stock(tutti, address, count):
    database = connect(address)
    database.upgrade()
    settings = Settings(home=tutti.home, taste_model="musiclm-tiny")
    model = read_version(tutti.home / "models" / "musiclm-tiny")
    with database.unit_of_work() as session:
        register_version(session, registration(model))
    ids = House(database, open_objects(tutti.home / "objects"), settings, model).stock(count)
    database.close()
    return ids


@pytest.mark.timeout(600)
def test_listeners_events_and_a_night_without_new_audio(tutti, stocked, tmp_path):
    tutti.json("listeners", "add", "ann", "--consent", "--time-zone", "Europe/Berlin")
    tutti.json("listeners", "add", "ben", "--consent", "--sentence", "calm rain for reading")
    at = (datetime.now(UTC) - timedelta(days=60)).timestamp()
    listens = [
        {"listened_at": round(at), "track_metadata": {"track_name": name, "additional_info": {}}}
        for name in ("piano number 3", "piano number 4", "something else")
    ]
    export = tmp_path / "listens.json"
    export.write_text(json.dumps(listens))
    answer = tutti.json("listeners", "import", export, "--listener", "ann")
    assert answer == {"events": 2, "new": 2, "foreign": 1}
    told = tutti.json("playlists", "make", "--budget-s", "0")
    assert sum(night["playlists"] for night in told["nights"]) == 2
    assert (told["failed"], told["errors"], told["unplaced"]) == ({}, [], {})
    assert tutti.json("playlists", "make", "--budget-s", "0")["nights"] == []
    for on, problem in (("2099-01-01", "are not due yet"), ("1900-01-01", "before the first listener was added")):
        done = tutti.run("playlists", "make", "--date", on)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert problem in done.stderr
    done = tutti.run("playlists", "make", "--licence", "GPL")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "'GPL': no model that made anything here is under it" in done.stderr
    assert tutti.json("playlists", "replay", "ann")["same"] is True
    assert len(tutti.json("search", "a flute", "--by-sound", "--limit", "3")["assets"]) == 3
    done = tutti.run("playlists", "export", "ann", "--to", export)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    out = tmp_path / "out"
    files = tutti.json("playlists", "export", "ann", "--to", out)["files"]
    m3u8 = next(Path(file) for file in files if file.endswith(".m3u8"))
    paths = [line for line in m3u8.read_text().splitlines() if not line.startswith("#")]
    assert len(paths) == len(tutti.json("playlists", "show", "ann")["tracks"]) > 10
    assert all((out / path).is_file() for path in paths)
    assert tutti.json("listeners", "delete", "ann")["playlists"] == 1
    assert [each["listener"] for each in tutti.json("listeners", "list")["listeners"]] == ["ben"]
    assert tutti.run("playlists", "show", "ann").returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_that_is_killed_ends_with_a_playlist_for_everybody_and_pieces_within_the_budget(tutti, tmp_path):
    assets = tutti.json("generate", tutti.order(ORDER))["assets"]
    tutti.json("listeners", "add", "ann", "--consent", "--time-zone", "Europe/Berlin")
    tutti.json("listeners", "add", "ben", "--consent", "--sentence", "calm rain for reading")
    at = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    rows = [f"ann,{asset['id']},liked,{at}" for asset in assets if asset["prompt"] in ("a flute", "rain")]
    events = tmp_path / "events.csv"
    events.write_text("\n".join(["listener,asset,event,at", *rows]) + "\n")
    assert tutti.json("listeners", "import", events) == {"events": 4, "new": 4, "foreign": 0}
    assert tutti.json("listeners", "import", events)["new"] == 0

    process = tutti.start("playlists", "make", "--budget-s", "45", "--json")
    wait_for(lambda: tutti.query("SELECT 1 FROM pieces_made_for"))
    process.kill()
    process.wait()
    told = tutti.json("playlists", "make", "--budget-s", "45")
    assert sum(night["playlists"] for night in told["nights"]) == 2
    assert told["failed"] == {}
    assert told["errors"] == []
    assert tutti.query("SELECT count(*), count(DISTINCT listener) FROM playlists") == [(2, 2)]
    ((pieces, seconds),) = tutti.query("SELECT count(*), sum(duration_s) FROM pieces_made_for")
    assert 1 <= pieces == told["pieces"]
    assert seconds <= 45
    assert tutti.json("playlists", "make")["nights"] == []

    shown = tutti.json("playlists", "show", "ann")
    assert {"made", "known"} <= {track["why"]["kind"] for track in shown["tracks"]}
    assert {track["why"]["kind"] for track in tutti.json("playlists", "show", "ben")["tracks"]} == {"sentence"}
    gone = tutti.json("listeners", "delete", "ann")
    assert len(gone["pieces"]) == pieces
    assert tutti.json("audit", gone["pieces"][0])["verdict"] == "proved"
    assert tutti.query("SELECT listener FROM playlists") == [("ben",)]


AWAY_S, LISTENERS = 30, 40


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("budget_s", "table"), [("25", "pieces_made_for"), ("0", "playlists")])
def test_a_night_outlasts_that_its_own_database_and_prefects_are_away_for_half_a_minute(
    tutti, stocked, budget_s, table
):
    address = tutti.postgres.url()
    add_listeners(address, stocked)
    with halted_as_it_writes(address, table):
        process = tutti.start("playlists", "make", "--budget-s", budget_s, "--json")
        wait_for(lambda: ask(address, WAITING.format(table)))
        tutti.postgres.down()
    # One server holds both. Who holds the lock of its starts and stops keeps the night from starting it.
    with (tutti.home / "postgres" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(AWAY_S)
        assert process.poll() is None, process.communicate()[1]
    ended_as_if_nothing_had_been(process, address)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_outlasts_a_database_elsewhere_that_is_away_for_half_a_minute(new_installation):
    with embedded_postgres() as postgres:
        address = Databases(postgres.url()).empty()
        tutti = new_installation("musiclm-tiny", TUTTI_TASTE_MODEL="musiclm-tiny", TUTTI_DATABASE_URL=address)
        tiny_musiclm.version(tutti.home / "models" / "musiclm-tiny", takes=1)
        add_listeners(address, stock(tutti, address, 40))
        with halted_as_it_writes(address, "playlists"):
            process = tutti.start("playlists", "make", "--budget-s", "0", "--json")
            wait_for(lambda: ask(address, WAITING.format("playlists")))
            postgres.down()
        time.sleep(AWAY_S)
        assert process.poll() is None, process.communicate()[1]
        postgres.up()
        ended_as_if_nothing_had_been(process, address)


WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass"


@contextmanager
def halted_as_it_writes(address, table):
    """Let nobody write into a table until the server goes down."""
    connection = psycopg.connect(address.replace("+psycopg", ""))
    connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
    yield
    with suppress(psycopg.OperationalError):
        connection.close()


def ended_as_if_nothing_had_been(process, address):
    answer, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    told = json.loads(answer)
    assert (told["failed"], told["errors"], told["unplaced"]) == ({}, [], {})
    assert sum(night["playlists"] for night in told["nights"]) == LISTENERS
    counted = "SELECT count(*), count(DISTINCT listener) FROM playlists"
    assert ask(address, counted) == [(LISTENERS, LISTENERS)]
    entered = "SELECT count(*), count(DISTINCT subject) FROM ledger_entries WHERE kind = 'playlist'"
    assert ask(address, entered) == [(LISTENERS, LISTENERS)]


def add_listeners(address, assets):
    at = datetime.now(UTC) - timedelta(days=60)
    database = connect(address)
    with database.unit_of_work() as session:
        for number in range(LISTENERS):
            add_listener(session, f"listener {number}", time_zone="UTC", consents=True)
        heard = [
            Event(f"listener {number}", at, assets[(number + 4 * turn) % len(assets)], "liked")
            for number in range(LISTENERS)
            for turn in range(5)
        ]
        record_events(session, heard)
    database.close()


def ask(address, statement):
    with psycopg.connect(address.replace("+psycopg", "")) as connection:
        return connection.execute(statement).fetchall()


def test_what_is_wrong_is_told_in_a_line_with_exit_code_2(tutti):
    for words, problem in (
        (("listeners", "add", "ann"), "without their consent"),
        (("listeners", "add", "ann", "--consent", "--time-zone", "Mars"), "'Mars' is no time zone"),
        (("playlists", "make", "--date", "tomorrow"), "'tomorrow' is no date"),
        (("playlists", "show", "ann"), "nothing was ever made"),
        (("listeners", "delete", "ann"), "nothing was ever made"),
    ):
        done = tutti.run(*words)
        assert done.returncode == 2, done.stderr
        assert problem in done.stderr
        assert done.stderr.count("\n") == 1
