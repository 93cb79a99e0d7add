"""Which code made an asset: the version of the package and a digest of its sources."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("actors", "db", "flows", "models")
DECIDING: Final = frozenset(
    {".cpp", ".py", ".yaml"}
)  # kinds of files that decide what is made; versions have digests


@cache
def code_version() -> str:
    """Return "0.1.0+" and 12 hex digits of a SHA-256 over every file of the project that decides what is made."""
    return f"{released()}+{digest_of_sources(Path(__file__).resolve().parent.parent)[:12]}"


def digest_of_sources(root: Path) -> str:
    """Return the hex SHA-256 over the names and the contents of the deciding files in the packages of `root`."""
    hasher = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted(each for each in (root / package).rglob("*") if each.suffix in DECIDING):
            hasher.update(f"{path.relative_to(root)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return hasher.hexdigest()


def released() -> str:
    """Return the version of the package that is installed."""
    try:
        return version("tutti")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
