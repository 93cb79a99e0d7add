"""Digests of content: "sha256:" and 64 hex digits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is in a store, by its name; its bytes were not read."""

    digest: str
    bytes: int


def digest_of(data: bytes) -> str:
    """Return "sha256:" + the hex SHA-256 of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sharded(digest: str) -> str:
    """Return where a digest's object lies below its store: sha256/ab/abcdef..., 256 folders.

    Raises:
        ValueError: the text is no digest.
    """
    if _DIGEST.fullmatch(digest) is None:
        raise ValueError(f"{digest!r} is no digest: write sha256: and 64 hex digits")
    hex_digits = digest.removeprefix("sha256:")
    return f"sha256/{hex_digits[:2]}/{hex_digits}"


def digest_at(path: str) -> str | None:
    """Return the digest whose object lies at the end of this path, None if it is no path of an object."""
    folder, _, name = path.rpartition("/")
    digest = f"sha256:{name}"
    if _DIGEST.fullmatch(digest) is None or not folder.endswith(f"sha256/{name[:2]}"):
        return None
    return digest
