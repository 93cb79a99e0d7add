"""Pieces are divided where their sections are, and each leg goes on from the take that was kept."""

import itertools
import json

import numpy as np
import pytest
import tiny_musiclm
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.making import make_all
from models.mulan.sentences import load_sentences
from models.musiclm.codes_file import read_codes
from models.musiclm.legs import legs_of
from models.musiclm.model import load_model
from models.musiclm.telling import Section, Telling
from models.registry import load_generator

RATE_HZ = 50.0


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return tiny_musiclm.version(tmp_path_factory.mktemp("musiclm") / "version", leg_s=1.0, steadiness_weight=0.5)


def recipe(seed=1, duration_s=2.3, **controls):
    return {"prompt": "a flute", "seed": seed, "duration_s": duration_s, "controls": controls}


def made(version, *recipes, slots=2):
    found = dict(make_all(load_generator(version, slots=slots), {str(n): each for n, each in enumerate(recipes)}))
    return [found[str(n)] for n in range(len(recipes))]


def codes(product):
    return read_codes(next(file.data for file in product.files if file.role == "codes"))


def legs(product):
    return next(stage.detail["legs"] for stage in product.stages if stage.name == "decode")


@given(lengths=st.lists(st.floats(0.3, 40.0), min_size=1, max_size=5), leg_s=st.floats(0.5, 15.0))
def test_legs_cover_a_piece_once_and_lie_in_one_section_each(lengths, leg_s):
    ends = np.cumsum(lengths).tolist()
    frames = int(np.ceil(ends[-1] * RATE_HZ))
    found = legs_of(zip(itertools.count(), [0.0, *ends[:-1]], ends), frames, RATE_HZ, leg_s)
    assert [leg.begin for leg in found] == [0, *(leg.end for leg in found[:-1])]
    assert found[-1].end == frames
    for leg in found:
        assert leg.begin % 2 == 0
        assert 0 < leg.end - leg.begin <= leg_s * RATE_HZ + 2
        begin_s, end_s = ([0.0, *ends][leg.section], ends[leg.section])
        assert begin_s - 0.021 <= leg.begin / RATE_HZ <= leg.end / RATE_HZ <= end_s + 0.021


def test_the_same_recipe_gives_the_same_bits_alone_and_in_company(version):
    others = [recipe(seed, 1.0 + seed / 3) for seed in range(2, 6)]
    alone = made(version, recipe(), slots=1)[0]
    assert [file.data for file in made(version, *others, recipe(), slots=3)[-1].files] == [
        file.data for file in alone.files
    ]


def test_of_every_leg_the_best_take_is_kept_and_later_ones_hold_to_the_first(version):
    first, second, third = legs(made(version, recipe())[0])
    assert [leg["end_s"] for leg in (first, second, third)] == pytest.approx([0.76, 1.52, 2.3])
    assert "steadiness_of_takes" not in first
    assert first["take"] == int(np.argmax(first["likeness_of_takes"]))
    for leg in (second, third):
        worths = np.array(leg["likeness_of_takes"]) + 0.5 * np.array(leg["steadiness_of_takes"])
        assert leg["take"] == worths.argmax()


def test_a_leg_goes_on_from_the_take_that_was_kept_before_it(version):
    short, long = made(version, recipe(duration_s=0.8), recipe(duration_s=1.6))
    assert np.array_equal(codes(short).semantic_Q, codes(long).semantic_Q[:20])
    assert np.array_equal(codes(short).codes_FK[:, :2], codes(long).codes_FK[:40, :2])
    assert legs(short)[0] == legs(long)[0]


def test_a_section_of_any_length_is_told(version, tmp_path):
    one_take = tiny_musiclm.version(tmp_path / "version", takes=1, leg_s=1.0)
    story = [{"at_s": 0.0, "prompt": "a flute"}, {"at_s": 0.3, "prompt": "rain"}, {"at_s": 0.6, "prompt": "a flute"}]
    told, plain = made(one_take, recipe(story=story), recipe())
    semantic = [codes(piece).semantic_Q for piece in (told, plain)]
    assert np.array_equal(semantic[0][:7], semantic[1][:7])
    assert not np.array_equal(semantic[0][7:15], semantic[1][7:15])


def test_the_rest_of_a_section_is_told_how_it_began(version):
    model = load_model(version, "cpu", torch.float32)
    words = Telling.of_words((Section(0.0, "a flute"), Section(5.0, "rain")), load_sentences(), model.mulan)
    plain = [words.tokens_for(begin, begin + 1) for begin in (0.0, 2.0, 5.0, 7.0)]
    words.hold(0, model.mulan.embed_audio(torch.sin(torch.arange(16_000) / 3)))
    held = [words.tokens_for(begin, begin + 1) for begin in (0.0, 2.0, 5.0, 7.0)]
    assert not torch.equal(plain[1], held[1])
    assert torch.equal(torch.stack(plain[2:]), torch.stack(held[2:]))


def test_a_section_too_short_to_be_heard_ends_no_piece(version):
    story = [{"at_s": 0.0, "prompt": "a flute"}, {"at_s": 0.8, "prompt": "rain"}, {"at_s": 0.81, "prompt": "a harp"}]
    piece = made(version, recipe(duration_s=1.6, story=[*story, {"at_s": 1.59999, "prompt": "rain"}]))[0]
    assert piece.duration_s == pytest.approx(1.6)
    assert [leg["end_s"] for leg in legs(piece)] == pytest.approx([0.8, 1.6])


def test_only_the_kept_take_is_made_finer(version, tmp_path):
    settings = json.loads((version.path / "config.json").read_text())
    assert settings["takes"] == 2
    generator = load_generator(version, slots=1)
    generator.admit("a", recipe())
    fine = 0
    submit = generator._running.submit

    def counted(take):
        nonlocal fine
        fine += take.leg.stages == ("fine",)
        return submit(take)

    generator._running.submit = counted
    outcomes = []
    while not outcomes:
        outcomes = list(generator.advance())
    windows = len(list(generator._sampling.fine.windowing(RATE_HZ).over(0, 115)))
    assert fine == windows + 1  # one take, asked again after each window
