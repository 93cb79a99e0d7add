"""The local Prefect server: a daemon below Tutti's home that keeps its records in the embedded PostgreSQL.

It is adopted if it answers and replaced if it does not. A process is taken for ours only if both its id and the
moment of its start are those we wrote down, so a reused process id is never mistaken for it.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from flows.errors import ServiceError

_START_WITHIN_S: Final = 180.0
_YOUNG_S: Final = 180.0  # younger than this, a server may still be starting
_STUCK_AFTER_S: Final = 30.0  # older, it is replaced if it does not answer for so long
_ANSWER_WITHIN_S: Final = 5.0
_STOP_WITHIN_S: Final = 15.0
_FIRST_PORT_ATTEMPTS: Final = 5
_FREED_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Process:
    """What we wrote down about the server we started."""

    pid: int
    started_at: float
    port: int

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def find(self) -> psutil.Process | None:
        """Return the process if it still lives."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            if alive and abs(process.create_time() - self.started_at) < 1:
                return process
        return None


class PrefectServer:
    """One Prefect server in `home`/prefect, shared by every command of that home.

    Args:
        home: Tutti's home.
        database_url: PostgreSQL database for Prefect's own records, for the asyncpg driver.
    """

    def __init__(self, home: Path, database_url: str) -> None:
        self._folder = home / "prefect"
        self._database_url = database_url
        self._log = self._folder / "server.log"
        self._state = self._folder / "server.json"

    def up(self) -> str:
        """Start the server unless it runs and answers; return the address of its API.

        Raises:
            ServiceError: it cannot be started; the message says where its log is.
        """
        known = self._known()
        if known and known.find() and answers(known.api_url):
            return known.api_url
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                return self._adopt() or self._start()
        except OSError as error:
            raise ServiceError(f"the Prefect server cannot be started in {self._folder}: {error}") from error

    def begin(self) -> str:
        """Start the server unless it is there, and do not wait for it; return where it will answer.

        Raises:
            ServiceError: it cannot be started.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                known = self._known()
                if known and known.find():
                    return known.api_url
                return self._spawn(_free_port(known.port if known else None))[1].api_url
        except OSError as error:
            raise ServiceError(f"the Prefect server cannot be started in {self._folder}: {error}") from error

    def down(self) -> None:
        """Stop the server if it runs."""
        if not self._folder.exists():
            return
        with self._locked():
            if (known := self._known()) and (process := known.find()):
                _end(process)
            self._state.unlink(missing_ok=True)

    def status(self) -> tuple[Literal["absent", "stopped", "silent", "running"], str | None]:
        """Say what there is and at which address, without changing it."""
        known = self._known()
        if known is None:
            return ("stopped" if self._folder.exists() else "absent"), None
        if known.find() is None:
            return "stopped", None
        return ("running" if answers(known.api_url) else "silent"), known.api_url

    def _adopt(self) -> str | None:
        """Return the address of a server left behind that answers; end one that does not."""
        known = self._known()
        process = known.find() if known else None
        if known is None or process is None:
            return None
        until = max(known.started_at + _YOUNG_S, time.time() + _STUCK_AFTER_S)
        while process.is_running():
            if answers(known.api_url):
                return known.api_url
            if time.time() > until:
                _end(process)
                break
            time.sleep(0.2)
        return None

    def _start(self) -> str:
        known = self._known()
        wanted = known.port if known else None
        for _ in range(_FIRST_PORT_ATTEMPTS):
            process, started = self._spawn(_free_port(wanted))
            until = time.monotonic() + _START_WITHIN_S
            while process.poll() is None and time.monotonic() < until:
                if answers(started.api_url):
                    return started.api_url
                time.sleep(0.1)
            if process.poll() is None:
                process.kill()
                break
            if "address already in use" not in self._tail():
                break
            wanted = None  # somebody took the port in between
        raise ServiceError(f"the Prefect server does not start; the end of its log {self._log}: {self._tail()}")

    def _spawn(self, port: int) -> tuple[subprocess.Popen[bytes], _Process]:
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        command += ["--timeout-keep-alive", "5"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd="/",
                env=self._environment(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it outlives the command and its terminal
            )
        started = _Process(process.pid, psutil.Process(process.pid).create_time(), port)
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(started)))
        partial.replace(self._state)
        return process, started

    def _environment(self, port: int) -> dict[str, str]:
        # Its database is ours: PG* variables are about another, and asyncpg would obey them.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "PG"))}
        return kept | {
            "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_HOME": str(self._folder),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._database_url,
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # Records of task runs are written in batches: 5 ms of server time each instead of 16.
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        }

    def _known(self) -> _Process | None:
        try:
            return _Process(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _tail(self) -> str:
        with suppress(OSError):
            return " ".join(self._log.read_text(errors="replace").split())[-600:]
        return ""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def answers(api_url: str) -> bool:
    """Say whether a Prefect server answers at this address."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{api_url}/health", timeout=_ANSWER_WITHIN_S) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException, ValueError):  # nobody there, no HTTP, no address
        return False


def _free_port(wanted: int | None) -> int:
    """Return a port nobody listens on, the wanted one if possible: addresses handed out before stay good.

    A server that was killed counts as dead when its first thread is, and may hold its port a moment longer.
    """
    until = time.monotonic() + _FREED_WITHIN_S
    while wanted is not None:
        if (port := _bound(wanted)) is not None:
            return port
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    if (port := _bound(0)) is not None:
        return port
    raise ServiceError("there is no free port on 127.0.0.1")


def _bound(port: int) -> int | None:
    """Return the port if it can be listened on, any such port for 0; None if somebody else does."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])
    return None


def _end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_STOP_WITHIN_S)
