"""The engine: a sequence does not depend on its company."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.engine.engine import Engine, EngineError
from models.engine.requests import Completion, Request
from models.transformer import Transformer, TransformerConfig

VOCABULARY, END = 50, 0


class UntilEnd:
    """Anything goes; the end token ends, not before `at_least` tokens."""

    def __init__(self, at_least: int) -> None:
        self.at_least, self.count, self.done = at_least, 0, False

    def allowed(self) -> NDArray[np.bool_]:
        mask = np.ones(VOCABULARY, dtype=bool)
        mask[END] = self.count >= self.at_least
        if self.count >= self.at_least + 40:
            mask[END + 1 :] = False
        return mask

    def push(self, token: int) -> None:
        self.count += 1
        self.done = token == END


@pytest.fixture(scope="module")
def model() -> Transformer:
    config = TransformerConfig(vocabulary=VOCABULARY, layers=2, width=64, heads=4, feed_forward=128)
    built = Transformer(config)
    built.reset_parameters(torch.Generator().manual_seed(3))
    for parameter in built.parameters():
        parameter.data *= 8  # far from even: neighbours that leaked would change the choice
    return built


def request(n: int, *, max_tokens: int = 200) -> Request:
    return Request(
        key=str(n),
        prefix=tuple(1 + (n * 7 + k) % (VOCABULARY - 1) for k in range(2 + n % 5)),
        constraint=UntilEnd(5 + 13 * (n % 4)),
        seed=n,
        stage="test",
        temperature=1.0,
        top_p=0.98,
        max_tokens=max_tokens,
    )


def decode(model: Transformer, requests: Iterable[Request], *, slots: int = 8) -> dict[str, Completion]:
    engine = Engine(model, slots=slots, cache_length=128, max_positions=1024)
    for each in requests:
        engine.submit(each)
    done: dict[str, Completion] = {}
    while engine.busy:
        done |= {completion.key: completion for completion in engine.step()}
    return done


def content(completion: Completion) -> tuple[tuple[int, ...], float]:
    return completion.tokens, completion.log_likelihood


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(11)), kept=st.integers(1, 11))
def test_a_request_gives_the_same_bits_in_any_company_and_order(
    model: Transformer, order: list[int], kept: int
) -> None:
    alone = decode(model, [request(order[0])])[str(order[0])]
    together = decode(model, [request(n) for n in order[:kept]])
    reversed_order = decode(model, [request(n) for n in reversed(order[:kept])])
    assert len(together) == kept
    assert content(alone) == content(together[str(order[0])]) == content(reversed_order[str(order[0])])


@torch.inference_mode()
def test_decoding_step_by_step_follows_the_whole_forward_pass(model: Transformer) -> None:
    completion = decode(model, [request(3)])["3"]
    sequence = (*request(3).prefix, *completion.tokens)
    assert len(sequence) < 128  # nothing has left the cache
    tokens = torch.tensor(sequence)[None]
    logits = model(tokens, torch.arange(len(sequence))[None])[0].double()
    constraint, total = UntilEnd(5 + 13 * 3), 0.0
    for at, token in enumerate(completion.tokens, start=len(request(3).prefix)):
        scores = logits[at - 1].masked_fill(torch.from_numpy(~constraint.allowed()), float("-inf"))
        total += float(scores.log_softmax(dim=0)[token])
        constraint.push(token)
    assert completion.log_likelihood == pytest.approx(total, abs=1e-3 * len(sequence))


def test_a_sequence_longer_than_the_cache_goes_on_and_repeats_exactly(model: Transformer) -> None:
    def long() -> Request:
        return Request(
            key="long",
            prefix=(1, 2, 3),
            constraint=UntilEnd(400),
            seed=5,
            stage="test",
            temperature=1.0,
            top_p=1.0,
            max_tokens=500,
        )

    alone = decode(model, [long()])["long"]
    assert len(alone.tokens) > 400
    assert content(alone) == content(decode(model, [*map(request, range(9)), long()])["long"])


def test_a_sequence_that_does_not_end_is_said_to_be_exhausted(model: Transformer) -> None:
    assert decode(model, [request(3, max_tokens=4)])["3"].exhausted
    assert not decode(model, [request(3)])["3"].exhausted


def test_requests_that_cannot_be_served_are_refused(model: Transformer) -> None:
    engine = Engine(model, slots=2, cache_length=128, max_positions=1024)
    with pytest.raises(EngineError, match="1024 positions"):
        engine.submit(request(0, max_tokens=5000))
    with pytest.raises(EngineError, match="multiple of 128"):
        Engine(model, slots=2, cache_length=100, max_positions=1024)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_a_request_gives_the_same_bits_in_any_company(model: Transformer) -> None:
    import copy

    moved = copy.deepcopy(model).to("cuda")
    alone = decode(moved, [request(2)])["2"]
    assert content(alone) == content(decode(moved, map(request, range(10)))["2"])
