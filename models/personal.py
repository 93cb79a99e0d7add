"""What is personal of a recipe is not in it: the recipe holds a commitment, and what opens it is kept apart.

A piece that is made for a listener is told tokens of their taste. The recipe names the piece, is entered in the
ledger and signed into files, for good; so it has only the SHA-256 of the tokens with 32 bytes of chance before them.
As long as these are kept, the piece can be made again and everybody sees that the tokens are the right ones; once
they are erased nothing of the listener is left, and every proof of the piece holds as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.digests import digest_of_bytes

PERSONAL: Final = "personal"  # the key under which a generator is handed what opens its recipe
TASTE: Final = "taste"  # the control that holds the commitment


class PersonalError(ValueError):
    """What was kept apart does not open the recipe, or is gone."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Taste tokens, coarsest first, and the chance (64 hex digits) that hides them."""

    chance: str
    tokens: Sequence[int]

    def commitment(self) -> str:
        """Return what a recipe holds of it."""
        told = ",".join(str(int(token)) for token in self.tokens)
        return digest_of_bytes(bytes.fromhex(self.chance) + told.encode())

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"chance": self.chance, "tokens": [int(token) for token in self.tokens]}


def with_personal(recipe: Mapping[str, Any], personal: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a recipe as a generator is handed it."""
    return recipe if personal is None else {**recipe, PERSONAL: personal}


def public(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the recipe itself, as it is named and signed."""
    return {key: value for key, value in recipe.items() if key != PERSONAL}


def opened_tokens(recipe: Mapping[str, Any]) -> Sequence[int] | None:
    """Return the taste tokens of a recipe as a generator is handed it; None if it has none.

    Raises:
        PersonalError: they were erased, or are not those the recipe was written for.
    """
    committed = recipe["controls"].get(TASTE)
    if committed is None:
        return None
    personal = recipe.get(PERSONAL)
    if personal is None:
        raise PersonalError("the taste it was made from is erased: its listener was deleted")
    try:
        opening = Opening(str(personal["chance"]), [int(token) for token in personal["tokens"]])
        fits = opening.commitment() == committed
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise PersonalError("the taste tokens kept for it are not those its recipe was written for")
    return opening.tokens
