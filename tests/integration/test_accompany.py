"""`tutti accompany`, as a user does it: the files, the lineage, and what becomes of it when the singer asks."""

import hashlib
import json
from pathlib import Path

import pytest
import soundfile
import tiny_singsong


@pytest.fixture(scope="module")
def singer(tmp_path_factory):
    path = tmp_path_factory.mktemp("singer") / "verse.wav"
    path.write_bytes(tiny_singsong.file(tiny_singsong.sung(2.0, 22_050), 22_050))
    return path


@pytest.fixture(scope="module")
def accompanied(singer):
    from installation import Installation
    from services import short_home

    with short_home() as home:
        installation = Installation(home, "tiny-singsong", TUTTI_WORKERS="1", TUTTI_SLOTS="2")
        tiny_singsong.version(home / "models" / "tiny-singsong")
        answer = installation.json("accompany", singer, "--model", "tiny-singsong", "--count", "2")
        yield installation, answer
        installation.stop()


def test_a_voice_becomes_mixes_and_stems(accompanied):
    _, answer = accompanied
    assert (answer["made"], answer["failed"], answer["catalogue"]) == (2, 0, "accompaniments")
    folder = Path(answer["assets"][0]["path"]).parent
    lengths = {name: soundfile.info(folder / f"{name}.flac").frames for name in ("mix", "vocals", "accompaniment")}
    assert set(lengths.values()) == {2 * 22_050}


def test_the_vocals_are_a_parent_by_digest_and_recall_finds_every_accompaniment(accompanied, singer):
    installation, answer = accompanied
    digest = "sha256:" + hashlib.sha256(singer.read_bytes()).hexdigest()
    shown = installation.json("show", answer["assets"][0]["id"])
    assert digest in json.dumps(shown["lineage"])
    assert installation.query("SELECT DISTINCT parent FROM lineage_edges WHERE role = 'vocals'") == [(digest,)]
    recalled = installation.json("recall", digest)
    assert {each["asset"] for each in recalled["assets"]} == {each["id"] for each in answer["assets"]}


def test_an_accompaniment_is_made_again_bit_for_bit_until_its_vocals_are_erased(accompanied, singer):
    installation, answer = accompanied
    asset = answer["assets"][1]["id"]

    def reproduced():
        done = installation.run("audit", asset, "--reproduce", "--json")
        return next(each for each in json.loads(done.stdout)["checks"] if each["name"] == "reproduced")

    assert reproduced()["ok"], reproduced()
    digest = "sha256:" + hashlib.sha256(singer.read_bytes()).hexdigest()
    assert installation.json("recall", digest, "--erase", "--reason", "the singer asked")["erased"]
    assert "cannot be made again: the file of its vocals is not kept any more" in reproduced()["detail"]


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("empty.wav", b"", "empty.wav: empty; needed: a recording of a voice"),
        ("film.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(64), "film.mp4: cannot be read as sound"),
    ],
)
def test_a_file_that_is_no_voice_is_refused_and_nothing_is_stored(accompanied, tmp_path, name, data, problem):
    installation, _ = accompanied
    (tmp_path / name).write_bytes(data)
    before = installation.runs(), sorted((installation.home / "objects").rglob("*"))
    done = installation.run("accompany", tmp_path / name, "--model", "tiny-singsong")
    assert (done.returncode, problem in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    assert (installation.runs(), sorted((installation.home / "objects").rglob("*"))) == before


def test_an_option_that_cannot_be_is_told_by_its_name(accompanied, singer):
    installation, _ = accompanied
    done = installation.run("accompany", singer, "--duration-s", "0")
    assert done.returncode == 2
    assert "--duration-s: 0 is outside 1 to 900 seconds" in done.stderr
