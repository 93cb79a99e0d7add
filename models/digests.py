"""How content is named: "sha256:" and the hexadecimal digest."""

from __future__ import annotations

import hashlib


def digest_of_bytes(data: bytes) -> str:
    """Return the name of the data."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
