"""YAML with the line of every key, so that an error can say where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from flows.errors import OrderError, Place
from flows.rows import read_lines

Path_: TypeAlias = tuple[str | int, ...]  # from the root: keys of mappings, indices of lists
MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Located:
    """A YAML document as plain values, and the line of each key and list item."""

    value: Any
    lines: dict[Path_, int]

    def line(self, path: Path_) -> int:
        """Return the line of what is at `path`, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(path: Path) -> Located:
    """Read one YAML document.

    Raises:
        OrderError: the file cannot be read, is no YAML, has a key twice, or is nested without end.
    """
    text = "".join(read_lines(path))
    loader = yaml.CSafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise OrderError(Place(path), "empty; an order has at least 'catalogue' and 'tracks'")
        reader = _Reader(path, loader)
        return Located(reader.read(root, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise OrderError(Place(path, line), f"not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise OrderError(Place(path), f"not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # a date such as 2026-13-45
        raise OrderError(Place(path), f"a value cannot be read: {error}") from None
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values; each node once, so that aliases cannot blow up."""

    def __init__(self, path: Path, loader: Any) -> None:
        self.lines: dict[Path_, int] = {}
        self._path = path
        self._loader = loader
        self._done: dict[int, Any] = {}

    def read(self, node: yaml.Node, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if len(path) > MAX_DEPTH:
            raise OrderError(Place(self._path, line), "nested too deeply")
        if id(node) not in self._done:
            self._done[id(node)] = self._read(node, path)
        return self._done[id(node)]

    def _read(self, node: yaml.Node, path: Path_) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._loader.construct_object(node)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise OrderError(Place(self._path, line), "a key must be a word")
            key = key_node.value
            if key in mapping:
                raise OrderError(Place(self._path, line, dotted((*path, key))), "this key is there twice")
            self.lines[(*path, key)] = line
            mapping[key] = self.read(value_node, (*path, key))
        return mapping


def dotted(path: Path_) -> str:
    """Write a path as tracks[2].prompt (indices count from 0)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
