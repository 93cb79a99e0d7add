"""The engine: a sequence does not depend on its company."""

import copy
import functools
import operator
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_decoder import CODEBOOKS, ENTRIES, TinyDecoder, request, rows

from models.engine.engine import Engine
from models.engine.patterns import FREE
from models.engine.requests import Completion, Conditioning, EngineError, Request
from models.transformer import Transformer, TransformerConfig

VOCABULARY, END = 50, 0


@pytest.fixture(scope="module")
def model() -> TinyDecoder:
    return TinyDecoder()


@pytest.fixture(scope="module", params=["rotary", "memory"])
def any_model(request: pytest.FixtureRequest) -> TinyDecoder:
    return TinyDecoder(cross_attention=request.param == "memory", rotary=request.param == "rotary")


def engine_for(model: TinyDecoder, *, slots: int = 8, cache_length: int = 128) -> Engine:
    return Engine(model, slots=slots, cache_length=cache_length, max_positions=512, memory_length=8)


def decode(engine: Engine, requests: Iterable[Request]) -> dict[str, Completion]:
    for each in requests:
        engine.submit(each)
    done: dict[str, Completion] = {}
    while engine.busy:
        done |= {completion.key: completion for completion in engine.step()}
    return done


def content(completion: Completion) -> tuple[bytes, float]:
    return completion.codes_NK.tobytes(), completion.log_likelihood


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(9)), kept=st.integers(1, 9))
def test_a_request_gives_the_same_bits_in_any_company_and_order(
    any_model: TinyDecoder, order: list[int], kept: int
) -> None:
    alone = decode(engine_for(any_model), [request(order[0], any_model)])[str(order[0])]
    together = decode(engine_for(any_model), [request(n, any_model) for n in order[:kept]])
    reversed_order = decode(engine_for(any_model), [request(n, any_model) for n in reversed(order[:kept])])
    assert len(together) == kept
    assert content(alone) == content(together[str(order[0])]) == content(reversed_order[str(order[0])])


@torch.inference_mode()
def whole_pass(
    model: TinyDecoder, conditioning: Conditioning, codes_NK: NDArray[np.int64], given: int
) -> torch.Tensor:
    """Logits_NKV of every step from one pass over the whole sequence, of which so many steps were given."""
    prefix, steps = len(conditioning.prefix_PD), len(codes_NK)
    fed_NK = codes_NK.copy()
    if conditioning.instead_N is not None:
        instead_N1 = conditioning.instead_N[given:, None]
        fed_NK[given:] = np.where(instead_N1 == FREE, fed_NK[given:], instead_N1)
    embedded = model.embed(torch.from_numpy(fed_NK[:-1]), torch.arange(prefix, prefix + steps - 1))
    x_TD = torch.cat((conditioning.prefix_PD, embedded))
    if conditioning.added_ND is not None:
        x_TD[prefix - 1 :] += conditioning.added_ND
    memory = conditioning.memory_MD
    hidden = model.trunk.hidden(x_TD[None], torch.arange(len(x_TD))[None], None if memory is None else memory[None])
    return torch.einsum("nd,kvd->nkv", hidden[0, prefix - 1 :], model.head_KVD)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("given_frames", [0, 45])
def test_decoding_step_by_step_follows_the_whole_forward_pass(
    any_model: TinyDecoder, n: int, given_frames: int
) -> None:
    asked = request(n, any_model, frames=60, prefix=1 + 20 * n, given=given_frames)
    codes_NK = decode(engine_for(any_model, cache_length=256), [asked])[str(n)]
    given = int(np.flatnonzero((asked.given_NK == FREE).any(axis=1))[0])
    logits_NKV = whole_pass(any_model, asked.conditioning, codes_NK.codes_NK, given).double()
    if asked.unconditional is not None:
        without_NKV = whole_pass(any_model, asked.unconditional, codes_NK.codes_NK, given).double()
        logits_NKV = without_NKV + asked.guidance_scale * (logits_NKV - without_NKV)
    free_NK = torch.from_numpy(asked.given_NK == FREE)
    codes = torch.from_numpy(codes_NK.codes_NK).clamp(max=ENTRIES - 1)
    nats_NK = logits_NKV.log_softmax(dim=-1).gather(2, codes[..., None])[..., 0]
    assert free_NK.sum() == (60 - given_frames) * CODEBOOKS
    assert codes_NK.log_likelihood == pytest.approx(float(nats_NK[free_NK].sum()), abs=2e-2)


def test_given_codes_are_kept_and_the_rest_is_drawn(model: TinyDecoder) -> None:
    asked = request(3, model, frames=30, given=12)
    codes_NK = decode(engine_for(model), [asked])["3"].codes_NK
    given_NK = asked.given_NK != FREE
    assert np.array_equal(codes_NK[given_NK], asked.given_NK[given_NK])
    drawn = codes_NK[~given_NK]
    assert drawn.min() >= 0
    assert drawn.max() < ENTRIES


@pytest.mark.parametrize("given", [0, 200])
def test_a_sequence_longer_than_the_cache_goes_on_and_repeats_exactly(model: TinyDecoder, given: int) -> None:
    alone = decode(engine_for(model), [request(5, model, frames=300, prefix=9, given=given)])["5"]
    crowd = [*(request(n, model) for n in range(5)), request(5, model, frames=300, prefix=9, given=given)]
    assert len(alone.codes_NK) > 300
    assert content(alone) == content(decode(engine_for(model), crowd)["5"])


