"""Audits of an asset, of a file, and of a file with a proof bundle and no database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.marking.marker import MARK_STAGE
from db.asset_entries import ASSET
from db.asset_types import AssetFile, Lineage
from db.assets import assets_with_ids, get_asset, lineage
from db.checkpoints import Checkpoint, check_against, every_checkpoint, newest_checkpoint, read_note
from db.database import Session
from db.errors import CheckpointError, LedgerError, StorageError
from db.finding import all_ids, files_with_digest, ids_beginning
from db.ledger import Entry, entries_about, origin
from db.records import FolderRecords, RecordStore
from db.signed_notes import NoteVerifier
from flows.errors import FlowError
from flows.keys import Keys
from flows.provenance.chain import chain_checks, entry_of
from flows.provenance.checks import CHAIN, Audit, Check
from flows.provenance.entered import MalformedEntryError, entered_files
from flows.provenance.evidence import Evidence, asset_entries, gather
from flows.provenance.identity import Catalogue, KnownFile, identify
from flows.provenance.reproduction import Reproducer
from flows.provenance.stored import (
    manifests_check,
    marks_check,
    model_checks,
    read_files,
    rows_check,
    training_data_check,
)
from flows.services import Backend
from flows.settings import Settings
from models.digests import digest_of_bytes


class UnreadableFileError(FlowError):
    """A file given to an audit cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """Audits with the parts of an installation. `handed_in` is a checkpoint that an auditor kept."""

    settings: Settings
    backend: Backend
    keys: Keys
    handed_in: Path | None = None
    reproduce: bool = False

    @property
    def places(self) -> list[RecordStore]:
        """Where checkpoints are kept outside the database."""
        return [self.backend.objects.records, FolderRecords(self.settings.checkpoint_folder)]

    def audit_asset(self, id_or_prefix: str) -> Audit:
        """Audit an asset.

        Raises:
            UnknownAssetError: there is none, or more than one.
            StorageError: the database cannot be asked.
        """
        with self.backend.database.unit_of_work() as session:
            asset_id = get_asset(session, id_or_prefix).id
        return self._asset(f"asset {asset_id}", asset_id, [])

    def audit_file(self, path: Path) -> Audit:
        """Audit any file: find its asset, then audit that.

        Raises:
            UnreadableFileError: it cannot be read.
            StorageError: the database cannot be asked.
        """
        data = read_file(path)
        with self.backend.database.unit_of_work() as session:
            identity = identify(path, data, catalogue_of(session), self.keys)
        if identity.asset is None:
            return Audit(subject=str(path), checks=identity.checks)
        if identity.checks[0].ok is False:
            identity.checks[0] = self._where_altered(identity.asset, identity.media_type, data) or identity.checks[0]
        with self.backend.database.unit_of_work() as session:
            is_here = bool(assets_with_ids(session, [identity.asset]))
        if not is_here:
            named = f"asset {identity.asset[:12]} is not in this database: made elsewhere with these keys, or removed"
            return Audit(subject=str(path), checks=[*identity.checks, Check("entry", None, named)])
        return self._asset(str(path), identity.asset, identity.checks)

    def checkpoint(self, session: Session) -> tuple[Checkpoint | None, list[Check]]:
        """Return the newest checkpoint outside, and what is to be said of the log beside it."""
        try:
            name = origin(session)
            if self.handed_in is not None:
                note = read_file(self.handed_in).decode("utf-8", "replace")
                found: Checkpoint | None = read_note(note, self.keys.log.verifier, str(self.handed_in))
            else:
                found = newest_checkpoint(name, self.keys.log.verifier, self.places) if name else None
            if found is None:
                return None, []
            now = check_against(session, found)
        except CheckpointError as error:
            return None, [Check("history", False, str(error))]
        except LedgerError as error:
            return None, [Check("history", False, f"the ledger is damaged: {error}")]
        detail = f"the log of {now.size} entries begins with the {found.head.size} of checkpoint {found.where}"
        return found, [Check("history", True, detail)]

    def checkpoints(self, session: Session) -> tuple[list[Checkpoint], list[str]]:
        """Return all checkpoints outside, and what is wrong with those that are damaged.

        Raises:
            LedgerError: entry 0 does not name the log.
        """
        if (name := origin(session)) is None:
            return [], []
        whole, damaged = every_checkpoint(name, self.keys.log.verifier, self.places)
        return whole, [str(error) for error in damaged]

    def _asset(self, subject: str, asset_id: str, checks: Sequence[Check]) -> Audit:
        with self.backend.database.unit_of_work() as session:
            known = lineage(session, asset_id)
            checkpoint, history = self.checkpoint(session)
            entries = entries_about(session, asset_id)
            recorded = asset_entries(session, asset_id)
            evidence = None
            damage: list[Check] = []
            if len(recorded) == 1:
                try:
                    evidence = gather(session, known, recorded[0], checkpoint)
                except StorageError as error:
                    damage.append(Check("inclusion", False, str(error)))
        found = [*checks, *history, *damage]
        if evidence is None and not damage:
            found.append(_no_entry(known, len(recorded)))
        elif evidence is not None:
            found.extend(chain_checks(evidence, self.keys.log.verifier))
            found.append(rows_check(known, recorded[0]))
        found.extend(self._stored(known))
        found.extend(_later(entries))
        if self.reproduce:
            found.append(Reproducer(self.settings, self.keys, self.backend.objects).check(known))
        return Audit(subject=subject, checks=found, recipe=_mapping(known.recipe), lineage=steps(known, evidence))

    def _stored(self, known: Lineage) -> Iterator[Check]:
        held, objects = read_files(self.backend.objects, known.asset.files)
        yield objects
        yield manifests_check(known.asset.id, held, self.keys)
        yield marks_check(known, held, self.keys)
        yield from model_checks(known.recipe, [self.settings.model_folder], self.keys)

    def _where_altered(self, asset_id: str | None, media_type: str, data: bytes) -> Check | None:
        """Say which bytes of a file were changed, if the asset's file that is as long is still whole."""
        with self.backend.database.unit_of_work() as session:
            [asset] = assets_with_ids(session, [str(asset_id)])
        for file in asset.files:
            if (file.bytes, file.media_type) == (len(data), media_type):
                try:
                    kept = self.backend.objects.get(file.digest)
                except StorageError:
                    continue
                if len(kept) != len(data):  # the row was changed, which its own check says
                    continue
                differing = [at for at, (a, b) in enumerate(zip(kept, data, strict=True)) if a != b]
                return Check("bytes", False, _altered_at(file.name, differing))
        return None


