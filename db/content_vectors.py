"""Where assets lie in the joint space of words and sound, kept with pgvector.

Vectors of several models lie in one column, each model's compared among themselves. There is no index: a night reads
all of a model's.

Shapes: E joint width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert

from db.asset_types import AssetFile
from db.assets import asset_file
from db.database import Session
from db.tables import (
    asset_files,
    assets,
    content_vectors,
    lineage_edges,
    model_versions,
    recipes,
    withdrawals,
)

_SOUND: Final = ("waveform", "preview")  # roles of files one listens to; of a score that is its preview
_FIRST: Final = (asset_files.c.role.desc(), asset_files.c.name)


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What an asset sounds like: a vector_E of length 1, beats a minute (0: none), "C minor", liveliness."""

    asset_id: str
    vector_E: NDArray[np.float32]
    tempo_bpm: float
    key: str | None
    energy: float


@dataclass(frozen=True, slots=True, eq=False)
class CatalogueTrack:
    """An asset that playlists can have: its content, its words, the file one plays, and its licence if that is known.

    The licence is that of the model version by its card. Nobody knows under which one a recording is that somebody
    gave, so a piece made from one has none.
    """

    content: Content
    prompt: str
    duration_s: float
    file: AssetFile
    licence: str | None


def without_content(session: Session, model_digest: str) -> list[tuple[str, AssetFile]]:
    """Return (asset id, waveform) for the assets with sound of which this model has no vector yet."""
    known = exists().where(content_vectors.c.asset_id == assets.c.id, content_vectors.c.model_digest == model_digest)
    rows = session.execute(
        select(asset_files)
        .distinct(asset_files.c.asset_id)
        .join(assets, assets.c.id == asset_files.c.asset_id)
        .where(asset_files.c.role.in_(_SOUND), ~known)
        .order_by(asset_files.c.asset_id, *_FIRST)
    )
    return [(row.asset_id, asset_file(row)) for row in rows]


def record_content(session: Session, model_digest: str, contents: Iterable[Content]) -> None:
    """Insert vectors; those there already stay."""
    rows = [
        {
            "asset_id": each.asset_id,
            "model_digest": model_digest,
            "vector": each.vector_E,
            "tempo_bpm": each.tempo_bpm,
            "key": each.key,
            "energy": each.energy,
        }
        for each in contents
    ]
    if rows:
        session.execute(upsert(content_vectors).on_conflict_do_nothing(), rows)


def catalogue_tracks(session: Session, model_digest: str, *, as_of: datetime) -> Iterator[CatalogueTrack]:
    """Yield what playlists could be made of at a time, by asset id: all with a vector and not withdrawn."""
    withdrawn = exists().where(withdrawals.c.asset_id == assets.c.id, withdrawals.c.withdrawn_at <= as_of)
    given = exists().where(lineage_edges.c.child == assets.c.id, lineage_edges.c.role != "model")
    query = (
        select(
            content_vectors.c.asset_id,
            content_vectors.c.vector,
            content_vectors.c.tempo_bpm,
            content_vectors.c.key,
            content_vectors.c.energy,
            recipes.c.prompt,
            assets.c.duration_s,
            case((~given, model_versions.c.card["licence"].astext)).label("licence"),
            asset_files,
        )
        .distinct(content_vectors.c.asset_id)
        .join(assets, assets.c.id == content_vectors.c.asset_id)
        .join(recipes, recipes.c.id == assets.c.id)
        .join(asset_files, asset_files.c.asset_id == assets.c.id)
        .join(model_versions, model_versions.c.digest == recipes.c.model_digest, isouter=True)
        .where(
            content_vectors.c.model_digest == model_digest,
            content_vectors.c.made_at <= as_of,
            asset_files.c.role.in_(_SOUND),
            ~withdrawn,
        )
        .order_by(content_vectors.c.asset_id, *_FIRST)
    )
    for part in session.execute(query, execution_options={"yield_per": 2_000}).partitions():
        for row in part:
            yield CatalogueTrack(
                Content(row.asset_id, row.vector, row.tempo_bpm, row.key, row.energy),
                row.prompt,
                row.duration_s,
                asset_file(row),
                row.licence,
            )
