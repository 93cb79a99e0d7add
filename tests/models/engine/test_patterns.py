"""Codebook patterns: codes to steps and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.patterns import FREE, Delay, Flattened, Parallel, Pattern, to_decode

ENTRIES = 16
shapes = st.tuples(st.integers(1, 30), st.integers(1, 9))


def codes(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, ENTRIES, shape)


@pytest.mark.parametrize("kind", ["parallel", "delay", "flattened"])
@given(shape=shapes, seed=st.integers(0, 100))
def test_what_is_spread_is_gathered_again(kind: str, shape: tuple[int, int], seed: int) -> None:
    patterns: dict[str, Pattern] = {
        "parallel": Parallel(),
        "delay": Delay(hole=ENTRIES),
        "flattened": Flattened(shape[1], ENTRIES),
    }
    frames_TK = codes(shape, seed)
    assert np.array_equal(patterns[kind].gather(patterns[kind].spread(frames_TK)), frames_TK)


@given(shape=shapes, seed=st.integers(0, 100))
def test_a_delayed_codebook_comes_its_number_of_steps_later_and_holes_fill_the_rest(
    shape: tuple[int, int], seed: int
) -> None:
    frames_TK = codes(shape, seed)
    steps_NK = Delay(hole=ENTRIES).spread(frames_TK)
    assert len(steps_NK) == shape[0] + shape[1] - 1
    for n, k in np.ndindex(steps_NK.shape):
        expected = frames_TK[n - k, k] if 0 <= n - k < shape[0] else ENTRIES
        assert steps_NK[n, k] == expected


@given(shape=shapes, seed=st.integers(0, 100))
def test_flattened_codes_come_coarsest_first_each_in_its_own_part_of_the_vocabulary(
    shape: tuple[int, int], seed: int
) -> None:
    frames_TK = codes(shape, seed)
    pattern = Flattened(shape[1], ENTRIES)
    tokens = pattern.spread(frames_TK)[:, 0]
    constraint = pattern.constraint(len(tokens))
    for n, token in enumerate(tokens):
        assert divmod(token, ENTRIES) == (n % shape[1], frames_TK[n // shape[1], n % shape[1]])
        assert constraint.allowed()[token]
        assert constraint.allowed().sum() == ENTRIES
        constraint.push(int(token))
    assert constraint.done


@pytest.mark.parametrize("pattern", [Parallel(), Delay(hole=ENTRIES), Flattened(4, ENTRIES)])
def test_codes_that_are_not_given_stay_free(pattern: Pattern) -> None:
    frames_TK = to_decode(codes((3, 4), 0), 10)
    assert (pattern.spread(frames_TK) == FREE).sum() == 7 * 4
    assert np.array_equal(pattern.gather(pattern.spread(frames_TK))[:3], frames_TK[:3])
