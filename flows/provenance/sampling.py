"""Which assets are made again: drawn from the root of the ledger, so that nobody can know them beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def sample(ids: Sequence[str], count: int, root: bytes) -> list[str]:
    """Return `count` ids, others for another root, the same for the same."""
    return sorted(ids, key=lambda each: hashlib.sha256(root + each.encode()).digest())[:count]
