"""Listening events as they are written."""

import json
from datetime import UTC, datetime

import pytest

from flows.errors import OrderError
from flows.playlists.listening import assets_of, read_events

ONE, TWO, THREE = "a" * 64, "a" * 12 + "b" * 52, "c" * 64
ASSETS = assets_of({ONE: "calm piano", TWO: "rain", THREE: "Rain "})
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def read(path, text, listener=None, consenting=("ann", "ben")):
    path.write_text(text, encoding="utf-8")
    return read_events(path, listener=listener, consenting=consenting, assets=ASSETS, now=NOW)


def test_a_csv_has_an_event_a_row(tmp_path):
    text = f"listener,asset,event,at\nann,{ONE},liked,2026-05-01T20:15:00+02:00\nben,{'c' * 12},skipped,1777662900\n"
    found = read(tmp_path / "a.csv", text)
    assert [(e.listener, e.asset_id, e.kind, e.heard_at.hour) for e in found.events] == [
        ("ann", ONE, "liked", 18),
        ("ben", THREE, "skipped", 19),
    ]


def test_a_jsonl_has_an_event_a_line_and_the_listener_may_be_given(tmp_path):
    line = json.dumps({"asset": ONE, "event": "completed", "at": "2026-05-01T20:15:00Z"})
    assert read(tmp_path / "a.jsonl", line + "\n\n", listener="ann").events[0].listener == "ann"


def listen(title, info=None, at=1777662900):
    return {"listened_at": at, "track_metadata": {"track_name": title, "additional_info": info or {}}}


def test_a_listenbrainz_export_gives_what_is_of_the_catalogue_by_id_or_by_a_title_only_one_has(tmp_path):
    items = [
        listen("whatever", {"origin_url": f"https://example.org/{ONE}"}),
        listen("Calm  PIANO"),
        listen("rain"),  # two assets are called so
        listen("a song by somebody else"),
        {"created": 1777662900, "score": 1, "recording_msid": ONE, "track_metadata": {"track_name": "x"}},
        {"created": 1777662900, "score": -1, "recording_msid": THREE},
        {"created": 1777662900, "score": 0, "recording_msid": THREE},
    ]
    found = read(tmp_path / "listens.json", json.dumps(items), listener="ann")
    assert [(e.asset_id, e.kind) for e in found.events] == [
        (ONE, "completed"),
        (ONE, "completed"),
        (ONE, "liked"),
        (THREE, "hated"),
    ]
    assert found.foreign == 3


def test_a_listen_of_a_player_that_told_nothing_more_is_read(tmp_path):
    item = {"listened_at": 1777662900, "track_metadata": {"track_name": "calm piano", "additional_info": None}}
    assert read(tmp_path / "a.json", json.dumps([item]), listener="ann").events[0].asset_id == ONE


def test_an_answer_of_listenbrainzs_api_is_read_too(tmp_path):
    answer = {"payload": {"listens": [listen("calm piano") | {"user_name": "ben"}]}}
    assert read(tmp_path / "a.json", json.dumps(answer)).events[0].listener == "ben"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", f"listener,asset,event,at\nann,{ONE},adored,1777662900\n", r"a.csv:2: event: .*'completed'"),
        ("a.csv", f"listener,asset,event,at\nann,{ONE},liked,yesterday\n", r":2: at: 'yesterday' is no time"),
        ("a.csv", f"listener,asset,event,at\nann,{ONE},liked,2026-05-01T20:15:00\n", "does not say its zone"),
        (
            "a.csv",
            f"listener,asset,event,at\nann,{ONE},liked,0001-01-01T00:00:00+14:00\n",
            "before the year 1",
        ),
        (
            "a.csv",
            f"listener,asset,event,at\nann,{ONE},liked,9999-12-31T23:00:00-14:00\n",
            ":2: at: .* after 9999",
        ),
        (
            "a.csv",
            f"listener,asset,event,at\nann,{ONE},liked,1900-01-01T00:00:00Z\n",
            ":2: at: '1900-01-01T00:00:00Z' is 1900-01-01, before anything heard was recorded",
        ),
        ("a.csv", f"listener,asset,event,at\nann,{ONE},liked,0\n", ":2: at: 0.0 is 1970-01-01, before anything"),
        ("a.csv", "listener,asset,event,at\n", "a.csv: empty; listening events are"),
        ("a.jsonl", "\n", "a.jsonl: empty; listening events are"),
        ("a.json", json.dumps([listen("rain", at=10**400)]), r"listened_at: .* is no time in seconds"),
        ("a.json", json.dumps([listen("rain", at=float("nan"))]), r"listened_at: .* is no time in seconds"),
        ("a.jsonl", "7\n", "a.jsonl:1: not a JSON object"),
        ("a.csv", f"listener,asset,event,at\nann,{ONE},liked,2026-07-01T20:15:00Z\n", "has not come yet"),
        ("a.csv", "listener,asset,event,at\nann,aaaaaaaaaaaa,liked,1777662900\n", "there is no asset"),
        ("a.csv", "listener,asset,event,at\nann,piano,liked,1777662900\n", "is no asset id"),
        ("a.csv", f"listener,asset,event,at\neve,{ONE},liked,1777662900\n", "'eve' is no listener who consented"),
        ("a.csv", f"asset,event,at\n{ONE},liked,1777662900\n", "listener: is needed"),
        ("a.csv", f"listener,asset,event,at,mood\nann,{ONE},liked,1777662900,x\n", "unknown key"),
        ("a.json", "{", "not JSON"),
        ("a.json", '{"tracks": []}', "is a list of listens"),
        ("a.json", json.dumps([listen("rain")]), "give --listener"),
        ("a.txt", "", "are a .csv, .jsonl, .json file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_line_and_key(tmp_path, name, text, problem):
    with pytest.raises(OrderError, match=problem):
        read(tmp_path / name, text)


def test_an_export_of_somebody_who_heard_nothing_is_taken(tmp_path):
    assert read(tmp_path / "a.json", '{"payload": {"listens": []}}', listener="ann").events == []
