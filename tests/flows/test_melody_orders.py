"""Orders that give a melody: what they become, and what is refused before anything starts."""

import json

import numpy as np
import pytest
import tiny_musiclm
import tiny_singsong

from db.digests import digest_of
from flows.errors import OrderError, Place
from flows.inputs import InputFiles
from flows.model_choice import version_for
from flows.order import check_controls, load_order
from flows.planning import plan_recipes
from flows.recipe import ModelIdentity
from flows.settings import Settings

MODEL = ModelIdentity("musiclm-small", "sha256:" + "ab" * 32, "soundscape")
TUNE = tiny_singsong.file(tiny_singsong.sung(2.5))
DIGEST = digest_of(TUNE)


def order(folder, text, name="order.yaml"):
    (folder / "hum.wav").write_bytes(TUNE)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def recipes(path):
    return [json.loads(recipe.body) for recipe in plan_recipes(load_order(path), MODEL)]


def test_a_track_with_a_melody_becomes_recipes_that_name_it_by_digest(tmp_path):
    path = order(tmp_path, "catalogue: a\ntracks: [{prompt: flute, melody: hum.wav, count: 2}, {prompt: rain}]")
    found = recipes(path)
    assert [recipe["controls"] for recipe in found] == [{"melody": DIGEST}, {"melody": DIGEST}, {}]
    assert [file.read() for file in load_order(path).inputs.values()] == [TUNE]


def test_a_piece_with_a_melody_is_as_long_as_its_order_says(tmp_path):
    tracks = "[{prompt: flute, melody: hum.wav}, {prompt: flute, melody: hum.wav, duration_s: 5}]"
    path = order(tmp_path, f"catalogue: a\nduration_s: 20\ntracks: {tracks}")
    assert [recipe["duration_s"] for recipe in recipes(path)] == [20, 5]


def test_an_order_with_a_melody_is_one_of_soundscapes(tmp_path):
    assert load_order(order(tmp_path, "catalogue: a\ntracks: [{prompt: x, melody: hum.wav}]")).kind == "soundscape"


def test_a_melody_may_be_given_in_yaml_csv_and_jsonl_alike(tmp_path):
    yaml = recipes(order(tmp_path, "catalogue: a\ntracks: [{prompt: flute, melody: hum.wav}, {prompt: rain}]"))
    csv = recipes(order(tmp_path, "prompt,melody\nflute,hum.wav\nrain,\n", "o.csv"))
    lines = '{"prompt": "flute", "melody": "hum.wav"}\n{"prompt": "rain"}\n'
    assert recipes(order(tmp_path, lines, "o.jsonl")) == csv == yaml


def test_a_melody_goes_with_a_story_with_a_matrix_and_with_prompts_of_a_table(tmp_path):
    order(tmp_path, "caption\noboe\n", "captions.csv")
    path = order(
        tmp_path,
        "catalogue: a\ntracks:\n"
        "- {melody: hum.wav, story: [{at_s: 0, prompt: harp}, {at_s: 5, prompt: brass}]}\n"
        "- {melody: hum.wav, prompt: 'a {what}', matrix: {what: [flute]}}\n"
        "- {melody: hum.wav, prompts_from: captions.csv#caption}\n",
    )
    found = recipes(path)
    assert [recipe["prompt"] for recipe in found] == ["harp / brass", "a flute", "oboe"]
    assert {recipe["controls"]["melody"] for recipe in found} == {DIGEST}
    assert len(found[0]["controls"]["story"]) == 2


def test_the_same_melody_under_another_name_or_in_another_folder_is_the_same_recipe(tmp_path):
    one = recipes(order(tmp_path, "catalogue: a\ntracks: [{prompt: flute, melody: hum.wav}]"))
    (tmp_path / "tunes").mkdir()
    (tmp_path / "tunes" / "other.wav").write_bytes(TUNE)
    assert recipes(order(tmp_path, "catalogue: a\ntracks: [{prompt: flute, melody: tunes/other.wav}]")) == one


def test_a_file_is_read_once_however_many_tracks_use_it(tmp_path):
    (tmp_path / "hum.wav").write_bytes(TUNE)
    files, place = InputFiles(), Place(tmp_path / "order.yaml")
    first = files.recording(tmp_path / "hum.wav", "a melody", place)
    (tmp_path / "hum.wav").unlink()
    assert files.recording(tmp_path / "hum.wav", "a melody", place) is first


