"""One of many values, as one parameter of a query: PostgreSQL takes 65,535 of them, a catalogue has more assets."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, ColumnElement, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: Column[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Return whether a column has one of these values, however many they are."""
    return column == any_(literal(list(values), ARRAY(column.type)))
