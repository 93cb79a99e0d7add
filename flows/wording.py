"""The words for what pydantic finds wrong in something that a user wrote: an order, an event, a variable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_WHOLE, _NUMBER, _MAPPING = "must be a whole number", "must be a number", "must be a mapping"
_WORDS: Final = {
    "missing": "is needed",
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "too_short": "must have at least one entry",
    "string_too_short": "must not be empty",
}
_WITHOUT_INPUT: Final = frozenset({"missing", "too_short", "string_too_short"})
_EXPONENT: Final = re.compile(r"(?P<sign>[-+]?)(?P<whole>\d+)(?P<rest>\.\d*)?[eE](?P<up>[-+]?)(?P<power>\d+)")


def explain(
    error: ValidationError, known: Iterable[str], below: Mapping[str | int, Iterable[str]] | None = None
) -> tuple[tuple[str | int, ...], str]:
    """Return where the first problem is and what is wrong with it, in words.

    Args:
        error: what pydantic raised.
        known: the keys that there could be.
        below: those that there could be in what a key holds, by that key.
    """
    first = error.errors(include_url=False)[0]
    where = first["loc"]
    if below is not None and len(where) > 1:
        known = below.get(where[0], known)
    return where, problem_of(first, known)


def problem_of(error: ErrorDetails, known: Iterable[str]) -> str:
    """Say in words what is wrong; `known` are the keys that there could be."""
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), known)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    words = _WORDS.get(kind) or error["msg"].replace("Input should be", "must be")
    return words if kind in _WITHOUT_INPUT else f"{words}, not {_shown(given)}{_as_yaml_has_it(kind, given)}"


def unknown_key(name: str, known: Iterable[str]) -> str:
    """Say that a key is not known, and which one may have been meant."""
    known = tuple(known)
    near = difflib.get_close_matches(name, known, n=1)
    return "unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}")


def _as_yaml_has_it(kind: str, given: Any) -> str:
    """Say how YAML wants a number whose power of ten it has read as text: with a point and a sign."""
    match = _EXPONENT.fullmatch(given) if isinstance(given, str) and kind == "float_type" else None
    if match is None:
        return ""
    written = f"{match['sign']}{match['whole']}{match['rest'] or '.0'}e{match['up'] or '+'}{match['power']}"
    return f"; YAML reads that as text, and {written} as a number"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
