"""All that proves an asset, in one value: read from the database, or from a proof bundle that needs none.

A bundle is a JSON file. It holds the asset's ledger entry as it was hashed, the path from it to the root of a signed
checkpoint, the recipe, and what the entry has by digest only. With the log's public key it can be checked anywhere.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from db.asset_entries import ASSET, described_stage
from db.asset_types import Lineage
from db.checkpoints import Checkpoint
from db.database import Session
from db.ledger import Entry, entries_about, inclusion_proof
from db.model_versions import get_version
from flows.errors import FlowError

SCHEMA: Final = "tutti.proof/1"


class BundleError(FlowError):
    """A proof bundle that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The proof of one asset. `body` is the entry's bytes; without a checkpoint that covers it there is no proof."""

    asset: str
    index: int
    body: bytes
    proof: Sequence[bytes]
    checkpoint: str | None
    recipe: Mapping[str, Any]
    attributes: Mapping[str, Any]
    numeric_profile: Mapping[str, Any]
    stages: Sequence[Mapping[str, Any]]
    card: Mapping[str, Any]


class _Bundle(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["tutti.proof/1"], Field(alias="schema")]
    asset: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    index: Annotated[int, Field(ge=0)]
    entry: str
    proof: list[str]
    checkpoint: str | None
    recipe: dict[str, Any]
    attributes: dict[str, Any]
    numeric_profile: dict[str, Any]
    stages: list[dict[str, Any]]
    card: dict[str, Any]


def asset_entries(session: Session, asset_id: str) -> list[Entry]:
    """Return the entries that record this asset: one, if all is well."""
    return entries_of_assets(session, [asset_id])[asset_id]


def entries_of_assets(session: Session, ids: Sequence[str]) -> dict[str, list[Entry]]:
    """Return the same for many assets."""
    entries: dict[str, list[Entry]] = {each: [] for each in ids}
    for entry in entries_about(session, *ids):
        if entry.kind == ASSET:
            entries[entry.subject].append(entry)
    return entries


def gather(session: Session, known: Lineage, entry: Entry, checkpoint: Checkpoint | None) -> Evidence:
    """Return the evidence about an asset from the database.

    Raises:
        LedgerError: stored hashes are missing.
    """
    covered = checkpoint is not None and entry.index < checkpoint.head.size
    proof = inclusion_proof(session, entry.index, checkpoint.head.size) if checkpoint and covered else []
    return Evidence(
        asset=known.asset.id,
        index=entry.index,
        body=entry.body,
        proof=proof,
        checkpoint=checkpoint.note if checkpoint and covered else None,
        recipe=known.recipe,
        attributes=known.asset.attributes,
        numeric_profile=known.numeric_profile,
        stages=stages_of(known),
        card=get_version(session, known.asset.model_digest).card,
    )


def stages_of(known: Lineage) -> list[Mapping[str, Any]]:
    """Return an asset's stages as its entry has them by digest."""
    return [described_stage(stage) for stage in known.stages]


def write_bundle(evidence: Evidence) -> str:
    """Return a proof bundle as JSON text."""
    return (
        _Bundle(
            schema=SCHEMA,  # type: ignore[call-arg]  # by its alias
            asset=evidence.asset,
            index=evidence.index,
            entry=evidence.body.decode(),
            proof=[base64.b64encode(each).decode() for each in evidence.proof],
            checkpoint=evidence.checkpoint,
            recipe=dict(evidence.recipe),
            attributes=dict(evidence.attributes),
            numeric_profile=dict(evidence.numeric_profile),
            stages=[dict(stage) for stage in evidence.stages],
            card=dict(evidence.card),
        ).model_dump_json(by_alias=True, indent=1)
        + "\n"
    )


def read_bundle(path: Path) -> Evidence:
    """Read a proof bundle.

    Raises:
        BundleError: it cannot be read, or is none.
    """
    try:
        bundle = _Bundle.model_validate_json(path.read_bytes())
        proof = [base64.b64decode(each, validate=True) for each in bundle.proof]
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path} is no proof bundle: {where}: {first['msg']}") from None
    except binascii.Error as error:
        raise BundleError(f"{path} is no proof bundle: proof: {error}") from None
    return Evidence(
        asset=bundle.asset,
        index=bundle.index,
        body=bundle.entry.encode(),
        proof=proof,
        checkpoint=bundle.checkpoint,
        recipe=bundle.recipe,
        attributes=bundle.attributes,
        numeric_profile=bundle.numeric_profile,
        stages=bundle.stages,
        card=bundle.card,
    )
