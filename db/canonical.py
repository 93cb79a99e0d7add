"""Canonical JSON (RFC 8785): the same bytes for the same content, whether it comes from a worker or from JSONB.

JSONB gives an integer back where a large float went in (1e22). RFC 8785 knows doubles only, so integers beyond 53
bits are written as the doubles they are nearest to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rfc8785

from db.digests import digest_of
from db.errors import InvalidValueError
from db.json_values import Json


def canonical(value: Json) -> bytes:
    """Return the canonical JSON of a value.

    Raises:
        InvalidValueError: it holds what canonical JSON cannot (NaN, a lone surrogate, an integer of over 1024 bits).
    """
    try:
        try:
            return rfc8785.dumps(value)
        except rfc8785.IntegerDomainError:
            return rfc8785.dumps(_as_doubles(value))
    except (rfc8785.CanonicalizationError, OverflowError) as error:
        raise InvalidValueError(f"has no canonical JSON: {error}") from error


def canonical_digest(value: Json) -> str:
    """Return the digest of a value's canonical JSON."""
    return digest_of(canonical(value))


def _as_doubles(value: Any) -> Any:
    if type(value) is int and abs(value) >= 2**53:
        return float(value)
    if isinstance(value, Mapping):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(item) for item in value]
    return value