def audit_bundle(
    path: Path, evidence: Evidence, verifier: NoteVerifier | None, keys: Keys, folders: Sequence[Path]
) -> Audit:
    """Audit a file with a proof bundle: no database and no object store are asked.

    Raises:
        UnreadableFileError: the file cannot be read.
    """
    data = read_file(path)
    try:
        files = entered_files(evidence.asset, entry_of(evidence))
    except MalformedEntryError:  # which is told by the check of the entry
        files = []
    catalogue = Catalogue(
        lambda digest: [file for file in files if digest in (file.digest, file.unsigned_digest)],
        lambda asset: files if asset == evidence.asset else [],
        lambda mark: [evidence.asset] if evidence.asset.startswith(mark) else [],
        lambda: [evidence.asset],
    )
    identity = identify(path, data, catalogue, keys)
    checks = list(identity.checks)
    if identity.asset is None:
        checks.append(Check("subject", None, f"nothing ties the file to asset {evidence.asset[:12]} of the bundle"))
    elif identity.asset != evidence.asset:
        checks.append(Check("subject", False, f"the file is of {identity.asset[:12]}, the bundle of another asset"))
    else:
        checks.append(Check("subject", True, f"the file is of asset {evidence.asset[:12]}, as the bundle is"))
    checks.extend(chain_checks(evidence, verifier))
    checks.extend(model_checks(evidence.recipe, folders, keys))
    if not any(check.name == "training data" for check in checks):
        said = training_data_check(evidence.card, None)
        checks.append(
            Check(said.name, None, f"as the bundle has it, whose card nothing here vouches for: {said.detail}")
        )
    return Audit(
        subject=str(path), checks=checks, recipe=evidence.recipe, lineage=evidence.stages, needed=(*CHAIN, "subject")
    )


def read_file(path: Path) -> bytes:
    """Read a file that a user names.

    Raises:
        UnreadableFileError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"{path}: {error.strerror}") from None


def steps(known: Lineage, evidence: Evidence | None) -> list[dict[str, Any]]:
    """Return the way of an asset from its model to its ledger entry, a step a value."""
    out: list[dict[str, Any]] = [{"step": "parent", "role": edge.role, "digest": edge.parent} for edge in known.edges]
    out += [
        {
            "step": "stage",
            "name": stage.stage,
            "input": stage.input_digest,
            "output": stage.output_digest,
            "started_at": stage.started_at.isoformat(),
            "wall_s": stage.wall_s,
        }
        for stage in known.stages
    ]
    out += [{"step": "file", "role": f.role, "name": f.name, "digest": f.digest} for f in known.asset.files]
    made = {"step": "made", "worker": known.worker, "code_version": known.code_version}
    out.append(made | {"numeric_profile": known.numeric_profile})
    if evidence is not None:
        out.append({"step": "entered", "index": evidence.index, "entry": digest_of_bytes(evidence.body)})
    return out


def catalogue_of(session: Session) -> Catalogue:
    """Return what a database knows of all assets, while its session is open."""
    return Catalogue(
        lambda digest: [_known(asset, file) for asset, file in files_with_digest(session, digest)],
        lambda asset: [_known(asset, file) for found in assets_with_ids(session, [asset]) for file in found.files],
        lambda mark: ids_beginning(session, mark),
        lambda: all_ids(session),
    )


def _known(asset: str, file: AssetFile) -> KnownFile:
    return KnownFile(asset, file.name, file.media_type, file.bytes, file.digest, file.unsigned_digest)


def _mapping(value: Any) -> Mapping[str, Any] | None:
    """Return what a row holds if it is an object: somebody may have put anything there."""
    return value if isinstance(value, Mapping) else None


def _altered_at(name: str, differing: Sequence[int]) -> str:
    how = f"in byte {differing[0]}" if len(differing) == 1 else f"in {len(differing)} bytes from {differing[0]} on"
    return f"altered: it differs from the {name} that was made {how}"


def _no_entry(known: Lineage, count: int) -> Check:
    asset = known.asset.id[:12]
    if count:
        return Check("entry", False, f"the ledger records asset {asset} {count} times")
    if any(stage.stage == MARK_STAGE for stage in known.stages):
        return Check(
            "entry", False, f"the ledger has no entry of asset {asset}: it was removed, or the asset was forged"
        )
    return Check("entry", None, f"asset {asset} was made before there was a ledger, or outside of it")


def _later(entries: Sequence[Entry]) -> Iterator[Check]:
    """What happened to an asset after it was made."""
    for entry in entries:
        if entry.kind == ASSET:
            continue
        try:
            content = entry.content
        except LedgerError as error:
            yield Check(entry.kind, False, str(error))
        else:
            reason = content.get("reason", "")
            yield Check(entry.kind, None, f"ledger entry {entry.index}, {content.get('time')}: {reason}")
