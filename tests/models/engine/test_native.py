"""The native step against PyTorch, kernel by kernel, and its builds against each other."""

from ctypes import byref

import numpy as np
import pytest
import torch
from tiny_decoder import TinyDecoder
from torch.nn import functional as F

from models.engine.backend import CHUNK, BackendUnavailableError, CacheSize, Feed
from models.engine.native import structures
from models.engine.native.backend import NativeBackend
from models.engine.native.library import AVX2, load, path, runnable
from models.engine.native.packing import PackedLinear
from models.engine.torch_backend import TorchBackend

SIZE = CacheSize(slots=4, length=128, positions=256, memory=8)
BUILDS = [*runnable(), *(["plain"] if path("plain") else [])]
pytestmark = pytest.mark.skipif(not runnable(), reason="no compiler made the native step, or not for this processor")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(build: str, packed: PackedLinear, x_RI: torch.Tensor, *, curve: bool = False, threads: int = 1):
    gathered = torch.empty(x_RI.shape)
    scratch = structures.Scratch(gathered=gathered.data_ptr())
    y_RN = torch.full((len(x_RI), packed.outputs), torch.nan)
    load(build).tutti_linear(
        byref(packed.structure()), x_RI.data_ptr(), len(x_RI), byref(scratch), y_RN.data_ptr(), int(curve), threads
    )
    return y_RN


@pytest.mark.parametrize(("kind", "tolerance"), [("fp32", 1e-5), ("bf16", 1e-2), ("int8", 4e-2)])
@pytest.mark.parametrize("rows", [1, 2, 5, 16])
def test_a_linear_layer_is_that_of_torch_within_what_its_weights_keep(kind: str, tolerance: float, rows: int) -> None:
    weight_NI, x_RI = random(87, 96, seed=1) / 10, random(rows, 96, seed=2)
    found = linear(BUILDS[0], PackedLinear(weight_NI, kind), x_RI)
    assert found.shape == (rows, 96)
    assert torch.equal(found[:, 87:], torch.zeros(rows, 9))
    torch.testing.assert_close(found[:, :87], x_RI @ weight_NI.T, atol=tolerance, rtol=tolerance)


def test_bytes_give_exactly_the_sums_of_products_of_bytes() -> None:
    weight_NI, x_RI = random(64, 128, seed=1), random(3, 128, seed=2)
    scale_N1 = weight_NI.abs().amax(1, keepdim=True) / 127
    scale_R1 = x_RI.abs().amax(1, keepdim=True) / 127
    exact = (x_RI * (127 / x_RI.abs().amax(1, keepdim=True))).round() @ (weight_NI / scale_N1).round().T
    assert torch.equal(linear(BUILDS[0], PackedLinear(weight_NI, "int8"), x_RI), exact * scale_R1 * scale_N1.T)


def test_the_curve_is_gelu() -> None:
    x_RI = torch.linspace(-9, 9, 64)[:, None].expand(64, 16).contiguous()
    found = linear(BUILDS[0], PackedLinear(torch.eye(16), "fp32"), x_RI, curve=True)
    torch.testing.assert_close(found, F.gelu(x_RI), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("build", BUILDS)
def test_a_row_of_a_linear_layer_has_the_same_bits_in_any_company_build_and_on_any_threads(
    kind: str, build: str
) -> None:
    packed, x_RI = PackedLinear(random(160, 64, seed=1), kind), random(17, 64, seed=2)
    alone = torch.cat([linear(BUILDS[0], packed, x_RI[r, None].contiguous()) for r in range(17)])
    for threads in (1, 2):
        assert torch.equal(linear(build, packed, x_RI, threads=threads), alone)


def steps(backend: TorchBackend | NativeBackend, *, single: bool = False, count: int = 110) -> np.ndarray:
    """Logits of three rows over some steps: a chunk first, then past the end of the cache."""
    width = 96
    for slot in range(4):
        backend.remember(slot, random(3 + slot, width, seed=slot) if backend.config.cross_attention else None)
    x_SCD = random(4, CHUNK, width, seed=9)
    for slot in range(4):
        if single:
            for at in range(CHUNK):
                backend.step([Feed(slot=slot, position=at, entry=at, filled=at + 1)], x_SCD[slot, at, None])
        else:
            backend.prefill(slot, 0, x_SCD[slot])
    found = []
    for n in range(count):
        entry = CHUNK + n if CHUNK + n < 128 else 5 + n % 100
        rows = [slot for slot in range(4) if slot != n % 4]
        feeds = [Feed(slot=slot, position=CHUNK + n, entry=entry, filled=min(CHUNK + n + 1, 128)) for slot in rows]
        found.append(backend.step(feeds, random(3, width, seed=100 + n)).copy())
    return np.stack(found)


@pytest.fixture(scope="module", params=["rotary", "memory"])
def model(request: pytest.FixtureRequest) -> TinyDecoder:
    return TinyDecoder(cross_attention=request.param == "memory", rotary=request.param == "rotary", width=96)


def test_whole_steps_in_fp32_are_those_of_torch(model: TinyDecoder) -> None:
    native = NativeBackend(model, SIZE, weights="fp32", half_cache=False, threads=1)
    np.testing.assert_allclose(steps(native), steps(TorchBackend(model, SIZE)), atol=1e-4)


@pytest.mark.parametrize(("weights", "tolerance"), [("bf16", 0.01), ("int8", 0.05)])
def test_smaller_weights_and_cache_change_logits_as_little_as_they_should(
    model: TinyDecoder, weights: str, tolerance: float
) -> None:
    expected = steps(TorchBackend(model, SIZE))
    found = steps(NativeBackend(model, SIZE, weights=weights, half_cache=True, threads=1))
    assert np.square(found - expected).mean() < tolerance * expected.var()
    assert np.square(found - expected).mean() > 0


@pytest.mark.parametrize("weights", ["fp32", "int8"])
def test_every_build_and_number_of_threads_gives_the_same_bits(model: TinyDecoder, weights: str) -> None:
    def found(build: str, threads: int) -> np.ndarray:
        made = NativeBackend(model, SIZE, weights=weights, half_cache=True, threads=threads, build=build)
        return steps(made, count=12)  # two threads wait for each other, which takes long on a busy machine

    expected = found(BUILDS[0], 1)
    assert all(np.array_equal(found(build, 1), expected) for build in BUILDS)
    assert np.array_equal(found(BUILDS[0], 2), expected)


def test_a_chunk_gives_the_bits_of_its_inputs_one_by_one(model: TinyDecoder) -> None:
    made = [NativeBackend(model, SIZE, weights="int8", half_cache=True, threads=1) for _ in range(2)]
    assert np.array_equal(steps(made[0]), steps(made[1], single=True))


def test_sizes_that_it_cannot_run_are_refused() -> None:
    model = TinyDecoder(width=64)
    model.trunk.config = type(model.trunk.config)(layers=2, width=64, heads=8, feed_forward=128)
    with pytest.raises(BackendUnavailableError, match="multiples of 16"):
        NativeBackend(model, SIZE, weights="fp32", half_cache=False, threads=1)


def test_an_x86_processor_with_avx2_has_a_build_that_it_runs() -> None:
    assert ("avx2" in runnable()) == (path("avx2") is not None and bool(AVX2))
