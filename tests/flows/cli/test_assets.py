"""Commands that read: what cannot be asked for is refused, and what an answer leaves out is said."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from taste_house import new_house
from typer.testing import CliRunner

from db.playlists import get_playlist
from flows.cli.app import app
from flows.cli.output import in_words


@pytest.fixture
def house(databases, tmp_path, monkeypatch):
    """A house whose database the commands are given by address."""
    made = new_house(databases, tmp_path)
    monkeypatch.setenv("TUTTI_HOME", str(tmp_path))
    monkeypatch.setenv("TUTTI_DATABASE_URL", made.database.url)
    monkeypatch.setenv("TUTTI_TASTE_MODEL", "musiclm-tiny")
    yield made
    made.database.close()
    databases.drop(made.database.url)


def run(*arguments, code=0):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done


def test_a_catalogue_that_is_not_there_is_refused_and_one_that_is_is_listed(house):
    house.stock(2)
    refused = run("list", "--catalogue", "stok", code=2)
    assert (refused.stdout, refused.stderr) == ("", "tutti: there is no catalogue 'stok'; see `tutti runs`\n")
    assert len(json.loads(run("list", "--catalogue", "stock", "--json").stdout)["assets"]) == 2


@pytest.mark.parametrize("command", [["list"], ["search", "number"], ["search", "piano", "--by-sound"]], ids=" ".join)
def test_an_answer_says_whether_there_is_more(house, command):
    house.stock(4)
    some = json.loads(run(*command, "--limit", "3", "--json").stdout)
    assert (len(some["assets"]), some["more"]) == (3, True)
    assert run(*command, "--limit", "3").stdout.splitlines()[-1].startswith("… and more: --limit")
    every = json.loads(run(*command, "--limit", "4", "--json").stdout)
    assert (len(every["assets"]), every["more"]) == (4, False)
    assert "more" not in run(*command, "--limit", "4").stdout


def test_a_list_of_runs_says_whether_there_are_more(house):
    house.stock(1)
    house.stock(1, start=1)
    assert json.loads(run("runs", "--limit", "1", "--json").stdout)["more"] is True
    assert run("runs", "--limit", "1").stdout.splitlines()[-1] == "… and more: tutti runs --limit 10"
    assert json.loads(run("runs", "--limit", "2", "--json").stdout)["more"] is False


def test_a_search_by_sound_says_how_many_pieces_have_no_place_yet(house):
    house.stock(3)
    assert run("search", "piano", "--by-sound").stderr == ""
    with house.database.unit_of_work() as session:
        session.execute(text("DELETE FROM content_vectors"))
    done = run("search", "piano", "--by-sound")
    assert done.stderr == "3 pieces have no place by sound yet, which tutti playlists make gives\n"
    found = json.loads(run("search", "piano", "--by-sound", "--json").stdout)
    assert found == {"assets": [], "more": False, "unplaced": 3}


def test_an_asset_that_was_withdrawn_is_shown_with_when_and_why(house):
    first, second = house.stock(2)
    before = datetime.now(UTC)
    run("recall", first[:12], "--withdraw", "--reason", "the singer\nasked")
    withdrawn = json.loads(run("show", first[:12], "--json").stdout)["withdrawn"]
    assert withdrawn["reason"] == "the singer\nasked"
    at = datetime.fromisoformat(withdrawn["at"])
    assert abs(at - before) < timedelta(minutes=5)
    line = f"  withdrawn  {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: the singer asked"
    assert line in run("show", first[:12]).stdout.splitlines()
    assert json.loads(run("show", second[:12], "--json").stdout)["withdrawn"] is None
    assert "withdrawn" not in run("show", second[:12]).stdout


def test_a_playlist_is_handed_out_without_what_was_withdrawn_since_and_kept_and_made_again_with_it(house, tmp_path):
    house.listener("ann", hears=house.stock(24)[:4])
    work = house.work()
    for night in work.due(None, None, 0)[0]:
        work.write(night)
    kept = playlist(house)
    whole = json.loads(run("playlists", "show", "ann", "--json").stdout)
    assert whole["withdrawn"] == []
    first, second, *others = (track["asset"] for track in whole["tracks"])
    run("recall", second, "--withdraw", "--reason", "the singer asked")

    assert json.loads(run("playlists", "show", "ann", "--json").stdout) == whole | {"withdrawn": [second]}
    shown = run("playlists", "show", "ann").stdout.splitlines()
    marked = {line.split()[0] for line in shown if line.rstrip().endswith(" withdrawn")}
    assert marked == {second[:12]}
    assert "1 withdrawn since" in shown[-1]
    done = run("playlists", "export", "ann", "--to", str(tmp_path / "out"))
    assert done.stderr == "left out: 1 piece withdrawn since the playlist was made\n"
    tracks = {path.stem[-12:] for path in (tmp_path / "out" / "tracks").iterdir()}
    assert tracks == {each[:12] for each in (first, *others)}
    told = json.loads(run("playlists", "export", "ann", "--to", str(tmp_path / "out"), "--json").stdout)
    assert told["withdrawn"] == [second]
    assert playlist(house) == kept
    assert json.loads(run("playlists", "replay", "ann", "--json").stdout)["same"] is True


def playlist(house):
    with house.database.unit_of_work() as session:
        return get_playlist(session, "ann")


def test_what_was_read_from_a_prompt_is_shown_in_words():
    reading = {
        "left_out": [],
        "understood": [{"words": "slow", "value": [54, 72]}, {"words": "solo piano", "value": ["piano"]}],
        "heard": {"key": None, "sung": True, "tempo_bpm": 71.99999999},
    }
    assert in_words(reading) == [
        "left_out: none",
        "understood: words slow, value (54, 72)",
        "            words solo piano, value piano",
        "heard: key: none",
        "       sung: yes",
        "       tempo_bpm: 72",
    ]
    assert in_words("G major") == ["G major"]


def test_an_audit_of_what_cannot_be_looked_at_is_refused(house):
    assert run("audit", "x" * 300, code=2).stderr == f"tutti: {'x' * 300}: File name too long\n"
    assert run("audit", "none.flac", code=2).stderr.startswith("tutti: there is no asset 'none.flac'")
