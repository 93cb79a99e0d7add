"""Orders that give a melody, as a user makes them: the piece, its lineage, and what is left without the tune."""

import hashlib
import json
from pathlib import Path

import pytest
import soundfile
import tiny_musicgen
import tiny_musiclm
import tiny_singsong
from services import short_home

from models.musicgen.checkpoint import convert

TUNE = tiny_singsong.file(tiny_singsong.sung(2.0, 22_050), 22_050)
DIGEST = "sha256:" + hashlib.sha256(TUNE).hexdigest()
FOLLOWING = """
catalogue: tunes
model: {model}
duration_s: 2
tracks:
  - {{prompt: slow solo piano, melody: hum.wav}}
  - {{prompt: slow solo piano}}
"""


def ordered(installation, text, name="order.yaml"):
    """An order beside a hummed tune."""
    path = installation.order(text, name)
    (path.parent / "hum.wav").write_bytes(TUNE)
    return path


@pytest.fixture(scope="module")
def installation():
    from installation import Installation

    with short_home() as home:
        made = Installation(home, "musiclm-tiny", TUTTI_WORKERS="1", TUTTI_SLOTS="2")
        tiny_musiclm.version(home / "models" / "musiclm-tiny", follows_melody=True)
        tiny_musiclm.version(home / "models" / "musiclm-deaf", name="musiclm-deaf")
        tiny_musicgen.save(home / "checkpoint", melody=True, rate_hz=8_000)  # enough to be marked
        convert(home / "checkpoint", "musicgen-tiny", "a test", home / "models" / "musicgen-tiny")
        yield made
        made.stop()


@pytest.fixture(scope="module", params=["musiclm-tiny", "musicgen-tiny"])
def followed(request, installation):
    """The piece that a model made after the tune, and the one it made of the words alone."""
    answer = installation.json("generate", ordered(installation, FOLLOWING.format(model=request.param)))
    assert (answer["made"], answer["failed"]) == (2, 0)
    shown = [installation.json("show", each["id"]) for each in answer["assets"]]
    shown.sort(key=lambda each: "melody" not in each["recipe"]["controls"])
    return shown


def test_a_piece_is_made_after_a_melody_by_each_model_that_follows_one(followed):
    told, untold = followed
    assert told["recipe"]["controls"] == {"melody": DIGEST}
    assert soundfile.info(Path(told["path"])).duration == pytest.approx(2.0)
    assert {each["digest"] for each in told["files"] if each["role"] == "codes"} != {
        each["digest"] for each in untold["files"] if each["role"] == "codes"
    }


def test_the_melody_is_a_parent_by_digest_in_its_role(followed):
    parents = [
        {(edge["parent"], edge["role"]) for edge in each["lineage"]["edges"] if edge["role"] != "model"}
        for each in followed
    ]
    assert parents == [{(DIGEST, "melody")}, set()]


def test_recall_of_a_melody_finds_the_pieces_made_after_it(installation, followed):
    recalled = {each["asset"] for each in installation.json("recall", DIGEST)["assets"]}
    assert followed[0]["id"] in recalled and followed[1]["id"] not in recalled


def test_a_piece_after_a_melody_is_made_again_bit_for_bit(installation, followed):
    assert reproduced(installation, followed[0]["id"])["ok"]


def test_a_table_orders_the_same_piece_and_nothing_is_made_twice(installation, followed):
    model = followed[0]["model"]["name"]
    path = ordered(installation, "prompt,melody,duration_s\nslow solo piano,hum.wav,2\n", "tunes.csv")
    answer = installation.json("generate", path, "--model", model)
    assert (answer["made"], answer["reused"]) == (0, 1)
    assert [each["id"] for each in answer["assets"]] == [followed[0]["id"]]


def test_a_story_is_told_to_a_melody(installation):
    text = """
catalogue: stories
model: musiclm-tiny
duration_s: 2
tracks: [{melody: hum.wav, story: [{at_s: 0, prompt: harp}, {at_s: 1, prompt: drums}]}]
"""
    answer = installation.json("generate", ordered(installation, text))
    (asset,) = answer["assets"]
    controls = installation.json("show", asset["id"])["recipe"]["controls"]
    assert controls["melody"] == DIGEST and len(controls["story"]) == 2


def test_a_model_that_does_not_follow_melodies_is_refused_before_anything_is_planned(installation):
    path = ordered(installation, FOLLOWING.format(model="musiclm-deaf"))
    before = installation.runs()
    done = installation.run("generate", path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{path}:6: tracks[0]: musiclm-deaf does not follow melodies" in done.stderr
    assert installation.runs() == before


def test_models_say_whether_they_follow_melodies(installation):
    said = {each["model"]: each["follows_melody"] for each in installation.json("models", "list")["models"]}
    assert said["musiclm-tiny"] and said["musicgen-tiny"] and not said["musiclm-deaf"]
    assert "melody  followed" in installation.run("models", "show", "musiclm-tiny").stdout
    assert "melody  not followed" in installation.run("models", "show", "musiclm-deaf").stdout


def test_an_erased_melody_is_gone_and_its_piece_cannot_be_made_again(installation):
    tune = tiny_singsong.file(tiny_singsong.sung(1.5))
    path = installation.order(
        "catalogue: a\nmodel: musiclm-tiny\nduration_s: 1\ntracks: [{prompt: x, melody: a.wav}]"
    )
    (path.parent / "a.wav").write_bytes(tune)
    (asset,) = installation.json("generate", path)["assets"]
    digest = "sha256:" + hashlib.sha256(tune).hexdigest()
    assert installation.json("recall", digest, "--erase", "--reason", "asked to be forgotten")["erased"]
    assert "the file of its melody is not kept any more" in reproduced(installation, asset["id"])["detail"]
    assert not [each for each in (installation.home / "objects").rglob("*") if digest[7:] in each.name]


def reproduced(installation, asset):
    done = installation.run("audit", asset, "--reproduce", "--json")
    return next(each for each in json.loads(done.stdout)["checks"] if each["name"] == "reproduced")
