"""Record finished assets and their ledger entries in bulk: a handful of statements for a whole group commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Row, text

from db.asset_entries import asset_entry, facts_of_new
from db.asset_types import Maker, NewAsset, Parent
from db.canonical import canonical_digest
from db.copying import copy_rows
from db.database import Session
from db.json_values import Json, json_text
from db.ledger import append
from db.tables import asset_files, lineage_edges, stage_executions
from db.work import Held, complete_many

_ASSETS: Final = text("""
    INSERT INTO assets (
        id, digest, kind, duration_s, attributes, worker, code_version, numeric_profile, words
    )
    SELECT given.id, given.digest, recipes.kind, given.duration_s, given.attributes,
        :worker, :code_version, CAST(:profile AS jsonb),
        setweight(to_tsvector('english', recipes.prompt), 'A')
            || setweight(jsonb_to_tsvector('english', given.attributes, '["string"]'), 'B')
    FROM json_to_recordset(CAST(:rows AS json))
        AS given (id text, digest text, duration_s float8, attributes jsonb)
    JOIN recipes ON recipes.id = given.id
    ON CONFLICT DO NOTHING
    RETURNING id, kind, created_at, (SELECT model_digest FROM recipes WHERE recipes.id = assets.id) AS model_digest
""")


def record_assets(session: Session, maker: Maker, assets: Sequence[NewAsset]) -> frozenset[str]:
    """Complete the work rows, insert assets, files, stages and lineage edges, and append to the ledger, in bulk.

    An asset whose claim is no longer the maker's in that attempt is left out; so recording twice records once.
    Never commits: the caller's unit of work decides. Store the objects first.

    Returns:
        The ids recorded now.

    Raises:
        InvalidValueError: attributes, details or the profile hold what JSON cannot (NaN, numpy scalars ...).
    """
    profile = json_text(maker.numeric_profile, "the numeric profile")
    held = complete_many(session, maker.owner, [Held(asset.recipe_id, asset.attempt) for asset in assets])
    rows: list[Json] = [
        {
            "id": asset.recipe_id,
            "digest": asset.digest,
            "duration_s": asset.duration_s,
            "attributes": asset.attributes,
        }
        for asset in assets
        if asset.recipe_id in held
    ]
    parameters = {
        "rows": json_text(rows, "the assets"),
        "worker": maker.owner,
        "code_version": maker.code_version,
        "profile": profile,
    }
    inserted = {row.id: row for row in session.execute(_ASSETS, parameters)}
    models = {identity: row.model_digest for identity, row in inserted.items()}
    recorded = [asset for asset in assets if asset.recipe_id in models]
    copy_rows(session, asset_files, _files(recorded))
    copy_rows(session, stage_executions, _stages(recorded, profile))
    copy_rows(session, lineage_edges, _edges(recorded, models))
    _enter(session, maker, recorded, inserted)
    return frozenset(models)


def _enter(
    session: Session, maker: Maker, recorded: Sequence[NewAsset], inserted: Mapping[str, Row[tuple[object, ...]]]
) -> None:
    profile = canonical_digest(maker.numeric_profile)
    entries = []
    for asset in recorded:
        row = inserted[asset.recipe_id]
        facts = facts_of_new(asset, maker, profile, row.kind, row.model_digest, row.created_at)
        entries.append(asset_entry(facts))
    append(session, entries)


def _files(assets: Sequence[NewAsset]) -> Iterator[tuple[object, ...]]:
    for asset in assets:
        for file in asset.files:
            yield (
                asset.recipe_id,
                file.role,
                file.name,
                file.digest,
                file.media_type,
                file.bytes,
                file.unsigned_digest,
            )


def _stages(assets: Sequence[NewAsset], profile: str) -> Iterator[tuple[object, ...]]:
    for asset in assets:
        for ordinal, stage in enumerate(asset.stages):
            yield (
                asset.recipe_id,
                ordinal,
                stage.stage,
                stage.input_digest,
                stage.output_digest,
                profile,
                stage.started_at,
                stage.wall_s,
                json_text(stage.detail, f"detail of stage {stage.stage} of asset {asset.recipe_id[:12]}"),
            )


def _edges(assets: Sequence[NewAsset], models: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    """The model is a parent like any other: what was made with it is found by its digest."""
    for asset in assets:
        for parent in {Parent(models[asset.recipe_id], "model"), *asset.parents}:
            yield asset.recipe_id, parent.digest, parent.role
