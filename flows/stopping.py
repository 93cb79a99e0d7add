"""Being asked to stop: interrupt, termination and hang-up end a run in order, with what is finished kept."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from flows.errors import InterruptedRunError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Whether somebody asked to stop, and by which signal. Safe to look at from any thread."""

    def __init__(self, run_id: str | None = None) -> None:
        self.listen_again: Callable[[], None] = lambda: None
        """Call when a library may have taken the signals for itself (Ray does): from any thread."""
        self.run_id = run_id
        """Of the run that can be resumed; None as long as it is not planned."""
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
            raise InterruptedRunError(self._signal, self.run_id)


@contextmanager
def stop_on_signals(run_id: str | None = None) -> Iterator[StopRequest]:
    """Turn signals into a request for the length of the block; in another thread than the main one, do nothing.

    To be entered where an event loop runs: only the main thread may set handlers, and the loop gets us there.

    Args:
        run_id: of the run that can be resumed, if it is planned already.
    """
    request = StopRequest(run_id)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        request.ask(number)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def listen() -> dict[signal.Signals, Any]:
        return {number: signal.signal(number, ask) for number in SIGNALS}

    loop = asyncio.get_running_loop()

    def listen_again() -> None:
        loop.call_soon_threadsafe(listen)

    request.listen_again = listen_again
    before = listen()
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
