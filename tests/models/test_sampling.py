"""Counter-based draws and sampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sampling import choose, sample_token, uniform

SEEDS = st.integers(0, 2**48 - 1)


@given(SEEDS, st.integers(0, 10_000), st.integers(0, 11))
def test_a_draw_lies_in_the_unit_interval_and_repeats(seed: int, step: int, codebook: int) -> None:
    draw = uniform(seed, "compose", step, codebook)
    assert 0 <= draw < 1
    assert draw == uniform(seed, "compose", step, codebook)


def test_a_draw_never_changes_its_value() -> None:
    assert uniform(7, "compose", 3, 0) == pytest.approx(0.11721040472653532, abs=0)


def test_draws_differ_by_seed_stage_step_and_codebook() -> None:
    draws = {
        uniform(seed, stage, step, codebook)
        for seed in range(4)
        for stage in ("compose", "coarse")
        for step in range(16)
        for codebook in range(4)
    }
    assert len(draws) == 4 * 2 * 16 * 4


def test_draws_are_spread_evenly() -> None:
    counts, _ = np.histogram([uniform(1, "x", step) for step in range(20_000)], bins=20, range=(0, 1))
    assert counts.min() > 850
    assert counts.max() < 1150


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=40), st.floats(0, 1, exclude_max=True), st.data())
def test_a_forbidden_token_is_never_sampled(scores: list[float], draw: float, data: st.DataObject) -> None:
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    logits = np.array(scores, dtype=np.float32)
    if not allowed.any():
        with pytest.raises(ValueError, match="allows no token"):
            sample_token(logits, allowed, temperature=1.0, top_p=0.9, draw=draw)
        return
    assert allowed[sample_token(logits, allowed, temperature=1.0, top_p=0.9, draw=draw)]


def test_sampling_follows_the_softmax() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    every = np.ones(3, dtype=bool)
    picks = [sample_token(logits, every, temperature=1.0, top_p=1.0, draw=uniform(3, "t", n)) for n in range(20_000)]
    assert np.bincount(picks) / 20_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


def test_a_nucleus_leaves_out_the_tail_and_zero_temperature_takes_the_best() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.3], dtype=np.float32))
    every = np.ones(3, dtype=bool)
    assert {sample_token(logits, every, temperature=1.0, top_p=0.85, draw=d / 100) for d in range(100)} == {1, 2}
    assert sample_token(logits, every, temperature=0.0, top_p=1.0, draw=0.99) == 1


def test_choose_respects_shares_and_refuses_none() -> None:
    assert choose("abc", [1, 0, 1], 0.49) == "a"
    assert choose("abc", [1, 0, 1], 0.51) == "c"
    with pytest.raises(ValueError, match="no weight is positive"):
        choose("ab", [0, 0], 0.5)
