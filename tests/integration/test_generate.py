"""`tutti generate` and what one does with its catalogue, as a user does it: one process a command."""

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest

ORDER = """
catalogue: {catalogue}
model: tiny
seed: {seed}
duration_s: 4
tracks:
  - prompt: "{{mood}} piano"
    matrix: {{mood: [slow, bright]}}
    count: 3
  - {{prompt: calm harp, key: D minor, instruments: [harp]}}
"""


@pytest.fixture(params=["embedded", "given by address"])
def installation(request):
    return request.getfixturevalue("tutti" if request.param == "embedded" else "outside")


def test_an_order_becomes_a_catalogue_and_a_second_call_makes_nothing(installation):
    order = installation.order(ORDER.format(catalogue="first", seed=1))
    first = installation.json("generate", order)
    assert set(first) == {
        "run",
        "catalogue",
        "planned",
        "made",
        "reused",
        "failed",
        "wall_s",
        "audio_s",
        "assets",
    }
    assert (first["planned"], first["made"], first["reused"], first["failed"]) == (7, 7, 0, 0)
    assert first["catalogue"] == "first" and first["audio_s"] == 28.0
    assert set(first["assets"][0]) == {"id", "path", "prompt", "seed", "duration_s", "digest"}
    assert len({asset["id"] for asset in first["assets"]}) == 7

    second = installation.json("generate", order, RAY_TMPDIR="/nonexistent")  # no Ray is started for it
    assert (second["made"], second["reused"]) == (0, 7)
    assert second["assets"] == first["assets"]
    assert second["run"] != first["run"]

    more = installation.order(ORDER.format(catalogue="more", seed=1) + "  - prompt: a new one\n", "more.yaml")
    third = installation.json("generate", more)
    assert (third["planned"], third["made"], third["reused"]) == (8, 1, 7)

    shown = installation.json("show", first["assets"][6]["id"][:12])
    assert shown["recipe"]["controls"] == {"instruments": ["harp"], "key": "D minor"}
    assert shown["digest"] == first["assets"][6]["digest"]
    assert shown["catalogues"] == ["first", "more"]
    assert shown["lineage"]["numeric_profile"]["backend"] == "tiny"