def test_guidance_of_one_is_no_guidance(model: TinyDecoder) -> None:
    with_twin = decode(engine_for(model), [request(2, model, guided=True, guidance_scale=1.0)])["2"]
    without = decode(engine_for(model), [request(2, model, guided=False)])["2"]
    assert np.array_equal(with_twin.codes_NK, without.codes_NK)


def test_a_preempted_request_goes_on_as_if_nothing_had_happened(any_model: TinyDecoder) -> None:
    expected = decode(engine_for(any_model), [request(n, any_model) for n in range(6)])
    engine = engine_for(any_model, slots=4)
    for n in range(6):
        engine.submit(request(n, any_model))
    done: dict[str, Completion] = {}
    steps = 0
    while engine.busy:
        steps += 1
        if steps % 5 == 0:
            engine.preempt(str(steps // 5 % 6))
        done |= {completion.key: completion for completion in engine.step()}
    # four and eight rows are summed alike by the linear layers of these sizes
    assert {key: content(each) for key, each in done.items()} == {key: content(e) for key, e in expected.items()}


def test_a_cancelled_request_is_forgotten_and_the_others_do_not_notice(model: TinyDecoder) -> None:
    expected = decode(engine_for(model), [request(n, model) for n in (1, 2, 3)])
    engine = engine_for(model)
    for n in (0, 1, 2, 3):
        engine.submit(request(n, model))
    first = [engine.step() for _ in range(3)]
    assert engine.cancel("0")
    assert not engine.cancel("0")
    done = {each.key: each for each in (*functools.reduce(operator.iadd, first, []), *decode(engine, []).values())}
    assert {key: content(each) for key, each in done.items()} == {key: content(e) for key, e in expected.items()}


def test_the_longest_expected_runs_first(model: TinyDecoder) -> None:
    engine = engine_for(model, slots=1)
    for n, frames in ((0, 10), (2, 30), (3, 20)):
        engine.submit(request(n, model, frames=frames, prefix=1, guided=False))
    order = [completion.key for _ in range(200) for completion in engine.step()]
    assert order == ["2", "3", "0"]


def test_progress_is_told_for_each_request(model: TinyDecoder) -> None:
    engine = engine_for(model, slots=1)
    engine.submit(request(0, model, frames=10, prefix=1, guided=False))
    engine.submit(request(2, model, frames=30, prefix=1, guided=False))
    for _ in range(4):
        engine.step()
    progress = engine.progress()
    assert (progress["2"].made, progress["2"].steps, progress["2"].running) == (4, 32, True)
    assert (progress["0"].made, progress["0"].running) == (0, False)


def test_while_requests_wait_no_slot_is_idle(model: TinyDecoder) -> None:
    engine = engine_for(model)
    decode(engine, [request(n, model, prefix=1 + 40 * (n % 2), guided=False) for n in range(40)])
    found = engine.statistics
    assert found.occupancy_while_waiting > 0.95
    assert found.occupancy_while_waiting >= found.occupancy > 0.5
    assert 0 < found.running_s < found.total_s


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


def test_a_constraint_is_obeyed_and_ends_the_sequence_or_leaves_it_exhausted() -> None:
    plain = Transformer(TransformerConfig(vocabulary=VOCABULARY, layers=2, width=64, heads=4, feed_forward=128))
    plain.reset_parameters(torch.Generator().manual_seed(3))

    def asked(steps: int) -> Request:
        return Request(
            key="a",
            conditioning=Conditioning(prefix_PD=rows(1, 4, 64)),
            given_NK=np.full((steps, 1), FREE),
            constraint=UntilEnd(20),
            seed=1,
            stage="test",
        )

    engine = Engine(plain, slots=2, cache_length=128)
    ended = decode(engine, [asked(100)])["a"]
    assert END not in ended.tokens[:20]
    assert ended.tokens[-1] == END
    assert not ended.exhausted
    assert decode(engine, [asked(10)])["a"].exhausted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 5000}, "512 positions at most"),
        ({"prefix": 200}, "a prefix of 200 inputs before 8 steps, the cache holds 128"),
        ({"prefix": 0}, "a prefix of 0 inputs"),
        ({"given": 6}, "none of the 8 steps"),
        ({"given_NK": np.full((4, 2), FREE)}, "2 codes a step asked of a model with 3"),
        ({"constraint": UntilEnd(3)}, "a constraint follows one code a step, not 3"),
        (
            {"conditioning": Conditioning(prefix_PD=rows(1, 3, 64), instead_N=np.full(4, FREE))},
            "what is fed back is told of 4 of 8 steps",
        ),
    ],
)
def test_requests_that_cannot_be_served_are_refused(model: TinyDecoder, changes: dict, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        engine_for(model).submit(request(2, model, **{"frames": 6, "prefix": 3} | changes))


def test_a_memory_that_is_missing_or_too_long_is_refused() -> None:
    model = TinyDecoder(cross_attention=True)
    for memory, message in ((None, "none is given"), (rows(0, 9, 64), "9 rows, the cache holds 8")):
        told = Conditioning(prefix_PD=rows(1, 3, 64), memory_MD=memory)
        with pytest.raises(EngineError, match=message):
            engine_for(model).submit(request(2, model, conditioning=told))


def test_a_key_that_is_already_here_is_refused(model: TinyDecoder) -> None:
    engine = engine_for(model)
    engine.submit(request(1, model))
    with pytest.raises(EngineError, match="'1' is already here"):
        engine.submit(request(1, model))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_a_request_gives_the_same_bits_in_any_company(model: TinyDecoder) -> None:
    moved = copy.deepcopy(model).to("cuda")
    alone = decode(engine_for(moved), [request(2, moved)])["2"]
    assert content(alone) == content(decode(engine_for(moved), [request(n, moved) for n in range(10)])["2"])
