"""Every backend: the same results in any company and schedule, and those of the whole pass."""

import logging
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_decoder import TinyDecoder, request

from models.engine import backends
from models.engine.backend import Backend, BackendUnavailableError, CacheSize
from models.engine.backends import BackendChoice, choose_backend
from models.engine.cuda_graphs import CudaGraphBackend
from models.engine.engine import Engine
from models.engine.model import DecoderModel
from models.engine.native.backend import NativeBackend
from models.engine.native.library import runnable
from models.engine.requests import Completion, Request
from models.engine.torch_backend import TorchBackend

REQUESTS = 6
needs_native = pytest.mark.skipif(not runnable(), reason="the native step was not built")

Factory = Callable[[DecoderModel, CacheSize], Backend]


def graphs_uncaptured(model: DecoderModel, size: CacheSize) -> Backend:
    return CudaGraphBackend(model, size, captured=False)


FACTORIES: dict[str, Factory] = {
    "torch": TorchBackend,
    "torch-packed": BackendChoice("torch-packed", "float32", 1),
    "graphs": graphs_uncaptured,
    "native": BackendChoice("native", "float32", 1),
    "native-int8": BackendChoice("native", "int8", 1),
}
ALL = [
    pytest.param(factory, id=name, marks=[needs_native] if name.startswith("native") else [])
    for name, factory in FACTORIES.items()
]


@pytest.fixture(scope="module", params=["rotary", "memory"])
def model(request: pytest.FixtureRequest) -> TinyDecoder:
    return TinyDecoder(cross_attention=request.param == "memory", rotary=request.param == "rotary")


def engine_for(model: TinyDecoder, factory: Factory, slots: int = 8) -> Engine:
    return Engine(model, slots=slots, cache_length=128, memory_length=8, backend=factory)


def finish(engine: Engine) -> dict[str, Completion]:
    done: dict[str, Completion] = {}
    while engine.busy:
        done |= {completion.key: completion for completion in engine.step()}
    return done


def contents(done: dict[str, Completion]) -> dict[str, tuple[bytes, float]]:
    return {key: (each.codes_NK.tobytes(), each.log_likelihood) for key, each in done.items()}


def alone(model: TinyDecoder, factory: Factory) -> dict[str, Completion]:
    done: dict[str, Completion] = {}
    engine = engine_for(model, factory)
    for n in range(REQUESTS):
        engine.submit(request(n, model))
        done |= finish(engine)
    return done


@pytest.mark.parametrize("factory", ALL)
def test_requests_give_the_same_bits_alone_and_together(model: TinyDecoder, factory: Factory) -> None:
    engine = engine_for(model, factory)
    for n in range(REQUESTS):
        engine.submit(request(n, model))
    assert contents(finish(engine)) == contents(alone(model, factory))


@pytest.mark.parametrize("factory", ALL[1:4])
def test_backends_in_fp32_agree_but_for_rounding(model: TinyDecoder, factory: Factory) -> None:
    size = CacheSize(slots=8, length=128, positions=128, memory=8)
    expected, found = (
        finish_one(model, made(model, size)) for made in (TorchBackend, factory)
    )  # a long prefix and one step: no draw can go another way
    np.testing.assert_allclose(found, expected, atol=1e-4)


def finish_one(model: TinyDecoder, backend: Backend) -> np.ndarray:
    engine = Engine(model, slots=8, cache_length=128, memory_length=8, backend=lambda _model, _size: backend)
    engine.submit(request(1, model, frames=1, prefix=70))
    logits = []
    step = backend.step
    backend.step = lambda feeds, x_RD: logits.append(step(feeds, x_RD).copy()) or logits[-1]
    finish(engine)
    return logits[-1]


SCHEDULES = st.fixed_dictionaries(
    {
        "slots": st.sampled_from([4, 8, 16]),
        "order": st.permutations(range(REQUESTS)),
        "arrivals": st.lists(st.integers(0, 12), min_size=REQUESTS, max_size=REQUESTS),
        "preempted": st.lists(st.tuples(st.integers(0, 40), st.integers(0, REQUESTS - 1)), max_size=8),
        "cancelled": st.lists(st.tuples(st.integers(0, 40), st.integers(0, REQUESTS - 1)), max_size=2),
    }
)


@needs_native
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=SCHEDULES, rotary=st.booleans(), weights=st.sampled_from(["fp32", "int8"]))
def test_no_schedule_changes_a_bit(schedule: dict, rotary: bool, weights: str) -> None:
    check_schedule(schedule, rotary, weights)


