"""A progress bar on standard error that watches a run in the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_LOOK_EVERY_S = 1.0


class ProgressBar:
    """Shows a phase in words, and how far a run is once it is planned."""

    def __init__(self, progress: Progress, run_id: str) -> None:
        self._progress, self._run_id = progress, run_id
        self._task = progress.add_task("", total=None)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def say(self, phase: str) -> None:
        """Show a phase."""
        self._progress.update(self._task, description=phase)

    def watch(self, database_url: str) -> None:
        """Show the run's progress from now on."""
        if self._progress.console.is_terminal:
            self._thread = threading.Thread(target=self._watch, args=(database_url,), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def _watch(self, database_url: str) -> None:
        from db.database import connect
        from db.errors import DatabaseError, UnknownRunError
        from db.work import progress

        self.say("planning")
        database = None
        while not self._ended.wait(_LOOK_EVERY_S):
            try:
                database = database or connect(database_url)
                with database.unit_of_work() as session:
                    now = progress(session, self._run_id)
            except UnknownRunError:
                continue
            except DatabaseError:
                self.say("waiting for the database")
                continue
            ended = now.done + now.failed
            words = "making" if now.claimed or ended else "starting workers"
            self.say(words if now.open else "verifying")
            self._progress.update(self._task, total=now.total, completed=ended)
        if database is not None:
            database.close()


@contextmanager
def progress_bar(run_id: str) -> Iterator[ProgressBar]:
    """Show a bar for the length of the block; nothing if standard error is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = ProgressBar(progress, run_id)
        try:
            yield bar
        finally:
            bar.close()
