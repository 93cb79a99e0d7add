"""Record finished assets in bulk: a handful of statements for a whole group commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from db.asset_types import Maker, NewAsset
from db.database import Session
from db.json_values import json_text
from db.work import Held, complete_many

_ASSETS: Final = text("""
    INSERT INTO assets (
        id, digest, kind, duration_s, attributes, worker, code_version, numeric_profile, words
    )
    SELECT given.id, given.digest, recipes.kind, given.duration_s, given.attributes::jsonb,
        :worker, :code_version, CAST(:profile AS jsonb),
        setweight(to_tsvector('english', recipes.prompt), 'A')
            || setweight(jsonb_to_tsvector('english', given.attributes::jsonb, '["string"]'), 'B')
    FROM unnest(
        CAST(:ids AS text[]), CAST(:digests AS text[]), CAST(:durations AS float8[]), CAST(:attributes AS text[])
    ) AS given (id, digest, duration_s, attributes)
    JOIN recipes ON recipes.id = given.id
    ON CONFLICT DO NOTHING
    RETURNING id
""")

_FILES: Final = text("""
    INSERT INTO asset_files (asset_id, role, name, digest, media_type, bytes)
    SELECT * FROM unnest(
        CAST(:ids AS text[]), CAST(:roles AS text[]), CAST(:names AS text[]), CAST(:digests AS text[]),
        CAST(:media_types AS text[]), CAST(:bytes AS int8[])
    )
""")

_STAGES: Final = text("""
    INSERT INTO stage_executions (
        asset_id, ordinal, stage, input_digest, output_digest, started_at, wall_s, detail, numeric_profile
    )
    SELECT asset_id, ordinal, stage, input_digest, output_digest, started_at, wall_s, detail::jsonb,
        CAST(:profile AS jsonb)
    FROM unnest(
        CAST(:ids AS text[]), CAST(:ordinals AS int[]), CAST(:stages AS text[]), CAST(:inputs AS text[]),
        CAST(:outputs AS text[]), CAST(:starts AS timestamptz[]), CAST(:walls AS float8[]),
        CAST(:details AS text[])
    ) AS given (asset_id, ordinal, stage, input_digest, output_digest, started_at, wall_s, detail)
""")

# The model is a parent like any other: what was made with it is found by its digest.
_EDGES: Final = text("""
    INSERT INTO lineage_edges (child, parent, role)
    SELECT * FROM unnest(CAST(:children AS text[]), CAST(:parents AS text[]), CAST(:roles AS text[]))
    UNION
    SELECT id, model_digest, 'model' FROM recipes WHERE id = ANY(CAST(:ids AS text[]))
""")


def record_assets(session: Session, maker: Maker, assets: Sequence[NewAsset]) -> frozenset[str]:
    """Complete the work rows and insert assets, files, stages and lineage edges, in bulk.

    An asset whose claim is no longer the maker's in that attempt is left out; so recording twice records once.
    Never commits: the caller's unit of work decides. Store the objects first.

    Returns:
        The ids recorded now.

    Raises:
        InvalidValueError: attributes, details or the profile hold what JSON cannot (NaN, numpy scalars ...).
    """
    profile = json_text(maker.numeric_profile, "the numeric profile")
    attributes = {
        asset.recipe_id: json_text(asset.attributes, f"attributes of asset {asset.recipe_id[:12]}")
        for asset in assets
    }
    held = complete_many(session, maker.owner, [Held(asset.recipe_id, asset.attempt) for asset in assets])
    ours = [asset for asset in assets if asset.recipe_id in held]
    recorded = frozenset(
        session.execute(
            _ASSETS,
            {
                "ids": [asset.recipe_id for asset in ours],
                "digests": [asset.digest for asset in ours],
                "durations": [asset.duration_s for asset in ours],
                "attributes": [attributes[asset.recipe_id] for asset in ours],
                "worker": maker.owner,
                "code_version": maker.code_version,
                "profile": profile,
            },
        ).scalars()
    )
    ours = [asset for asset in ours if asset.recipe_id in recorded]
    if ours:
        _record_files(session, ours)
        _record_stages(session, ours, profile)
        _record_edges(session, ours)
    return recorded


def _record_files(session: Session, assets: Sequence[NewAsset]) -> None:
    rows = [(asset.recipe_id, file) for asset in assets for file in asset.files]
    session.execute(
        _FILES,
        {
            "ids": [asset_id for asset_id, _ in rows],
            "roles": [file.role for _, file in rows],
            "names": [file.name for _, file in rows],
            "digests": [file.digest for _, file in rows],
            "media_types": [file.media_type for _, file in rows],
            "bytes": [file.bytes for _, file in rows],
        },
    )


def _record_stages(session: Session, assets: Sequence[NewAsset], profile: str) -> None:
    rows = [(asset.recipe_id, at, stage) for asset in assets for at, stage in enumerate(asset.stages)]
    session.execute(
        _STAGES,
        {
            "ids": [asset_id for asset_id, _, _ in rows],
            "ordinals": [at for _, at, _ in rows],
            "stages": [stage.stage for _, _, stage in rows],
            "inputs": [stage.input_digest for _, _, stage in rows],
            "outputs": [stage.output_digest for _, _, stage in rows],
            "starts": [stage.started_at for _, _, stage in rows],
            "walls": [stage.wall_s for _, _, stage in rows],
            "details": [
                json_text(stage.detail, f"detail of stage {stage.stage} of asset {asset_id[:12]}")
                for asset_id, _, stage in rows
            ],
            "profile": profile,
        },
    )


def _record_edges(session: Session, assets: Sequence[NewAsset]) -> None:
    rows = [(asset.recipe_id, parent) for asset in assets for parent in asset.parents]
    session.execute(
        _EDGES,
        {
            "children": [child for child, _ in rows],
            "parents": [parent.digest for _, parent in rows],
            "roles": [parent.role for _, parent in rows],
            "ids": [asset.recipe_id for asset in assets],
        },
    )
