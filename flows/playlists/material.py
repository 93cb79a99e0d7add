"""From rows to arrays: the catalogue and what was heard of it, as both were known at a moment.

Shapes: I pieces, E joint width.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from db.asset_types import AssetFile
from db.content_vectors import catalogue_tracks
from db.database import Session
from db.listeners import Meeting, meetings
from models.key import parse_key
from models.taste.heard import Heard
from models.taste.sequence import NO_KEY, Character, fifths
from models.taste.space import Space, Vectors, space_of


@dataclass(frozen=True, slots=True)
class Track:
    """What a playlist says of a piece. `licence` is None where it is not known."""

    asset_id: str
    title: str
    duration_s: float
    file: AssetFile
    licence: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The pieces there are, by number; `number_of` finds one by its asset's id."""

    tracks: Sequence[Track]
    number_of: Mapping[str, int]
    vector_IE: Vectors
    space: Space
    character: Character
    family_I: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ears:
    """What listeners heard; `strange` names those whose events cannot be understood, who are left out of it."""

    names: Sequence[str]
    heard: Heard
    strange: Mapping[str, str]


def load_shelf(session: Session, model_digest: str, *, as_of: datetime) -> Shelf:
    """Return the pieces with a place in a model's space, not withdrawn, as of a time. Those of a prompt are kin."""
    tracks: list[Track] = []
    vectors: list[NDArray[np.float32]] = []
    tempo, energy, keys, family = array("d"), array("d"), array("q"), array("q")
    families: dict[str, int] = {}
    for each in catalogue_tracks(session, model_digest, as_of=as_of):
        content = each.content
        tracks.append(Track(content.asset_id, each.prompt, each.duration_s, each.file, each.licence))
        vectors.append(content.vector_E)
        tempo.append(content.tempo_bpm)
        energy.append(content.energy)
        keys.append(_fifths(content.key))
        family.append(families.setdefault(" ".join(each.prompt.casefold().split()), len(families)))
    vector_IE = np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 1), np.float32)
    return Shelf(
        tracks,
        {track.asset_id: number for number, track in enumerate(tracks)},
        vector_IE,
        space_of(vector_IE),
        Character(np.array(tempo), np.array(keys, dtype=np.int64), np.array(energy)),
        np.array(family, dtype=np.int64),
    )


def load_ears(session: Session, names: Sequence[str], shelf: Shelf, *, before: datetime, known_at: datetime) -> Ears:
    """Return what listeners heard of the shelf before a time, as far as it was known at another.

    Args:
        session: a unit of work.
        names: of all listeners, sorted.
        shelf: the pieces; what was heard of others says nothing.
        before: of this time.
        known_at: as of this time.
    """
    number = {name: index for index, name in enumerate(names)}
    columns = _Columns()
    strange: dict[str, str] = {}
    for meeting in meetings(session, before, known_at=known_at):
        piece, listener = shelf.number_of.get(meeting.asset_id), number.get(meeting.listener)
        if meeting.strange and listener is not None:
            strange[meeting.listener] = (
                f"{meeting.strange} events of asset {meeting.asset_id[:12]} are of a kind that is not known"
            )
        if piece is not None and listener is not None:
            columns.add(listener, piece, meeting)
    heard = columns.heard(len(names), len(shelf.tracks), [number[name] for name in strange])
    return Ears(names, heard, strange)


class _Columns:
    """Meetings by column: a tenth of the memory of as many objects."""

    def __init__(self) -> None:
        self.listener, self.piece = array("i"), array("i")
        self.completed, self.skipped = array("i"), array("i")
        self.opinion, self.last_at = array("b"), array("d")

    def add(self, listener: int, piece: int, meeting: Meeting) -> None:
        """Append one. The later of a like and a hate counts; at the same moment the hate."""
        liked, hated = meeting.liked_at, meeting.hated_at
        says = 0 if liked is None and hated is None else 1 if hated is None or (liked or -1.0) > hated else -1
        self.listener.append(listener)
        self.piece.append(piece)
        self.completed.append(meeting.completed)
        self.skipped.append(meeting.skipped)
        self.opinion.append(says)
        self.last_at.append(meeting.last_at)

    def heard(self, listeners: int, pieces: int, without: Sequence[int]) -> Heard:
        """Return them as arrays, in order of listener and piece."""
        listener = np.array(self.listener, dtype=np.int32)
        kept = np.flatnonzero(~np.isin(listener, without))
        return Heard(
            listener[kept],
            np.array(self.piece, dtype=np.int32)[kept],
            np.array(self.completed, dtype=np.int32)[kept],
            np.array(self.skipped, dtype=np.int32)[kept],
            np.array(self.opinion, dtype=np.int8)[kept],
            np.array(self.last_at, dtype=np.float64)[kept],
            listeners,
            pieces,
        )


def _fifths(key: str | None) -> int:
    if key is None:
        return NO_KEY
    try:
        known = parse_key(key)
    except ValueError:
        return NO_KEY
    return fifths(known.tonic, minor=known.mode == "minor")
