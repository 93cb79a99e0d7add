"""How a worker comes by its generator: a description that travels, and is loaded where it arrives."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from actors.errors import WorkersFailedError
from models.generator import Generator

if TYPE_CHECKING:
    from models.weights import ModelVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFactory:
    """Loads a model version with the function that `loader` ("module:function") names.

    The function has the signature of `models.registry.load_generator`.
    """

    loader: str
    version: ModelVersion
    device: str
    dtype: str
    slots: int
    threads: int

    def __call__(self) -> Generator:
        """Load the generator onto the device.

        Raises:
            WorkersFailedError: there is no such function.
        """
        module, _, name = self.loader.partition(":")
        try:
            load = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise WorkersFailedError(f"TUTTI_GENERATOR {self.loader!r}: {error}") from error
        made = load(self.version, device=self._device(), dtype=self.dtype, slots=self.slots, threads=self.threads)
        return cast(Generator, made)

    def _device(self) -> str:
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
