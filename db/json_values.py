"""JSON values as PostgreSQL's JSONB can hold them, checked at our border."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from db.errors import InvalidValueError

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None


def json_text(value: Json, what: str) -> str:
    """Return `value` as JSON text that JSONB accepts.

    Args:
        value: plain Python values only: no numpy scalars, no sets, no dates.
        what: names the value in the error, e.g. "attributes of asset 3f2a".

    Raises:
        InvalidValueError: NaN, an infinity, a NUL character, a lone surrogate or a foreign type is inside;
            the message says where.
    """
    _check(value, what)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def checked_text(value: str, what: str) -> str:
    """Return `value` if a text column can hold it.

    Raises:
        InvalidValueError: it has a NUL character or a lone surrogate.
    """
    if "\x00" in value:
        raise InvalidValueError(f"{what} has a NUL character, which the database cannot hold")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidValueError(f"{what} has a lone surrogate at character {error.start}") from None
    return value


def _check(value: object, where: str) -> None:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return
    if kind is str:
        checked_text(value, where)  # type: ignore[arg-type]
    elif kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]
            raise InvalidValueError(f"{where} is {value}, which JSON cannot hold: leave it out or use null")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidValueError(f"{where} has the key {key!r}, which is no text")
            checked_text(key, f"a key of {where}")
            _check(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    else:
        raise InvalidValueError(f"{where} is a {kind.__module__}.{kind.__qualname__}, which is no JSON value")
