"""Which backend runs a model on a device, in a dtype.

| backend | device | dtypes |
|---|---|---|
| native | CPU | float32, bfloat16 (and cache), int8 (bfloat16 cache) |
| torch-packed | CPU | float32, bfloat16 |
| torch | any | any that the device knows |
| cuda-graphs | CUDA | any that the device knows |
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch

from models.engine.backend import Backend, BackendUnavailableError, CacheSize
from models.engine.cuda_graphs import CudaGraphBackend
from models.engine.model import DecoderModel
from models.engine.native.backend import NativeBackend
from models.engine.native.library import runnable
from models.engine.processor import processor_of
from models.engine.torch_backend import TorchBackend
from models.generator import NumericProfile

Name = Literal["auto", "native", "torch-packed", "torch", "cuda-graphs"]
NATIVE_WEIGHTS = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A backend that is still to be given its model: what `Engine` takes."""

    name: Name
    dtype: str
    threads: int
    otherwise: Name | None = None  # for a model of sizes that the first cannot run

    @property
    def model_dtype(self) -> torch.dtype:
        """In which dtype the model is to be loaded; the native step packs its own from float32."""
        found: torch.dtype = torch.float32 if self.name == "native" else getattr(torch, self.dtype)
        return found

    @property
    def cache_itemsize(self) -> int:
        """Bytes of a number in the cache, at most."""
        if self.name == "cuda-graphs":
            return self.model_dtype.itemsize
        return 2 if self.name == "native" and self.dtype != "float32" else 4

    def profile(self, running: Backend, *, device: str, slots: int) -> NumericProfile:
        """Return what may change the last bit of a result of a generator that runs on this backend."""
        return NumericProfile(
            device=device,
            processor=processor_of(device),
            dtype=self.dtype,
            torch=str(torch.__version__),
            backend=running.name,
            slots=slots,
            threads=self.threads,
        )

    def __call__(self, model: DecoderModel, size: CacheSize) -> Backend:
        """Return the backend, holding the model.

        Raises:
            BackendUnavailableError: it cannot run this model here.
        """
        if self.name == "native":
            try:
                return NativeBackend(
                    model,
                    size,
                    weights=NATIVE_WEIGHTS[self.dtype],
                    half_cache=self.dtype != "float32",
                    threads=self.threads,
                )
            except BackendUnavailableError as error:
                if self.otherwise is None:
                    raise
                _log.warning("%s: %s serves", error, self.otherwise)
                return replace(self, name=self.otherwise)(model, size)
        if self.name == "cuda-graphs":
            return CudaGraphBackend(model, size)
        return TorchBackend(model, size, packed=self.name == "torch-packed")


def choose_backend(name: Name, *, device: str, dtype: str, threads: int) -> BackendChoice:
    """Return the backend of that name, or the fastest of a device for "auto".

    Args:
        name: see above.
        device: "cpu" or a CUDA device.
        dtype: "float32", "bfloat16", "float16" or "int8".
        threads: for the native step; PyTorch's are set for the process.

    Raises:
        BackendUnavailableError: that backend has no such dtype, or is not of this device.
    """
    asked, on_cpu = name, torch.device(device).type == "cpu"
    if name == "auto":
        name = _fastest(dtype) if on_cpu else "cuda-graphs"
    if name in ("native", "torch-packed") and not on_cpu:
        raise BackendUnavailableError(f"the {name} backend runs on the CPU, not on {device}")
    if name == "cuda-graphs" and on_cpu:
        raise BackendUnavailableError("the cuda-graphs backend needs a CUDA device")
    if name == "native" and not runnable():
        raise BackendUnavailableError("the native step was not built, or not for this processor")
    if dtype == "int8" and name != "native":
        raise BackendUnavailableError("int8 is for the native step on a CPU; take bfloat16 or float32")
    if name == "native" and dtype not in NATIVE_WEIGHTS:
        raise BackendUnavailableError(f"the native step has no {dtype}; it has {', '.join(NATIVE_WEIGHTS)}")
    otherwise: Name | None = "torch-packed" if asked == "auto" and name == "native" and dtype != "int8" else None
    return BackendChoice(name, dtype, threads, otherwise)


def _fastest(dtype: str) -> Name:
    if dtype in NATIVE_WEIGHTS and runnable():
        return "native"
    if dtype in NATIVE_WEIGHTS:
        _say_that_there_is_no_native_step()
    return "torch" if dtype == "float16" else "torch-packed"


@cache
def _say_that_there_is_no_native_step() -> None:
    _log.warning(
        "no native step for this processor: PyTorch serves, slower; a C++ compiler when Tutti is installed makes it"
    )
