"""What a worker drives: the border between the mathematics and whatever schedules it.

A generator admits recipes while it has free slots, advances all of them together, and hands back those that
finished. Post stages (notation, engraving, mastering) run in `finish`, which touches no shared state and so may
run in another thread.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

Json: TypeAlias = Any  # what json.loads can return: mypy has no good recursive form for pydantic and SQLAlchemy

MELODY: Final = "melody"  # a control, and the role of its file
NO_WORDS: Final = "accompaniment"  # the prompt of a recipe that says nothing of the instrumentation
NO_INPUTS: Final[Mapping[str, bytes]] = MappingProxyType({})


class GenerationError(Exception):
    """This item cannot be made; its neighbours can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericProfile:
    """Everything that may change the last bit of a result: part of the lineage of every stage.

    `processor` is which one of the device's kind computes, and with which instructions: a library chooses its sums
    by both.
    """

    device: str
    processor: str
    dtype: str
    torch: str
    backend: str
    slots: int
    threads: int
    machine: str = field(default_factory=platform.machine)

    def as_dict(self) -> dict[str, Json]:
        """Return the profile as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """One execution of one stage for one item."""

    name: str
    input_digest: str
    output_digest: str
    started_at: datetime
    wall_s: float
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFile:
    """One file of an asset. `role` is unique in the asset: codes, musicxml, midi, page, pdf, preview."""

    role: str
    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A finished item: its files, how long it sounds, and how it came to be."""

    files: tuple[ProductFile, ...]
    duration_s: float
    stages: tuple[StageRecord, ...]
    attributes: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `advance` hands back for an item: a draft for `finish`, or the error that ended it."""

    key: str
    result: Any | GenerationError


class Generator(Protocol):
    """Makes the items of one model version, several at a time."""

    slots: int
    profile: NumericProfile

    def admit(self, key: str, recipe: Mapping[str, Json], inputs: Mapping[str, bytes] = NO_INPUTS) -> None:
        """Take an item into a free slot; `inputs` has what it is made from, by role (see `inputs_of`).

        Raises:
            GenerationError: the recipe cannot be made by this model.
        """

    def advance(self) -> Sequence[Outcome]:
        """Advance every admitted item; return those that finished, in the order they did."""

    def finish(self, drafted: Any) -> Product:
        """Run the post stages on what `advance` handed back.

        Raises:
            GenerationError: this item cannot be finished.
        """


def inputs_of(recipe: Mapping[str, Json]) -> dict[str, str]:
    """Return the digests of the files a recipe's item is made from, by role: the vocals, the melody."""
    controls, found = recipe["controls"], {}
    if "accompany" in controls:
        found["vocals"] = str(controls["accompany"]["vocals"])
    if MELODY in controls:
        found[MELODY] = str(controls[MELODY])
    return found
