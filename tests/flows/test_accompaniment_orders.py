"""Orders that accompany vocals: what they become, and what is refused before anything starts."""

import json
import os

import numpy as np
import pytest
import tiny_singsong

from db.digests import digest_of
from flows.errors import OrderError
from flows.order import check_controls, load_order
from flows.planning import plan_recipes
from flows.recipe import ModelIdentity

MODEL = ModelIdentity("singsong-small", "sha256:" + "ab" * 32, "accompaniment")
VOICE = tiny_singsong.file(tiny_singsong.sung(2.5))


def order(folder, text, name="order.yaml"):
    (folder / "verse.wav").write_bytes(VOICE)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def recipes(path):
    return [json.loads(recipe.body) for recipe in plan_recipes(load_order(path), MODEL)]


def test_a_track_with_vocals_becomes_recipes_that_name_them_by_digest_and_last_as_long(tmp_path):
    path = order(
        tmp_path, "catalogue: a\ntracks: [{accompany: verse.wav, count: 2}, {accompany: verse.wav, prompt: harp}]"
    )
    found = recipes(path)
    assert [recipe["prompt"] for recipe in found] == ["accompaniment", "accompaniment", "harp"]
    assert {recipe["duration_s"] for recipe in found} == {2.5}
    assert found[0]["controls"]["accompany"] == {"vocals": digest_of(VOICE), "separate": False, "balance_db": -3.0}
    checked = load_order(path)
    assert checked.kind == "accompaniment"
    assert [file.read() for file in checked.inputs.values()] == [VOICE]


def test_the_same_vocals_under_another_name_are_the_same_recipe(tmp_path):
    one = recipes(order(tmp_path, "catalogue: a\ntracks: [{accompany: verse.wav}]"))
    (tmp_path / "other.wav").write_bytes(VOICE)
    assert recipes(order(tmp_path, "catalogue: b\ntracks: [{accompany: other.wav}]")) == one


def test_a_table_may_have_a_column_of_vocals(tmp_path):
    path = order(tmp_path, "accompany,prompt,duration_s\nverse.wav,harp,\nverse.wav,,1.5\n", "songs.csv")
    assert [(r["prompt"], r["duration_s"]) for r in recipes(path)] == [("harp", 2.5), ("accompaniment", 1.5)]


def test_separation_and_balance_are_part_of_the_recipe(tmp_path):
    path = order(tmp_path, "catalogue: a\ntracks: [{accompany: {vocals: verse.wav, separate: true, balance_db: 2}}]")
    told = recipes(path)[0]["controls"]["accompany"]
    assert (told["separate"], told["balance_db"]) == (True, 2)


REFUSED = {
    "no such file": ("- accompany: nobody.wav", r"tracks\[0\].accompany: .*nobody.wav: no such file"),
    "no sound": ("- accompany: order.yaml", "cannot be read as sound"),
    "silent": ("- accompany: silent.wav", "silent.wav: silent: nothing in it"),
    "unknown key": ("- accompany: {vocals: verse.wav, gain: 3}", r"accompany.gain: unknown key"),
    "balance": ("- accompany: {vocals: verse.wav, balance_db: 99}", r"accompany.balance_db: must be less than"),
    "a story": ("- accompany: verse.wav\n  story: [{at_s: 0, prompt: x}]", "it has no story"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_vocals_that_cannot_be_used_are_refused_with_file_line_and_key(tmp_path, name):
    track, problem = REFUSED[name]
    (tmp_path / "silent.wav").write_bytes(tiny_singsong.file(np.zeros((32_000, 1), dtype=np.float32)))
    with pytest.raises(OrderError, match=problem) as refused:
        load_order(order(tmp_path, "catalogue: a\ntracks:\n" + track))
    assert "order.yaml:" in str(refused.value)


def test_a_kind_that_does_not_fit_is_refused(tmp_path):
    mixed = load_order(order(tmp_path, "catalogue: a\ntracks: [{accompany: verse.wav}, {prompt: harp}]"))
    with pytest.raises(OrderError, match=r"tracks\[1\].*needs 'accompany'"):
        check_controls(mixed, "accompaniment")
    with pytest.raises(OrderError, match=r"tracks\[0\].*vocals want kind: accompaniment"):
        check_controls(mixed, "soundscape")


def test_vocals_that_change_between_checking_and_planning_are_noticed(tmp_path):
    checked = load_order(order(tmp_path, "catalogue: a\ntracks: [{accompany: verse.wav}]"))
    (tmp_path / "verse.wav").write_bytes(tiny_singsong.file(tiny_singsong.sung(1.0)))
    with pytest.raises(OrderError, match="was changed while the order was planned"):
        next(iter(checked.inputs.values())).read()


@pytest.mark.timeout(60)
def test_a_pipe_as_a_voice_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "voice.wav")
    (tmp_path / "order.yaml").write_text("catalogue: a\ntracks:\n- accompany: voice.wav\n")
    with pytest.raises(OrderError, match=r"order.yaml:3: tracks\[0\].accompany: .*voice.wav: is a pipe or a device"):
        load_order(tmp_path / "order.yaml")
