"""An asset's entry in the ledger: everything that is known of how it came to be, by value or by digest.

The same body is made when an asset is recorded and, from the rows, when it is audited; where the two differ, a row
was changed. What may have to be erased one day (the words of a prompt, what was read from them) is in the entry by
its digest alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from db.asset_types import AssetFile, Lineage, Maker, NewAsset, StageExecution
from db.canonical import canonical_digest
from db.json_values import Json
from db.ledger import NewEntry

ASSET: Final = "asset"


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """What an entry is made of. `parents` are (role, digest); the asset's id is the digest of its recipe."""

    id: str
    digest: str
    kind: str
    duration_s: float
    created_at: datetime
    worker: str
    code_version: str
    profile_digest: str
    attributes: Mapping[str, Json]
    files: Sequence[AssetFile]
    stages: Sequence[StageExecution]
    parents: Sequence[tuple[str, str]]


def facts_of_new(asset: NewAsset, maker: Maker, profile: str, kind: str, model: str, at: datetime) -> AssetFacts:
    """Return the facts of an asset that is being recorded; `profile` is the digest of the maker's."""
    parents = {("model", model), *((parent.role, parent.digest) for parent in asset.parents)}
    return AssetFacts(
        id=asset.recipe_id,
        digest=asset.digest,
        kind=kind,
        duration_s=asset.duration_s,
        created_at=at,
        worker=maker.owner,
        code_version=maker.code_version,
        profile_digest=profile,
        attributes=asset.attributes,
        files=asset.files,
        stages=asset.stages,
        parents=sorted(parents),
    )


def facts_of_recorded(known: Lineage) -> AssetFacts:
    """Return the facts of an asset as its rows tell them."""
    asset = known.asset
    return AssetFacts(
        id=asset.id,
        digest=asset.digest,
        kind=asset.kind,
        duration_s=asset.duration_s,
        created_at=asset.created_at,
        worker=known.worker,
        code_version=known.code_version,
        profile_digest=canonical_digest(known.numeric_profile),
        attributes=asset.attributes,
        files=asset.files,
        stages=known.stages,
        parents=sorted((edge.role, edge.parent) for edge in known.edges),
    )


def asset_entry(facts: AssetFacts) -> NewEntry:
    """Return the entry of an asset.

    Raises:
        InvalidValueError: attributes or details have no canonical JSON.
    """
    return NewEntry(
        ASSET,
        facts.id,
        {
            "asset": facts.id,
            "digest": facts.digest,
            "kind": facts.kind,
            "duration_s": facts.duration_s,
            "created_at": _time(facts.created_at),
            "worker": facts.worker,
            "code_version": facts.code_version,
            "numeric_profile": facts.profile_digest,
            "attributes": canonical_digest(facts.attributes),
            "files": [_file(file) for file in sorted(facts.files, key=lambda file: (file.role, file.name))],
            "stages": canonical_digest([described_stage(stage) for stage in facts.stages]),
            "parents": [list(parent) for parent in facts.parents],
        },
    )


def _file(file: AssetFile) -> dict[str, Json]:
    described: dict[str, Json] = {
        "role": file.role,
        "name": file.name,
        "media_type": file.media_type,
        "bytes": file.bytes,
        "digest": file.digest,
    }
    return described if file.unsigned_digest is None else described | {"unsigned_digest": file.unsigned_digest}


def described_stage(stage: StageExecution) -> dict[str, Json]:
    """Return a stage as the entry's digest of stages is made of."""
    return {
        "stage": stage.stage,
        "input": stage.input_digest,
        "output": stage.output_digest,
        "started_at": _time(stage.started_at),
        "wall_s": stage.wall_s,
        "detail": stage.detail,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
