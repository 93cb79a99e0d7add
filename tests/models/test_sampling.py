"""Counter-based draws and sampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sampling import choose, log_probabilities, sample_tokens, uniform

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


def sample(logits: np.ndarray, draw: float, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> int:
    """One row through the sampler of many."""
    return int(
        sample_tokens(
            logits[None].astype(np.float32),
            np.array([draw]),
            temperature_N=np.array([temperature]),
            top_k_N=np.array([top_k]),
            top_p_N=np.array([top_p]),
        )[0]
    )


def sample_by_definition(logits: np.ndarray, draw: float, *, temperature: float, top_k: int, top_p: float) -> int:
    """The same for one row, as plainly as it can be said."""
    order = sorted(range(len(logits)), key=lambda token: -logits[token])
    order = order[: top_k or len(order)]
    if temperature <= 0:
        return order[0]
    best = np.float64(logits[order[0]])
    mass = np.cumsum([np.exp((np.float64(logits[token]) - best) / temperature) for token in order])
    kept = next(n for n, m in enumerate(mass, start=1) if m >= top_p * mass[-1])
    return next((order[n] for n in range(kept) if mass[n] > draw * mass[kept - 1]), order[kept - 1])


settings_of_a_row = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.4, 1.0, 1.7]),
        "top_k": st.sampled_from([0, 1, 3, 250]),
        "top_p": st.sampled_from([0.3, 0.92, 1.0]),
    }
)
# a few values: ties are likely
scores = st.lists(st.sampled_from([-np.inf, -2.0, -0.0, 0.0, 0.5, 3.25]), min_size=12, max_size=12)


@given(rows=st.lists(st.tuples(scores, settings_of_a_row, st.floats(0, 1, exclude_max=True)), min_size=1, max_size=6))
def test_rows_sampled_together_are_each_sampled_by_the_definition(rows: list) -> None:
    rows = [(np.array(row, dtype=np.float32), how, draw) for row, how, draw in rows if max(row) > -np.inf]
    if not rows:
        return
    tokens = sample_tokens(
        np.stack([row for row, _, _ in rows]),
        np.array([draw for _, _, draw in rows]),
        temperature_N=np.array([how["temperature"] for _, how, _ in rows]),
        top_k_N=np.array([how["top_k"] for _, how, _ in rows]),
        top_p_N=np.array([how["top_p"] for _, how, _ in rows]),
    )
    assert tokens.tolist() == [sample_by_definition(row, draw, **how) for row, how, draw in rows]


@given(scores, st.floats(0, 1, exclude_max=True))
def test_a_forbidden_token_is_never_sampled(row: list[float], draw: float) -> None:
    logits = np.array(row, dtype=np.float32)
    if not np.isfinite(logits).any():
        with pytest.raises(ValueError, match="allows no token"):
            sample(logits, draw)
        return
    assert np.isfinite(logits[sample(logits, draw)])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_score_that_is_not_a_number_is_refused(sign: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        sample(np.array([0.0, np.copysign(np.nan, sign), 1.0]), 0.5)


def test_sampling_follows_the_softmax() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2]))
    picks = [sample(logits, uniform(3, "t", n)) for n in range(20_000)]
    assert np.bincount(picks) / 20_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


def test_a_nucleus_leaves_out_the_tail_and_zero_temperature_takes_the_best() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.3]))
    assert {sample(logits, d / 100, top_p=0.85) for d in range(100)} == {1, 2}
    assert {sample(logits, d / 100, top_k=2) for d in range(100)} == {1, 2}
    assert sample(logits, 0.99, temperature=0.0) == 1


def test_log_probabilities_are_those_of_the_softmax() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.25, 0.75, 0.0]], dtype=np.float32) + 1e-30)
    found = log_probabilities(logits, np.array([2, 1]))
    assert np.exp(found) == pytest.approx([0.2, 0.75])


def test_choose_respects_shares_and_refuses_none() -> None:
    assert choose("abc", [1, 0, 1], 0.49) == "a"
    assert choose("abc", [1, 0, 1], 0.51) == "c"
    with pytest.raises(ValueError, match="no weight is positive"):
        choose("ab", [0, 0], 0.5)
