"""How far a long task is: told to Prefect as a progress artifact, and to whoever started the flow."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.model_training import Report

_TOLD_EVERY_S = 15.0
also_told: ContextVar[Report | None] = ContextVar("also_told", default=None)  # a parameter would have to be JSON


class Told:
    """Passes reports on, and to a progress artifact every few seconds."""

    def __init__(self, name: str) -> None:
        """Begin an artifact of the task that runs."""
        self._report, self._last = also_told.get(), time.monotonic()
        made = create_progress_artifact(progress=0.0, key=artifact_key(name), description="beginning")
        assert isinstance(made, UUID)  # a coroutine only where a loop runs
        self._artifact = made

    def __call__(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Take a report."""
        if self._report is not None:
            self._report(phase, done, total, figures)
        now = time.monotonic()
        if now - self._last > _TOLD_EVERY_S or done == total:
            self._last = now
            words = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            progress: Any = 100.0 * done / max(total, 1)
            update_progress_artifact(self._artifact, progress=progress, description=f"{phase} {done}/{total} {words}")


def artifact_key(name: str) -> str:
    """Return a name as Prefect takes it for a key."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
