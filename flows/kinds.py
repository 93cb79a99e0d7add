"""The kinds of piece there are, apart from what reads orders: a command that only lists need not import that."""

from __future__ import annotations

from typing import Final, Literal, get_args

Kind = Literal["score", "soundscape", "accompaniment"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)


def a_kind(kind: str) -> str:
    """Return a kind with its article."""
    return f"an {kind}" if kind.startswith("a") else f"a {kind}"
