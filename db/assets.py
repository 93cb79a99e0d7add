"""Assets: finished pieces, their files, stages and lineage. They are recorded by `record_assets`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, exists, func, select

from db.among import among
from db.asset_types import (
    Asset,
    AssetFile,
    AssetFilter,
    Lineage,
    LineageEdge,
    Maker,
    NewAsset,
    Parent,
    StageExecution,
)
from db.database import Session
from db.errors import UnknownAssetError
from db.prefixes import SHORTEST_PREFIX, not_one
from db.recording import record_assets
from db.tables import (
    asset_files,
    assets,
    lineage_edges,
    model_versions,
    pieces_made_for,
    recipes,
    run_items,
    runs,
    stage_executions,
    withdrawals,
)

__all__ = [
    "Asset",
    "AssetFile",
    "AssetFilter",
    "Lineage",
    "LineageEdge",
    "Maker",
    "NewAsset",
    "Parent",
    "StageExecution",
    "asset_file",
    "assets_from",
    "assets_with_ids",
    "catalogues_of",
    "get_asset",
    "lineage",
    "lineages",
    "list_assets",
    "prompts_by_asset",
    "record_assets",
    "search_assets",
    "stream_assets",
    "stream_files",
]


def get_asset(session: Session, id_or_prefix: str) -> Asset:
    """Return the asset with this id, or the only one whose id begins so (at least `SHORTEST_PREFIX` digits).

    Raises:
        UnknownAssetError: there is none, or more than one.
    """
    found = _assets(session, _matching(id_or_prefix).limit(2))
    if len(found) != 1:
        raise UnknownAssetError(not_one("asset", id_or_prefix, several=bool(found)))
    return found[0]


def assets_with_ids(session: Session, ids: Sequence[str]) -> list[Asset]:
    """Return those of these assets that there are, in no order."""
    return _assets(session, _ASSETS.where(among(assets.c.id, ids)))


def catalogues_of(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the catalogues that each of these assets is in, sorted; none for one that is in none."""
    found: dict[str, list[str]] = {each: [] for each in ids}
    query = (
        select(run_items.c.recipe_id, runs.c.catalogue)
        .distinct()
        .join(runs, runs.c.id == run_items.c.run_id)
        .where(among(run_items.c.recipe_id, ids))
    )
    for asset_id, catalogue in session.execute(query).tuples():
        found[asset_id].append(catalogue)
    return {each: sorted(names) for each, names in found.items()}


def list_assets(session: Session, where: AssetFilter) -> list[Asset]:
    """Return assets with their files."""
    query = _ASSETS.limit(where.limit)
    if not where.withdrawn:
        query = query.where(_NOT_WITHDRAWN)
    if where.kind is not None:
        query = query.where(assets.c.kind == where.kind)
    if where.model_digest is not None:
        query = query.where(recipes.c.model_digest == where.model_digest)
    if where.catalogue is not None:
        in_catalogue = (
            select(run_items.c.recipe_id)
            .join(runs, runs.c.id == run_items.c.run_id)
            .where(runs.c.catalogue == where.catalogue)
        )
        query = query.where(assets.c.id.in_(in_catalogue))
    if where.run_id is not None:
        return _assets(session, _of_run(query, where.run_id))
    return _assets(session, query.order_by(*_NEWEST))


def stream_assets(session: Session, run_id: str) -> Iterator[Asset]:
    """Yield the assets of a run by plan, in flat memory; not those that were withdrawn."""
    query = _of_run(_ASSETS.where(_NOT_WITHDRAWN), run_id)
    for rows in session.execute(query, execution_options={"yield_per": _AT_ONCE}).partitions():
        yield from _with_files(session, rows)


def search_assets(session: Session, text: str, limit: int = 20) -> list[Asset]:
    """Return assets whose prompt or attributes match, best first.

    `text` is as in a web search: words, "a phrase", or, -without.
    """
    wanted = func.websearch_to_tsquery("english", text)
    found = (
        _ASSETS.where(assets.c.words.op("@@")(wanted), _NOT_WITHDRAWN)
        .order_by(func.ts_rank(assets.c.words, wanted).desc(), *_NEWEST)
        .limit(limit)
    )
    return _assets(session, found)


def lineage(session: Session, id_or_prefix: str) -> Lineage:
    """Return how an asset came to be.

    Raises:
        UnknownAssetError: there is none, or more than one.
    """
    [found] = lineages(session, [get_asset(session, id_or_prefix)])
    return found


