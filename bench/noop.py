"""A generator that makes nothing worth hearing, at once: what is left to measure is everything around it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.recipe import ModelIdentity
from models.generator import NO_INPUTS, Json, NumericProfile, Outcome, Product, ProductFile, StageRecord

if TYPE_CHECKING:
    from models.weights import ModelVersion

OBJECT_BYTES = 50_000  # about the codes of a minute
MODEL = ModelIdentity("no-op", "sha256:" + hashlib.sha256(b"no-op").hexdigest(), "score")


class NoopGenerator:
    """Hands every item back at the next step, as one object of bytes drawn from its key."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.profile = NumericProfile(
            device="cpu",
            processor="any",
            dtype="none",
            torch="none",
            backend=platform.python_version(),
            slots=slots,
            threads=1,
        )
        self._admitted: list[str] = []

    def admit(self, key: str, recipe: Mapping[str, Json], inputs: Mapping[str, bytes] = NO_INPUTS) -> None:
        """Take an item; any recipe will do."""
        self._admitted.append(key)

    def advance(self) -> Sequence[Outcome]:
        """Return everything admitted."""
        done, self._admitted = self._admitted, []
        return [Outcome(key, key) for key in done]

    def finish(self, drafted: str) -> Product:
        """Draw the bytes."""
        began = datetime.now(UTC)
        data = hashlib.shake_128(drafted.encode()).digest(OBJECT_BYTES)
        stage = StageRecord(
            name="no-op",
            input_digest="sha256:" + drafted,
            output_digest="sha256:" + hashlib.sha256(data).hexdigest(),
            started_at=began,
            wall_s=(datetime.now(UTC) - began).total_seconds(),
        )
        file = ProductFile(role="codes", name="codes.bin", media_type="application/octet-stream", data=data)
        return Product(files=(file,), duration_s=60.0, stages=(stage,), attributes={})


def load(version: ModelVersion | None, *, device: str, dtype: str, slots: int, threads: int) -> NoopGenerator:
    """Make the generator; the signature is that of `models.registry.load_generator`."""
    return NoopGenerator(slots)
