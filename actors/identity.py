"""Names made of content: canonical JSON (RFC 8785), recipe ids, digests of assets.

A worker hashes every recipe it is handed before it makes it, so this lives where workers can reach it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from db.digests import digest_of


def canonical_json(value: Any) -> bytes:
    """Return the canonical JSON of `value` (RFC 8785): the same bytes for the same content, everywhere.

    Raises:
        rfc8785.CanonicalizationError: NaN, an infinity, a lone surrogate or an integer beyond 53 bits is inside.
    """
    return rfc8785.dumps(value)


def recipe_id(body: Mapping[str, Any]) -> str:
    """Return the id of a recipe: the lower hex SHA-256 of its canonical JSON, 64 characters."""
    return hashlib.sha256(canonical_json(body)).hexdigest()


def has_id(body: Mapping[str, Any], identity: str) -> bool:
    """Say whether this is the recipe of that id.

    The standard library's encoder is tried first, ten times as fast: what it writes is canonical for nearly every
    recipe, and the hash decides.
    """
    quick = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(quick.encode("utf-8", "replace")).hexdigest() == identity or recipe_id(body) == identity


def asset_digest(files: Mapping[str, str]) -> str:
    """Return the digest of an asset: "sha256:" + SHA-256 of the canonical JSON of {role: file digest}."""
    return digest_of(canonical_json(files))
