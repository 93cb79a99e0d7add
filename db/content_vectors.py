"""Where assets lie in the joint space of words and sound, kept with pgvector.

Vectors of several models lie in one column, each model's compared among themselves. A night reads all of a model's.
Who asks for neighbours has them compared one by one up to `EXACT_UP_TO`; beyond, an HNSW index of that model's names
nearly the same ones (Malkov & Yashunin 2016), and goes on until enough are wanted (pgvector's iterative scan).

Shapes: E joint width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import ColumnElement, Double, Exists, Select, bindparam, case, cast, exists, func, literal, select
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

EXACT_UP_TO: Final = 100_000
_MOST_COMPARED: Final = 1_000  # pgvector's limit for candidates of a search
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
    known = _placed(model_digest)
    rows = session.execute(
        select(asset_files)
        .distinct(asset_files.c.asset_id)
        .join(assets, assets.c.id == asset_files.c.asset_id)
        .where(asset_files.c.role.in_(_SOUND), ~known)
        .order_by(asset_files.c.asset_id, *_FIRST)
    )
    return [(row.asset_id, asset_file(row)) for row in rows]


def count_without_content(session: Session, model_digest: str) -> int:
    """Return how many assets with sound, none of them withdrawn, this model has no vector of yet."""
    sounds = exists().where(asset_files.c.asset_id == assets.c.id, asset_files.c.role.in_(_SOUND))
    withdrawn = exists().where(withdrawals.c.asset_id == assets.c.id)
    waiting = select(func.count()).select_from(assets).where(sounds, ~withdrawn, ~_placed(model_digest))
    return session.execute(waiting).scalar_one()


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


def take_over_content(session: Session, model_digest: str, others: Sequence[str]) -> int:
    """Give a model the vectors that other models have of assets of which it has none; return how many.

    That is right for models with the same joint space only.
    """
    if not others:
        return 0
    kept = ("asset_id", "vector", "tempo_bpm", "key", "energy")
    columns = [content_vectors.c[name] for name in kept]
    theirs = (
        select(*columns, literal(model_digest))
        .distinct(content_vectors.c.asset_id)
        .where(content_vectors.c.model_digest.in_(others))
        .order_by(content_vectors.c.asset_id, content_vectors.c.model_digest)
    )
    added = upsert(content_vectors).from_select([*kept, "model_digest"], theirs).on_conflict_do_nothing()
    return len(session.execute(added.returning(content_vectors.c.asset_id)).all())


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


def index_vectors(session: Session, model_digest: str, *, exact_up_to: int = EXACT_UP_TO) -> bool:
    """Have an index of a model's vectors if there are more than `exact_up_to`; say whether there is one.

    The first time that takes minutes for each 100,000, in which nothing else can be placed.
    """
    if not _is_large(session, model_digest, exact_up_to):
        return False
    name = f"content_vectors_hnsw_{model_digest.removeprefix('sha256:')[:16]}"
    connection = session.connection()
    if session.execute(select(func.to_regclass(name))).scalar_one() is None:
        width = int(session.execute(_width_of(model_digest)).scalar_one())
        quoted = model_digest.replace("'", "''")
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        connection.exec_driver_sql(
            f"CREATE INDEX {name} ON content_vectors USING hnsw ((vector::vector({width})) vector_cosine_ops) "
            f"WHERE model_digest = '{quoted}'"
        )
    return True


def nearest(
    session: Session,
    model_digest: str,
    vector_E: NDArray[np.float32],
    most: int,
    *,
    exact_up_to: int = EXACT_UP_TO,
) -> list[tuple[str, float]]:
    """Return (asset id, cosine) of the assets nearest to a point that are not withdrawn, nearest first.

    Beyond `exact_up_to` vectors of the model it has the index name them (see `index_vectors`), if there is one.
    """
    withdrawn = exists().where(withdrawals.c.asset_id == content_vectors.c.asset_id)
    vector: ColumnElement[Any] = content_vectors.c.vector
    if _is_large(session, model_digest, exact_up_to):
        compared = min(max(100, 2 * most), _MOST_COMPARED)
        for name, value in (
            ("hnsw.iterative_scan", "strict_order"),
            ("hnsw.ef_search", str(compared)),
            ("enable_seqscan", "off"),  # of rows that are few beside all others the planner thinks too well
            ("enable_sort", "off"),
        ):
            session.execute(select(func.set_config(name, value, True)))
        vector = cast(vector, VECTOR(len(vector_E)))
    point = bindparam(None, vector_E, VECTOR(len(vector_E)))
    distance: ColumnElement[float] = vector.op("<=>", return_type=Double())(point)
    # Written out: the planner knows only of a constant that it is what the partial index is for.
    digest: ColumnElement[str] = bindparam("digest", model_digest, literal_execute=True)
    rows = session.execute(
        select(content_vectors.c.asset_id, distance)
        .where(content_vectors.c.model_digest == digest, ~withdrawn)
        .order_by(distance)
        .limit(most)
    )
    return [(asset_id, 1.0 - float(apart)) for asset_id, apart in rows]


def _placed(model_digest: str) -> Exists:
    return exists().where(content_vectors.c.asset_id == assets.c.id, content_vectors.c.model_digest == model_digest)


def _is_large(session: Session, model_digest: str, exact_up_to: int) -> bool:
    """Say whether a model has more vectors than so many, without counting more."""
    some = select(literal(1)).where(content_vectors.c.model_digest == model_digest).limit(exact_up_to + 1).subquery()
    return int(session.execute(select(func.count()).select_from(some)).scalar_one()) > exact_up_to


def _width_of(model_digest: str) -> Select[tuple[int]]:
    width = func.vector_dims(content_vectors.c.vector)
    return select(width).where(content_vectors.c.model_digest == model_digest).limit(1)
