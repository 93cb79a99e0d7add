"""Rows of CSV and JSONL files, streamed, each with the line it begins on: for orders and for prompts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flows.errors import OrderError, Place
from flows.files import problem_with, reason


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file, each with its line end.

    Raises:
        OrderError: there is no such file, it is a folder or a pipe, cannot be read, or is not UTF-8.
    """
    if (problem := problem_with(path)) is not None:
        raise OrderError(Place(path), problem)
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    problem = f"not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"
                    raise OrderError(Place(path, number), problem) from None
    except OSError as error:
        raise OrderError(Place(path), f"cannot be read: {reason(error)}") from None


def read_csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, {column: cell}) for every row below the header; a short row lacks its last columns.

    Raises:
        OrderError: the file cannot be read, has no header, or a row does not fit it.
    """
    reader = csv.reader(read_lines(path), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise OrderError(Place(path, 1), "empty; a CSV begins with a line of column names")
        for name in header:
            if header.count(name) > 1:
                raise OrderError(Place(path, 1, name), "this column is there twice")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(header):
                problem = f"{len(cells)} cells under {len(header)} columns; put text with commas in quotes"
                raise OrderError(Place(path, line), problem)
            if cells:
                yield line, dict(zip(header, cells, strict=False))
            line = reader.line_num + 1
    except csv.Error as error:
        raise OrderError(Place(path, reader.line_num), f"not a CSV: {error}") from None


def read_jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) for every line that is not blank.

    Raises:
        OrderError: the file cannot be read, or a line is no JSON object.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line or line.isspace():
            continue
        try:
            line = line.rstrip("\r\n")  # an error at its end is not one in the next
            row = json.loads(line)
            if isinstance(row, dict) and line.count(":") > len(row):  # a key may be there twice: look again, slower
                row = _STRICT.decode(line)
        except (ValueError, RecursionError) as error:
            raise OrderError(Place(path, number), json_problem(error)) from None
        if not isinstance(row, dict):
            raise OrderError(Place(path, number), "not a JSON object {…}")
        yield number, row


def json_problem(error: ValueError | RecursionError) -> str:
    """Say why a text is no JSON: what `json.loads` raised, in words about the text."""
    if isinstance(error, RecursionError):
        return "not JSON that can be read: nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        at = f"character {error.colno}" if error.lineno == 1 else f"line {error.lineno}, character {error.colno}"
        return f"not JSON: {error.msg[:1].lower()}{error.msg[1:]} at {at}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8; save the file as UTF-8"
    if isinstance(error, _KeyTwiceError):
        return f"not JSON: {error}"
    return "not JSON that can be read: a number has thousands of digits"


class _KeyTwiceError(ValueError):
    """An object has a key twice."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _KeyTwiceError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return row


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique_keys)
