"""The chain from a recipe to a signed checkpoint, checked with nothing but the evidence and the log's public key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rfc8785 import CanonicalizationError

from actors.identity import recipe_id
from db.canonical import canonical_digest
from db.errors import CheckpointError, InvalidValueError
from db.merkle import leaf_hash, verify_inclusion
from db.signed_notes import NoteVerifier, read_checkpoint
from flows.provenance.checks import Check
from flows.provenance.entered import MalformedEntryError, entered_files
from flows.provenance.evidence import Evidence


def chain_checks(evidence: Evidence, verifier: NoteVerifier | None) -> Iterator[Check]:
    """Yield the checks of an asset's chain; without a verifier the checkpoint's signature is not looked at."""
    entry = _entry(evidence)
    yield _recipe(evidence)
    yield _entry_check(evidence, entry)
    yield _parts(evidence, entry)
    yield from _inclusion(evidence, entry, verifier)


def entry_of(evidence: Evidence) -> Mapping[str, Any]:
    """Return the content of the asset's entry, empty if it is damaged."""
    return _entry(evidence) or {}


def _recipe(evidence: Evidence) -> Check:
    try:
        found = recipe_id(evidence.recipe)
    except CanonicalizationError as error:
        return Check("recipe", False, f"the recipe is none: it has no canonical JSON: {error}")
    if found == evidence.asset:
        return Check("recipe", True, f"the asset is named by the SHA-256 of its recipe, {found[:12]}")
    return Check("recipe", False, f"the recipe is that of {found[:12]}, not of asset {evidence.asset[:12]}")


def _entry(evidence: Evidence) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(evidence.body)
    except (RecursionError, ValueError):
        return None
    return entry if isinstance(entry, dict) else None


def _entry_check(evidence: Evidence, entry: Mapping[str, Any] | None) -> Check:
    if entry is None:
        return Check("entry", False, f"ledger entry {evidence.index} is no JSON object: it was changed")
    if entry.get("type") != "asset" or entry.get("asset") != evidence.asset:
        about = str(entry.get("asset"))[:12]
        return Check("entry", False, f"ledger entry {evidence.index} is of {about}, not of {evidence.asset[:12]}")
    try:
        entered_files(evidence.asset, entry)
    except MalformedEntryError as error:
        return Check("entry", False, f"ledger entry {evidence.index} does not describe the asset: {error}")
    return Check("entry", True, f"ledger entry {evidence.index} records the asset, made {entry.get('created_at')}")


def _parts(evidence: Evidence, entry: Mapping[str, Any] | None) -> Check:
    """What the entry has by digest must be what is shown."""
    parts = {
        "attributes": evidence.attributes,
        "numeric_profile": evidence.numeric_profile,
        "stages": list(evidence.stages),
    }
    wrong = [name for name, value in parts.items() if _digest(value) != (entry or {}).get(name)]
    if wrong:
        return Check("lineage", False, f"not as entered in the ledger: {', '.join(wrong)}")
    return Check("lineage", True, "stages, attributes and numeric profile are as entered in the ledger")


def _digest(value: Any) -> str | None:
    try:
        return canonical_digest(value)
    except InvalidValueError:
        return None


def _inclusion(evidence: Evidence, entry: Mapping[str, Any] | None, verifier: NoteVerifier | None) -> Iterator[Check]:
    if evidence.checkpoint is None:
        yield Check("inclusion", None, "no signed checkpoint covers the entry yet: the end of a run signs one")
        yield Check("checkpoint", None, "no signed checkpoint covers the entry yet")
        return
    if verifier is None:
        yield Check("checkpoint", None, "the log's public key was not given (--log-key), so nothing vouches for it")
        return
    try:
        head = read_checkpoint(evidence.checkpoint, verifier)
    except CheckpointError as error:
        yield Check("checkpoint", False, str(error))
        return
    reached = verify_inclusion(leaf_hash(evidence.body), evidence.index, head.size, evidence.proof, head.root)
    where = f"{head.origin} at {head.size} entries"
    if entry is not None and reached:
        detail = f"{len(evidence.proof)} hashes lead from the entry to the root of {where}"
    else:
        detail = f"the entry is not the one in the signed log {where}: it was changed after it was signed"
    yield Check("inclusion", reached, detail)
    yield Check("checkpoint", True, f"{where} is signed by {verifier.name}")
