"""A stage predicts in training what the engine plays, and has the paper's size where it should."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_musiclm import model

from models.engine.engine import Engine
from models.engine.patterns import FREE, Delay, to_decode
from models.engine.requests import Conditioning, Request
from models.melody.contour import ENTRIES, FIRST, REST, UNTOLD
from models.musiclm.stage import Stage, heard_by, paper, unheard, with_melody, with_melody_table, without_melody
from models.musiclm.training import delayed


@given(frames=st.integers(1, 20), codebooks=st.integers(1, 5), seed=st.integers(0, 9))
def test_training_and_engine_lay_codes_out_alike(frames, codebooks, seed):
    codes = np.random.default_rng(seed).integers(0, 16, (frames, codebooks))
    laid = delayed(torch.from_numpy(codes)[None], 16)[0].numpy()
    assert np.array_equal(laid, Delay(16).spread(codes))


@pytest.mark.parametrize("forgotten", [0.0, 0.5, 1.0])
def test_the_engine_plays_what_training_predicts(forgotten):
    stage = model().coarse
    prefix, semantic = torch.tensor([1, 5, 7]), torch.randint(12, (6,), generator=torch.Generator().manual_seed(0))
    added = with_melody(heard_by(semantic, 13), torch.arange(6) + 2, 13)
    forgotten_N = np.random.default_rng(0).random(13) < forgotten
    engine = Engine(stage, slots=2, cache_length=128)
    with torch.inference_mode():
        request = Request(
            key="a",
            conditioning=Conditioning(
                prefix_PD=stage.embed_prefix(prefix),
                added_ND=stage.embed_added(added),
                instead_N=np.where(forgotten_N, stage.config.hole, FREE),
            ),
            given_NK=Delay(16).spread(to_decode(np.zeros((0, 2), dtype=np.int64), 12)),
            seed=0,
            stage="coarse",
            temperature=0,
        )
        engine.submit(request)
        done = []
        while not done:
            done = engine.step()
        codes = torch.from_numpy(done[0].codes_NK)
        lost_1N = torch.from_numpy(forgotten_N)[None]
        logits = stage(codes[None], prefix[None], torch.tensor([True]), added[None], lost_1N)[0]
    free = codes != stage.config.hole
    assert torch.equal(logits.argmax(dim=-1)[free], codes[free])
    assert len(codes[free].unique()) > 2


def test_a_stage_that_learns_melodies_begins_as_what_it_was():
    for told, added in (
        (model().semantic, None),
        (model().coarse, heard_by(torch.randint(12, (1, 5), generator=torch.Generator().manual_seed(0)), 9)),
    ):
        before = Stage(without_melody(told.config))
        before.reset_parameters(torch.Generator().manual_seed(1))
        torch.nn.init.normal_(before.heads_KVD)
        torch.nn.init.normal_(before.added.weight)
        told.take_up(before)
        codes, prefix = torch.randint(12, (1, 9, told.codebooks)), torch.tensor([[1, 5, 7]])
        with torch.inference_mode():
            a = before(codes, prefix, torch.tensor([True]), added)
            b = told(codes, prefix, torch.tensor([True]), with_melody(added, torch.arange(9)[None], 9))
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["semantic", "coarse"])
def test_a_stage_with_a_table_of_melodies_begins_as_what_it_was_and_learns_by_it_alone(name):
    before = model().stage(name)
    told = Stage(with_melody_table(before.config))
    told.take_up(before)
    heard = None if name == "semantic" else heard_by(torch.tensor([1, 2, 3, 4]), 8)
    melody = torch.tensor([UNTOLD, REST, FIRST, ENTRIES - 1] * 2)
    melody = melody if name == "semantic" else melody[:4]
    added = with_melody(heard, melody, 8)
    assert torch.equal(told.embed_added(added), before.embed_added(added))
    with torch.no_grad():
        told.melody.weight += 1.0
    differs_N = (told.embed_added(added) != before.embed_added(added)).any(dim=1)
    assert torch.equal(differs_N, added[:, -1] != UNTOLD)


def test_what_is_not_told_adds_nothing():
    stage, melody = model().coarse, torch.tensor([5, 6, 7])
    tokens = heard_by(torch.tensor([1, 2, 3]), 8)
    assert not stage.embed_added(unheard(tokens)).any()
    only_melody = stage.embed_added(with_melody(unheard(tokens), melody, 8))
    books = stage.added.weight.unflatten(0, (3, -1))
    assert torch.equal(only_melody, books[2, melody[[0, 0, 1, 1, 2, 2, 2, 2]]])


def test_the_melody_of_a_step_is_that_of_its_time():
    melody = torch.tensor([5, 6, 7])
    assert with_melody(None, melody, 3)[:, 0].tolist() == [5, 6, 7]
    both = with_melody(heard_by(torch.tensor([1, 2, 3]), 8), melody, 8)
    assert both[:, 2].tolist() == [5, 5, 6, 6, 7, 7, 7, 7]
    assert both[:, 0].tolist() == [1, 1, 2, 2, 3, 3, 3, 3]


def test_codes_that_are_forgotten_make_no_difference():
    stage = model().semantic
    codes_BNK, others_BNK = (torch.full((1, 5, 1), code) for code in (2, 7))
    prefix, told, melody = torch.tensor([[1, 5, 7]]), torch.tensor([True]), torch.zeros(1, 5, 1, dtype=torch.long)
    lost = torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(*(stage(codes, prefix, told, melody, lost) for codes in (codes_BNK, others_BNK)))
    assert not torch.equal(*(stage(codes, prefix, told, melody) for codes in (codes_BNK, others_BNK)))


def test_what_is_left_untold_makes_no_difference():
    stage = model().semantic
    codes, told = torch.randint(12, (2, 9, 1)), torch.tensor([False, False])
    with torch.inference_mode():
        a, b = (stage(codes, torch.full((2, 3), token), told, None) for token in (1, 6))
        c = stage(codes, torch.full((2, 3), 6), ~told, None)
    assert torch.equal(a, b)
    assert not torch.allclose(b, c)


def test_a_step_of_the_coarse_stage_hears_its_semantic_token_and_the_next():
    assert heard_by(torch.tensor([4, 5, 6]), 7).tolist() == [[4, 5], [4, 5], [5, 6], [5, 6], [6, 6], [6, 6], [6, 6]]


@pytest.mark.parametrize("name", ["semantic", "coarse", "fine"])
def test_the_papers_stages_have_430_million_parameters(name):
    settings = getattr(paper(), name)
    with torch.device("meta"):
        stage = Stage(settings)
    assert (settings.trunk.layers, settings.trunk.width, settings.trunk.heads) == (24, 1024, 16)
    assert sum(p.numel() for p in stage.parameters()) == pytest.approx(430e6, rel=0.05)


def _shrunken(settings):
    trunk = dataclasses.replace(settings.trunk, layers=2, width=32, heads=2, feed_forward=64)
    return dataclasses.replace(settings, trunk=trunk)


@pytest.mark.parametrize("name", ["semantic", "coarse", "fine"])
def test_a_shrunken_paper_stage_learns_from_one_step(name):
    stage = Stage(_shrunken(getattr(paper(), name)))
    stage.reset_parameters(torch.Generator().manual_seed(0))
    settings, draw = stage.config, torch.Generator().manual_seed(1)
    codes = torch.randint(settings.entries, (2, 12, settings.codebooks), generator=draw)
    prefix = (
        torch.randint(1024, (2, settings.prefix_codebooks), generator=draw) if settings.prefix_codebooks else None
    )
    added = (
        torch.randint(settings.added_entries, (2, 12, settings.added_codebooks), generator=draw)
        if settings.added_codebooks
        else None
    )
    optimiser = torch.optim.AdamW(stage.parameters(), lr=3e-3)

    def loss():
        logits = stage(codes, prefix, torch.tensor([True, True]), added)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 2), codes.flatten())

    before = loss()
    before.backward()
    optimiser.step()
    assert loss() < before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["semantic", "coarse", "fine"])
def test_a_stage_of_the_papers_size_learns_from_one_step_on_a_gpu(name):
    stage = Stage(getattr(paper(), name)).to("cuda", torch.bfloat16)
    settings = stage.config
    codes = torch.randint(settings.entries, (1, 64, settings.codebooks), device="cuda")
    prefix = torch.randint(1024, (1, settings.prefix_codebooks), device="cuda") if settings.prefix_codebooks else None
    added = (
        torch.randint(settings.added_entries, (1, 64, settings.added_codebooks), device="cuda")
        if settings.added_codebooks
        else None
    )
    optimiser = torch.optim.SGD(stage.parameters(), lr=0.1)

    def loss():
        logits = stage(codes, prefix, torch.tensor([True], device="cuda"), added)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 2).float(), codes.flatten())

    before = loss()
    before.backward()
    optimiser.step()
    assert float(loss()) < float(before)