def lineages(session: Session, found: Sequence[Asset]) -> list[Lineage]:
    """Return how each of these assets came to be, with a handful of queries for all of them."""
    ids = [asset.id for asset in found]
    made = {
        row.id: row
        for row in session.execute(
            select(
                assets.c.id,
                assets.c.worker,
                assets.c.code_version,
                assets.c.numeric_profile,
                recipes.c.body,
                pieces_made_for.c.personal,
            )
            .join(recipes, recipes.c.id == assets.c.id)
            .outerjoin(pieces_made_for, pieces_made_for.c.recipe_id == assets.c.id)
            .where(among(assets.c.id, ids))
        )
    }
    stages: dict[str, list[StageExecution]] = {each: [] for each in ids}
    for row in session.execute(
        select(stage_executions)
        .where(among(stage_executions.c.asset_id, ids))
        .order_by(stage_executions.c.asset_id, stage_executions.c.ordinal)
    ):
        stages[row.asset_id].append(
            StageExecution(row.stage, row.input_digest, row.output_digest, row.started_at, row.wall_s, row.detail)
        )
    edges: dict[str, list[LineageEdge]] = {each: [] for each in ids}
    for row in session.execute(
        select(lineage_edges)
        .where(among(lineage_edges.c.child, ids))
        .order_by(lineage_edges.c.child, lineage_edges.c.role, lineage_edges.c.parent)
    ):
        edges[row.child].append(LineageEdge(row.child, row.parent, row.role))
    wanted_by: dict[str, list[tuple[str, str]]] = {each: [] for each in ids}
    for row in session.execute(
        select(run_items.c.recipe_id, runs.c.id, runs.c.catalogue)
        .join(runs, runs.c.id == run_items.c.run_id)
        .where(among(run_items.c.recipe_id, ids))
        .order_by(runs.c.created_at, runs.c.id)
    ):
        wanted_by[row.recipe_id].append((row.id, row.catalogue))
    return [
        Lineage(
            asset=asset,
            recipe=made[asset.id].body,
            worker=made[asset.id].worker,
            code_version=made[asset.id].code_version,
            numeric_profile=made[asset.id].numeric_profile,
            stages=tuple(stages[asset.id]),
            edges=tuple(edges[asset.id]),
            runs=tuple(run for run, _ in wanted_by[asset.id]),
            catalogues=tuple(sorted({catalogue for _, catalogue in wanted_by[asset.id]})),
            personal=made[asset.id].personal,
        )
        for asset in found
    ]


def prompts_by_asset(session: Session) -> dict[str, str]:
    """Return the prompt of every asset, withdrawn ones too, by its id."""
    query = select(assets.c.id, recipes.c.prompt).join(recipes, recipes.c.id == assets.c.id)
    return dict(session.execute(query).tuples().all())


def assets_from(session: Session, parent_digest: str, limit: int = 1000) -> list[Asset]:
    """Return the assets made with this model or input, newest first."""
    children = select(lineage_edges.c.child).where(lineage_edges.c.parent == parent_digest)
    return _assets(session, _ASSETS.where(assets.c.id.in_(children)).order_by(*_NEWEST).limit(limit))


def stream_files(session: Session, run_id: str) -> Iterator[tuple[str, AssetFile]]:
    """Yield (asset id, file) for every file of a run's assets, in flat memory."""
    files = session.execute(
        select(asset_files)
        .join(run_items, run_items.c.recipe_id == asset_files.c.asset_id)
        .where(run_items.c.run_id == run_id),
        execution_options={"yield_per": _AT_ONCE},
    )
    for row in files:
        yield row.asset_id, asset_file(row)


# Every field of Asset but its files, under the fields' names.
_ASSETS: Final = (
    select(
        assets.c.id,
        assets.c.digest,
        assets.c.kind,
        recipes.c.prompt,
        recipes.c.seed,
        assets.c.duration_s,
        model_versions.c.name.label("model_name"),
        recipes.c.model_digest,
        assets.c.attributes,
        assets.c.created_at,
    )
    .join(recipes, recipes.c.id == assets.c.id)
    .join(model_versions, model_versions.c.digest == recipes.c.model_digest)
)
_NOT_WITHDRAWN: Final = ~exists().where(withdrawals.c.asset_id == assets.c.id)
_NEWEST: Final = (assets.c.created_at.desc(), assets.c.id)
_AT_ONCE: Final = 1000


def _matching(id_or_prefix: str) -> Select[tuple[object, ...]]:
    """Select what has this id or begins so: a range of the primary key, as ids are hex digits."""
    wanted: ColumnElement[bool] = assets.c.id == id_or_prefix
    if len(id_or_prefix) >= SHORTEST_PREFIX:
        wanted = assets.c.id.between(id_or_prefix, id_or_prefix + "g")
    return _ASSETS.where(wanted).order_by(assets.c.id)


def _of_run(query: Select[tuple[object, ...]], run_id: str) -> Select[tuple[object, ...]]:
    """Select what a run planned, in its order."""
    of_run = query.join(run_items, run_items.c.recipe_id == assets.c.id).where(run_items.c.run_id == run_id)
    return of_run.order_by(run_items.c.position)


def _assets(session: Session, query: Select[tuple[object, ...]]) -> list[Asset]:
    return _with_files(session, session.execute(query).all())


def _with_files(session: Session, rows: Sequence[Row[Any]]) -> list[Asset]:
    files: dict[str, list[AssetFile]] = {row.id: [] for row in rows}
    every = (
        select(asset_files)
        .where(among(asset_files.c.asset_id, files))
        .order_by(asset_files.c.role, asset_files.c.name)
    )
    for row in session.execute(every):
        files[row.asset_id].append(asset_file(row))
    return [Asset(**row._mapping, files=tuple(files[row.id])) for row in rows]


def asset_file(row: Row[Any]) -> AssetFile:
    """Return the file that a row of asset_files has."""
    return AssetFile(row.role, row.name, row.digest, row.media_type, row.bytes, row.unsigned_digest)
