"""What a command has done already when the flow that it drives begins in the same process: nothing is done twice.

A flow on a schedule has nothing handed over, and does all of it itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.pool import WorkerPool
    from flows.order import Order


@dataclass(frozen=True, slots=True)
class Handover:
    """The order as it was checked, if any; the workers, if they were started ahead."""

    order: Order | None = None
    workers: WorkerPool | None = None


_HANDED: Final[ContextVar[Handover]] = ContextVar("handed over to the flow")


@contextmanager
def handing_over(handover: Handover) -> Iterator[None]:
    """Hand over to the flows that are run in the block."""
    token = _HANDED.set(handover)
    try:
        yield
    finally:
        _HANDED.reset(token)


def handed_over() -> Handover:
    """Return what the command that drives this flow has done already."""
    return _HANDED.get(Handover())
