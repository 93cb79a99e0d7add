"""Which code made an asset: the version of the package and a digest of its sources."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("actors", "db", "flows", "models")


@cache
def code_version() -> str:
    """Return "0.1.0+" and 12 hex digits of a SHA-256 over every Python file of the project."""
    root = Path(__file__).resolve().parent.parent
    hasher = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            hasher.update(f"{path.relative_to(root)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"{released()}+{hasher.hexdigest()[:12]}"


def released() -> str:
    """Return the version of the package that is installed."""
    try:
        return version("tutti")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