def test_the_folders_where_one_stands_may_be_called_as_tutti_s_own(tutti, tmp_path):
    for name in ("actors", "db", "flows", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('code of the user was run')\n")
    order = tutti.order(ORDER.format(catalogue="elsewhere", seed=60))
    done = tutti.run("generate", order, cwd=tmp_path, timeout=120, PYTHONSAFEPATH="1")  # as the script `tutti` has it
    assert (done.returncode, done.stderr) == (0, "")
    assert "7 made, 0 reused, 0 set aside" in done.stdout


def test_the_paths_of_an_embedded_catalogue_open_and_hold_what_the_database_says(tutti):
    made = tutti.json("generate", tutti.order(ORDER.format(catalogue="open", seed=2)))
    for asset in made["assets"]:
        path = Path(asset["path"])
        assert path.suffix == ".musicxml" and path.read_text().startswith("<?xml")
        assert path.stat().st_mode & 0o222 == 0  # an editor that saves over it would change the object
        shown = tutti.json("show", asset["id"]) if asset is made["assets"][0] else None
        if shown:
            digests = {file["name"]: file["digest"] for file in shown["files"]}
            for file in path.parent.iterdir():
                assert "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest() == digests[file.name]


def test_the_table_names_what_one_can_open(tutti):
    done = tutti.run("generate", tutti.order(ORDER.format(catalogue="table", seed=3)))
    assert done.returncode == 0 and done.stderr == ""
    paths = [word for word in done.stdout.split() if word.endswith("score.musicxml")]
    assert len(paths) == 7 and all(Path(path).is_file() for path in paths)
    assert "7 made, 0 reused, 0 set aside" in done.stdout


def test_one_worker_or_two_and_any_order_of_lines_make_the_same(tutti, new_installation):
    rows = [f"piece {i % 7},{1 + i % 2}" for i in range(12)]
    forth = "prompt,count\n" + "\n".join(rows) + "\n"
    back = "prompt,count\n" + "\n".join(reversed(rows)) + "\n"
    here = tutti.json("generate", tutti.order(forth, "rows.csv"), "--model", "tiny", "--workers", "2")
    other = new_installation()
    there = other.json("generate", other.order(back, "other.csv"), "--model", "tiny", "--workers", "1")
    assert here["made"] > 12
    digests = [{asset["id"]: asset["digest"] for asset in each["assets"]} for each in (here, there)]
    assert digests[0] == digests[1]


def test_a_poisoned_item_is_set_aside_and_the_others_are_made(installation):
    order = installation.order(
        "catalogue: poisoned\nmodel: tiny\ntracks:\n- prompt: fine\n  count: 5\n- prompt: poison\n- prompt: finish\n"
    )
    made = installation.json("generate", order, code=1)
    assert (made["planned"], made["made"], made["failed"]) == (7, 5, 2)
    assert len(made["assets"]) == 5
    shown = installation.json("runs", made["run"])
    assert {item["prompt"]: item["error"] for item in shown["set_aside"]} == {
        "poison": "this prompt cannot be made: poison",
        "finish": "ValueError: the page has no room",
    }
    assert all("Traceback" in item["traceback"] for item in shown["set_aside"])
    again = installation.run("resume", made["run"][:6])  # tried again, and in vain
    assert again.returncode == 1
    assert "set aside" in again.stderr and "this prompt cannot be made: poison" in again.stderr
    assert "0 made, 5 reused, 2 set aside" in again.stdout and "5 pieces, 150 s of music in all" in again.stdout


def test_a_catalogue_can_be_listed_searched_and_exported(installation, tmp_path):
    made = installation.json("generate", installation.order(ORDER.format(catalogue="exported", seed=5)))
    ids = {asset["id"] for asset in made["assets"]}
    listed = installation.json("list", "--catalogue", "exported")["assets"]
    paths = {asset["id"]: asset["path"] for asset in made["assets"]}
    assert {asset["id"]: asset["path"] for asset in listed} == paths
    found = installation.json("search", "bright piano", "--limit", "100")["assets"]
    assert {asset["prompt"] for asset in found} == {"bright piano"}
    assert len(ids & {asset["id"] for asset in found}) == 3
    assert paths.items() >= {asset["id"]: asset["path"] for asset in found if asset["id"] in ids}.items()
    shown = installation.json("show", listed[0]["id"])
    opened = [file["path"] for file in shown["files"] if file["role"] == "musicxml"]
    assert opened == [shown["path"]] == [paths[shown["id"]]]

    done = installation.json("export", "exported", "--to", tmp_path / "out", "--format", "midi")
    assert (done["assets"], done["files"], done["written"]) == (7, 14, 14)  # each with its manifest
    rows = [json.loads(line) for line in (tmp_path / "out" / "catalogue.jsonl").read_text().splitlines()]
    assert {row["id"] for row in rows} == ids
    assert all((tmp_path / "out" / row["files"]["midi"]).read_bytes()[:4] == b"MThd" for row in rows)
    with (tmp_path / "out" / "catalogue.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [row["id"] for row in rows]
    assert installation.json("export", "exported", "--to", tmp_path / "out")["written"] == 14  # all but the MIDI

    (tmp_path / "out" / rows[0]["files"]["midi"]).write_text("mine")
    refused = installation.run("export", "exported", "--to", tmp_path / "out")
    assert refused.returncode == 2 and "not written over" in refused.stderr
    assert installation.run("export", "exported", "--to", tmp_path / "o", "--format", "mp3").returncode == 2
    assert installation.run("export", "no-such", "--to", tmp_path / "o").returncode == 2

    nobody = ("lineage", rows[0]["id"], "--as", "openlineage", "--to", "http://127.0.0.1:9/x")
    done = installation.run(*nobody)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr


def test_a_cancelled_run_ends_and_can_be_resumed(tutti):
    order = tutti.order("catalogue: long\nmodel: tiny\ntracks: [{prompt: endless, count: 120}]\n")
    tutti.json("up")
    before = tutti.runs()
    process = tutti.start("generate", order, "--json", TINY_STEP_S="0.3", TUTTI_LEASE_S="2")
    run = tutti.new_run(before)
    tutti.wait_for_assets(len(tutti.assets()) + 4)
    assert tutti.json("cancel", run)["state"] == "cancelled"
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(rf"^tutti: run {run} was cancelled, \d+ items are left: tutti resume {run}$", errors, re.M)
    answer = json.loads(out)
    assert 4 <= answer["made"] + answer["reused"] < answer["planned"] == 120 and answer["failed"] == 0
    assert tutti.json("resume", run)["planned"] == 120
    assert tutti.json("runs", run)["state"] == "done"


def test_an_asset_whose_object_is_gone_is_told(new_installation):
    tutti = new_installation()
    order = tutti.order("catalogue: holes\nmodel: tiny\ntracks: [{prompt: one}]\n")
    made = tutti.json("generate", order)
    shown = tutti.json("show", made["assets"][0]["id"])
    Path(shown["files"][0]["object"]).unlink()
    again = tutti.run("generate", order)
    assert again.returncode == 3
    assert f"asset {shown['id'][:12]} misses its" in again.stderr
