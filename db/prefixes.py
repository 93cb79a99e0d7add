"""Naming runs and assets by the beginning of their ids, which are hex digits."""

from __future__ import annotations

from typing import Final

SHORTEST_PREFIX: Final = 4


def not_one(what: str, beginning: str, *, several: bool) -> str:
    """Say why no single thing, such as "run", has this id or an id that begins so."""
    if several:
        return f"several {what}s begin with {beginning!r}; give more of its digits"
    article = "an" if what[0] in "aeiou" else "a"
    if len(beginning) < SHORTEST_PREFIX:
        return f"there is no {what} {beginning!r}; give at least {SHORTEST_PREFIX} digits of {article} {what}'s id"
    return f"there is no {what} {beginning!r}"