REFUSED = {
    "no such file": ("- prompt: x\n  melody: no.wav", r"order.yaml:4: tracks\[0\].melody: .*no.wav: no such file"),
    "a folder": ("- prompt: x\n  melody: .", "is a folder, not a file"),
    "no sound": ("- prompt: x\n  melody: order.yaml", "cannot be read as sound"),
    "empty": ("- prompt: x\n  melody: empty.wav", "empty.wav: empty; needed: a recording of a melody"),
    "silent": ("- prompt: x\n  melody: silent.wav", "silent.wav: silent: nothing in it"),
    "too short": ("- prompt: x\n  melody: short.wav", "short.wav: 0.50 s long, too short; a melody has 1 to 900 s"),
    "too long": ("- prompt: x\n  melody: long.wav", "long.wav: 901.0 s long; a melody has 1 to 900 s"),
    "no name": ("- prompt: x\n  melody: ''", r"tracks\[0\].melody: empty; name a file"),
    "no text": ('- prompt: x\n  melody: "a\\0.wav"', r"tracks\[0\].melody: has a NUL character"),
    "a number": ("- prompt: x\n  melody: 5", r"tracks\[0\].melody: must be text, not 5"),
    "no prompt": ("- melody: hum.wav", r"order.yaml:3: tracks\[0\].melody: needs a prompt beside it"),
    "vocals": ("- melody: hum.wav\n  accompany: hum.wav", r"tracks\[0\].melody: an accompaniment follows its vocals"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_melody_that_cannot_be_used_is_refused_with_file_line_and_key(tmp_path, name):
    track, problem = REFUSED[name]
    (tmp_path / "empty.wav").write_bytes(b"")
    for kind, seconds, rate_hz in (("silent", 2, 16_000), ("short", 0.5, 16_000), ("long", 901, 1_000)):
        samples = np.zeros((round(seconds * rate_hz), 1), dtype=np.float32)
        (tmp_path / f"{kind}.wav").write_bytes(tiny_singsong.file(samples, rate_hz))
    with pytest.raises(OrderError, match=problem) as refused:
        load_order(order(tmp_path, "catalogue: a\ntracks:\n" + track))
    assert str(refused.value).startswith(f"{tmp_path}/order.yaml:")
    assert "\n" not in str(refused.value)


TABLES = {
    "o.csv": ("prompt,melody\nx,\ny,no.wav\n", 3),
    "o.jsonl": ('{"prompt": "x"}\n{"prompt": "y", "melody": "no.wav"}\n', 2),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_melody_of_a_table_is_refused_with_its_line(tmp_path, name):
    text, line = TABLES[name]
    with pytest.raises(OrderError, match=rf"{name}:{line}: melody: .*no.wav: no such file"):
        load_order(order(tmp_path, text, name))


@pytest.mark.parametrize("kind", ["score", "accompaniment"])
def test_a_kind_that_has_no_melody_is_refused(tmp_path, kind):
    checked = load_order(order(tmp_path, "catalogue: a\ntracks: [{prompt: rain}, {prompt: x, melody: hum.wav}]"))
    with pytest.raises(OrderError, match=rf"tracks\[1\]: the order is of kind {kind}; a melody wants kind: sound"):
        check_controls(checked, kind)


def test_a_melody_that_changes_between_checking_and_planning_is_noticed(tmp_path):
    checked = load_order(order(tmp_path, "catalogue: a\ntracks: [{prompt: x, melody: hum.wav}]"))
    (tmp_path / "hum.wav").write_bytes(tiny_singsong.file(tiny_singsong.sung(1.0)))
    with pytest.raises(OrderError, match=r"hum\.wav was changed while the order was planned"):
        next(iter(checked.inputs.values())).read()


@pytest.mark.parametrize("says", [{}, {"follows_melody": False}])
def test_a_melody_for_a_model_that_does_not_follow_any_is_refused(tmp_path, says):
    tiny_musiclm.version(tmp_path / "models" / "tiny", **says)
    path = order(
        tmp_path, "catalogue: a\nmodel: musiclm-tiny\ntracks: [{prompt: rain}, {prompt: x, melody: hum.wav}]"
    )
    with pytest.raises(OrderError) as refused:
        version_for(load_order(path), Settings(home=tmp_path))
    assert str(refused.value) == (
        f"{path}:3: tracks[1]: musiclm-tiny does not follow melodies; "
        "leave 'melody' out, or name a model that does"
    )  # fmt: skip


def test_a_melody_for_a_model_that_follows_them_is_taken(tmp_path):
    made = tiny_musiclm.version(tmp_path / "models" / "tiny", follows_melody=True)
    path = order(tmp_path, "catalogue: a\nmodel: musiclm-tiny\ntracks: [{prompt: x, melody: hum.wav}]")
    assert version_for(load_order(path), Settings(home=tmp_path)) == made
