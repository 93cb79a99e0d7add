"""Have Ray's processes load a model before workers are placed in them: what they imported they keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.factory import GeneratorFactory


def warm_up(factory: GeneratorFactory, *, workers: int, threads: int) -> None:
    """Begin to load the model in as many processes as there will be workers; do not wait.

    It is loaded for the processor and let go of again: a worker loads it anew, in a fraction of the time. What
    cannot be loaded is told by the workers.
    """
    import ray

    load: Any = ray.remote(num_cpus=threads, max_retries=0)(_load)
    for _ in range(workers):
        load.remote(replace(factory, device="cpu"))


def _load(factory: GeneratorFactory) -> None:
    factory()
