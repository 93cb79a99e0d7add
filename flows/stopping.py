"""Being asked to stop: interrupt, termination and hang-up end a run in order, with what is finished kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from flows.errors import InterruptedRunError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Whether somebody asked to stop, and by which signal. Safe to look at from any thread."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._asked = threading.Event()
        self._signal = 0

    def ask(self, signal_number: int) -> None:
        """Ask to stop; the first signal counts."""
        if not self._asked.is_set():
            self._signal = signal_number
            self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked.is_set()

    def check(self) -> None:
        """See that nobody asked to stop.

        Raises:
            InterruptedRunError: somebody did.
        """
        if self._asked.is_set():
            raise InterruptedRunError(self._signal, self._run_id)


@contextmanager
def stop_on_signals(run_id: str) -> Iterator[StopRequest]:
    """Turn signals into a request for the length of the block; in another thread than the main one, do nothing.

    A handler in Python runs between two steps of the main thread, so the event loop need not know of it.
    """
    request = StopRequest(run_id)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        request.ask(number)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
