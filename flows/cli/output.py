"""What commands print: answers on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

SHORT = 12  # characters of an id that are shown


def note(line: str) -> None:
    """Say something in passing, on standard error."""
    sys.stderr.write(line + "\n")


@contextmanager
def answers_only() -> Iterator[None]:
    """Send what libraries and their processes print on standard output to standard error, for the block."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def answer_json(value: Any) -> None:
    """Print one JSON value as the answer."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def answer(line: str) -> None:
    """Print one line of the answer."""
    sys.stdout.write(line + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ()) -> None:
    """Print a table; the columns in `whole` are never cut, because one copies from them (ids, paths)."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        if name in whole:
            made.add_column(name, no_wrap=True, overflow="ignore")
        else:
            made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(200, console.width))
    console.print(made)


def seconds(value: float | None) -> str:
    """Write a time for a table."""
    return "" if value is None else f"{value:.1f} s"


def counted(number: int, one: str) -> str:
    """Write a number of things, each called `one`: "1 asset", "1,200 assets"."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def in_words(value: Any) -> list[str]:
    """Write a JSON value as lines that one reads: a line for every entry of a mapping, and of a list of mappings."""
    if isinstance(value, Mapping):
        lines = []
        for name, each in value.items():
            first, *more = in_words(each)
            lines += [f"{name}: {first}", *(" " * (len(name) + 2) + line for line in more)]
        return lines or ["none"]
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [_in_a_line(each) for each in value]
    return [_in_a_line(value)]


def _in_a_line(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_brackets(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_in_brackets, value)) or "none"
    return "none" if value is None else str(value)


def _in_brackets(value: Any) -> str:
    line = _in_a_line(value)
    return f"({line})" if isinstance(value, Mapping | list) and len(value) > 1 else line


def shortened(text: str, most: int = 60) -> str:
    """Write a text for a table, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
