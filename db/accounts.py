"""The operating system's account that runs the embedded server: ourselves, or another one if we are root."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from db.errors import PostgresError


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs a program. `switch` is true when that is somebody else than we are."""

    uid: int
    gid: int
    name: str
    switch: bool

    def run(
        self, command: Sequence[str | Path], output: int | IO[str], errors: int | IO[str] = subprocess.STDOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account, in a session of its own, untouched by our PG* and locale settings.

        Raises:
            PermissionError: the account may not run it.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_"))}
        return subprocess.run(  # noqa: S603
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            text=True,
            check=False,
            start_new_session=True,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_enter(self, folder: Path) -> bool:
        """Say whether the account gets into a folder: that is up to every folder above it, too."""
        return self.run(["/bin/sh", "-c", 'cd "$1"', "sh", folder], subprocess.DEVNULL).returncode == 0

    def can_run(self, program: Path) -> bool:
        """Say whether the account can run a program, its libraries included."""
        try:
            return self.run([program, "--version"], subprocess.DEVNULL).returncode == 0
        except PermissionError:
            return False

    def own(self, path: Path) -> None:
        """Hand a file or folder over to the account."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account(data: Path) -> Account:
    """Return who runs the server of this data folder: its owner if it is there and we are root.

    Raises:
        PostgresError: we are root, and there is no account to switch to.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), "ourselves", switch=False)
    if data.exists() and (found := data.stat()).st_uid != 0:
        with contextlib.suppress(KeyError):
            return Account(found.st_uid, found.st_gid, pwd.getpwuid(found.st_uid).pw_name, switch=True)
        return Account(found.st_uid, found.st_gid, f"uid {found.st_uid}", switch=True)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name, switch=True)
    raise PostgresError('PostgreSQL refuses to run as root, and there is no account "postgres" or "nobody"')
