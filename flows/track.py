"""One track of an order, and a place to keep checked tracks by the million."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flows.errors import Place
from flows.prompts import PromptSource

_GROUP: Final = 1_000  # tracks written and read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One track of an order: a prompt or a source of prompts, and how often to make each."""

    place: Place
    prompt: str | None
    source: PromptSource | None
    sample: int | None
    count: int
    seed: int | None
    duration_s: float
    matrix: tuple[tuple[str, tuple[str, ...]], ...]
    controls: Mapping[str, Any]


class TrackSpool:
    """Checked tracks in a file without a name, so that what was checked need not be checked again to be planned.

    Going through it gives the same tracks any number of times, whatever becomes of the file they were read from.
    """

    def __init__(self, order: Path) -> None:
        self._order = order
        self._file = tempfile.TemporaryFile(prefix="tutti-order-")  # noqa: SIM115  (closed with this object)
        self._groups = 0

    def kept(self, tracks: Iterable[Track]) -> Iterator[Track]:
        """Pass tracks on, keeping each."""
        for group in _grouped(tracks):
            marshal.dump([_written(track) for track in group], self._file)
            self._groups += 1
            yield from group

    def __iter__(self) -> Iterator[Track]:
        self._file.flush()
        at = 0
        for _ in range(self._groups):
            self._file.seek(at)
            group = marshal.load(self._file)  # noqa: S302  (we wrote it, and nobody else can)
            at = self._file.tell()
            for written in group:
                yield _read(self._order, written)


def _grouped(tracks: Iterable[Track]) -> Iterator[list[Track]]:
    group: list[Track] = []
    for track in tracks:
        group.append(track)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


def _written(track: Track) -> tuple[Any, ...]:
    source = None if track.source is None else (str(track.source.path), track.source.field)
    rest = (
        None if source is None and not track.matrix and track.sample is None else (source, track.sample, track.matrix)
    )
    place = (track.place.line, track.place.key)
    return place, track.prompt, track.count, track.seed, track.duration_s, dict(track.controls), rest


def _read(order: Path, written: tuple[Any, ...]) -> Track:
    (line, key), prompt, count, seed, duration_s, controls, rest = written
    source, sample, matrix = rest or (None, None, ())
    return Track(
        place=Place(order, line, key),
        prompt=prompt,
        source=None if source is None else PromptSource(Path(source[0]), source[1]),
        sample=sample,
        count=count,
        seed=seed,
        duration_s=duration_s,
        matrix=matrix,
        controls=controls,
    )