@settings(max_examples=25, deadline=None)
@given(schedule=SCHEDULES, rotary=st.booleans(), weights=st.sampled_from(["torch", "packed"]))
def test_no_schedule_changes_a_bit_in_torch(schedule: dict, rotary: bool, weights: str) -> None:
    check_schedule(schedule, rotary, weights)


@needs_native
def test_two_threads_change_no_bit() -> None:
    model, requests, expected = crowd(rotary=False, weights="int8")
    engine = engine_for(model, BackendChoice("native", "int8", 2), slots=4)
    for each in requests[:3]:
        engine.submit(each)
    assert contents(finish(engine)) == {key: expected[key] for key in ("0", "1", "2")}


@cache
def crowd(rotary: bool, weights: str) -> tuple[TinyDecoder, list[Request], dict[str, tuple[bytes, float]]]:
    """A model, its requests, and what each comes to alone."""
    model = TinyDecoder(cross_attention=not rotary, rotary=rotary)
    requests = [request(n, model) for n in range(REQUESTS)]
    return model, requests, contents(alone(model, factory_of(weights)))


def factory_of(weights: str) -> Factory:
    if weights in ("torch", "packed"):
        return lambda model, size: TorchBackend(model, size, packed=weights == "packed")
    half = weights != "fp32"
    return lambda model, size: NativeBackend(model, size, weights=weights, half_cache=half, threads=1)


def check_schedule(schedule: dict, rotary: bool, weights: str) -> None:
    model, requests, expected = crowd(rotary, weights)
    engine = engine_for(model, factory_of(weights), schedule["slots"])
    arrivals = dict(zip(schedule["order"], schedule["arrivals"], strict=True))
    done: dict[str, Completion] = {}
    cancelled: set[str] = set()
    step = 0
    while engine.busy or step <= 12:
        for n in schedule["order"]:
            if arrivals[n] == step:
                engine.submit(requests[n])
        for at, n in schedule["preempted"]:
            if at == step:
                engine.preempt(str(n))
        for at, n in schedule["cancelled"]:
            if at == step and engine.cancel(str(n)):
                cancelled.add(str(n))
        done |= {completion.key: completion for completion in engine.step()}
        step += 1
    assert set(done) | cancelled == {str(n) for n in range(REQUESTS)}
    assert contents(done) == {key: expected[key] for key in done}


@needs_native
def test_the_cache_takes_the_memory_that_the_configuration_says_and_no_more_with_time() -> None:
    model = TinyDecoder(cross_attention=True)
    engine = Engine(model, slots=4, cache_length=128, memory_length=64, backend=BackendChoice("native", "float32", 1))
    backend = engine.backend
    tensors = [backend.keys, backend.values, backend.memory_keys, backend.memory_values]
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert held == engine.size.bytes(model.trunk.config, 4)
    for n in range(200):
        engine.submit(request(n, model, frames=3, prefix=2, guided=False))
    finish(engine)
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) == held
    assert engine.busy == 0


@pytest.mark.parametrize(
    ("name", "device", "dtype", "message"),
    [
        ("torch", "cpu", "int8", "int8 is for the native step"),
        ("native", "cuda", "float32", "runs on the CPU, not on cuda"),
        ("cuda-graphs", "cpu", "float32", "needs a CUDA device"),
        pytest.param("native", "cpu", "float16", "has no float16", marks=needs_native),
    ],
)
def test_a_backend_that_cannot_serve_says_so(name: str, device: str, dtype: str, message: str) -> None:
    with pytest.raises(BackendUnavailableError, match=message):
        choose_backend(name, device=device, dtype=dtype, threads=1)


def test_without_a_native_step_torch_serves_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "runnable", list)
    backends._say_that_there_is_no_native_step.cache_clear()
    with caplog.at_level(logging.WARNING):
        chosen = [choose_backend("auto", device="cpu", dtype="float32", threads=1) for _ in range(3)]
    assert {choice.name for choice in chosen} == {"torch-packed"}
    assert len(caplog.records) == 1
    assert "compiler" in caplog.text


@needs_native
def test_the_native_step_is_what_a_cpu_gets() -> None:
    assert choose_backend("auto", device="cpu", dtype="int8", threads=1).name == "native"
    assert choose_backend("auto", device="cpu", dtype="int8", threads=1).model_dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_captured_graph_gives_what_its_operations_give(dtype: torch.dtype) -> None:
    model = TinyDecoder().to("cuda", dtype)
    assert contents(alone(model, CudaGraphBackend)) == contents(alone(model, graphs_uncaptured))
