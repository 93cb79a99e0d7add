"""Prompts of an evaluation, and the renders that stand beside them."""

import json

import numpy as np
import pytest

from models.evaluation.asks import NoFittingClipError, asks, fitting_clips
from models.evaluation.obedience import solo
from models.judges.instruments import INSTRUMENTS
from models.judges.scenes import SCENES
from models.material.clips import SHARD, ClipSet
from models.material.labels import Labels


@pytest.fixture
def clip_set(tmp_path):
    """Makes a set of held-out clips of a given sort; each clip's samples are its number."""

    def make(*labels: Labels) -> ClipSet:
        (tmp_path / "audio").mkdir()
        np.save(tmp_path / "audio/00000.npy", np.repeat(np.arange(SHARD, dtype=np.int16)[:, None], 8, axis=1))
        rows = [
            {"number": n, "split": "validation", "labels": label.as_dict(), "captions": ["-"], "sources": ["-"]}
            for n, label in enumerate(labels)
        ]
        (tmp_path / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return ClipSet(tmp_path)

    return make


def numbers(clips):
    return [round(float(clip.waveform[0]) * 32768) for clip in clips]


def test_every_instrument_every_scene_and_drums_are_asked_for_slow_and_fast_alike():
    asked = asks(copies=2)
    assert len(asked) == 80
    solos = [(solo(ask.labels), ask.labels.tempo_band) for ask in asked if ask.labels.instruments]
    assert {pair: solos.count(pair) for pair in solos} == {(n, p): 2 for n in INSTRUMENTS for p in ("slow", "fast")}
    assert {ask.labels.scenes[0] for ask in asked if ask.labels.scenes} == set(SCENES)
    assert sum(ask.labels.drums for ask in asked) == 16


def test_a_prompt_says_what_its_labels_ask_for():
    for ask in asks(copies=4):
        words = (*ask.labels.instruments, *filter(None, [ask.labels.tempo_band]))
        assert all(word in ask.prompt for word in words), ask
        assert not ask.labels.drums or "drum" in ask.prompt


def test_a_render_fits_in_all_that_is_asked_and_none_is_taken_twice_without_need(clip_set):
    piano = {"kind": "solo", "instruments": ("piano",)}
    clips = clip_set(
        Labels(**piano, tempo="fast"),
        Labels(**piano, tempo="slow"),
        Labels(kind="scene and music", instruments=("piano",), scenes=("rain",), tempo="slow"),
        Labels(kind="band", instruments=("piano",), drums=True, tempo="slow"),
        Labels(**piano, tempo="slow"),
    )
    (slow,) = {ask for ask in asks(1) if ask.labels.instruments == ("piano",) and ask.labels.tempo_band == "slow"}
    found = fitting_clips([slow, slow, slow], clips)
    assert numbers(found) == [1, 4, 1]
    assert {(clip.prompt, clip.labels) for clip in found} == {(slow.prompt, slow.labels)}


def test_an_ask_that_no_render_fits_is_named(clip_set):
    with pytest.raises(NoFittingClipError, match="none of 1 held-out clips fits 'rain falling'"):
        fitting_clips([ask for ask in asks() if ask.labels.scenes], clip_set(Labels(kind="drums", drums=True)))
