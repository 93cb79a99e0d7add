"""Which build of step.cpp this machine runs."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from models.engine.native.structures import Feed, Linear, Model, Scratch

AVX2 = {"avx2", "fma"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"}


def runnable() -> list[str]:
    """Return the builds that are installed and that this machine runs, the fastest first.

    Without AVX2 an x86 processor has no fused multiply-add; doing it in software would be slower than PyTorch.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        flags = _flags()
        fitting = [name for name, needed in (("avx512", AVX512), ("avx2", AVX2)) if needed <= flags]
    else:
        fitting = ["plain"]
    return [name for name in fitting if path(name) is not None]


def path(build: str) -> Path | None:
    """Return where a build lies, if it was made."""
    folder = Path(__file__).parent
    return next((file for end in EXTENSION_SUFFIXES if (file := folder / f"_{build}{end}").exists()), None)


@cache
def load(build: str) -> ctypes.CDLL:
    """Return a build, with the types of its functions."""
    with _short_spins():
        library = ctypes.CDLL(str(path(build)))
    library.tutti_step.argtypes = [
        POINTER(Model), POINTER(Feed), c_int64, POINTER(Scratch), c_void_p, c_void_p, c_int64
    ]  # fmt: skip
    library.tutti_remember.argtypes = [POINTER(Model), c_int64, c_int64, c_int64, c_void_p]
    library.tutti_linear.argtypes = [
        POINTER(Linear), c_void_p, c_int64, POINTER(Scratch), c_void_p, c_int64, c_int64
    ]  # fmt: skip
    for function in (library.tutti_step, library.tutti_remember, library.tutti_linear):
        function.restype = None
    return library


@contextmanager
def _short_spins() -> Iterator[None]:
    """Let OpenMP's threads wait for each other awake for some microseconds only, then asleep.

    Its runtime reads this once, when it is loaded. By default it would spin for milliseconds, which on a machine
    with other work takes the processor from the very thread that is waited for.
    """
    name = "GOMP_SPINCOUNT"
    before = os.environ.get(name)
    os.environ.setdefault(name, "2000")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
