"""What the benchmarks share: a home of their own, the option --json, and how figures are printed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from db.database import Database, connect
from db.model_versions import NewModelVersion, register_version
from db.postgres import EmbeddedPostgres
from flows.recipe import ModelIdentity


def parser(words: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that all benchmarks have; `words` is the docstring of the script."""
    made = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="end with one line of JSON")
    return made


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Give an empty home that any account can enter, and remove it."""
    home = Path(tempfile.mkdtemp(prefix="tutti-bench-"))
    home.chmod(0o755)  # as root PostgreSQL runs under another account
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def temporary_database(home: Path, model: ModelIdentity) -> Iterator[Database]:
    """Start an embedded PostgreSQL in `home`, with our tables and one registered model."""
    postgres = EmbeddedPostgres(home)
    try:
        database = connect(postgres.up())
        try:
            database.upgrade()
            with database.unit_of_work() as session:
                register_version(session, NewModelVersion(model.digest, model.name, model.kind, {}, {}))
            yield database
        finally:
            database.close()
    finally:
        postgres.down()


class Meter:
    """Measures by the clock and by processor time: this process, and the embedded PostgreSQL of a home."""

    def __init__(self, home: Path) -> None:
        self._server = psutil.Process(EmbeddedPostgres(home).status().pid)
        self.wall_s = self.own_cpu_s = self.postgres_cpu_s = 0.0

    @property
    def cpu_s(self) -> float:
        """Processor time of both."""
        return self.own_cpu_s + self.postgres_cpu_s

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what the block takes."""
        began, own, postgres = time.perf_counter(), time.process_time(), self._postgres_s()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - began
            self.own_cpu_s += time.process_time() - own
            self.postgres_cpu_s += self._postgres_s() - postgres

    def _postgres_s(self) -> float:
        times = [each.cpu_times() for each in (self._server, *self._server.children())]
        ended = times[0].children_user + times[0].children_system
        return float(sum(each.user + each.system for each in times) + ended)


def postgres_of(home: Path) -> list[psutil.Process]:
    """Return the processes of the embedded PostgreSQL of a home."""
    server = psutil.Process(EmbeddedPostgres(home).status().pid)
    return [server, *server.children()]


@contextmanager
def peak_of_memory(processes: Callable[[], Iterable[psutil.Process]]) -> Iterator[list[float]]:
    """Follow what processes use, shared pages counted once, in MB, in item 0; they are asked for twice a second."""
    peak, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            used = 0
            for process in processes():
                with suppress(psutil.Error):
                    used += process.memory_full_info().pss
            peak[0] = max(peak[0], used / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of figures under their names."""
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), flush=True)


def finish(name: str, figures: Mapping[str, Any], *, as_json: bool) -> None:
    """End a benchmark: with one line of JSON if that was asked for."""
    if as_json:
        print(json.dumps({"bench": name, "machine": machine(), **figures}))


def machine() -> dict[str, Any]:
    """Say what was measured on, and how busy it was with other things."""
    return {
        "processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 1),
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
