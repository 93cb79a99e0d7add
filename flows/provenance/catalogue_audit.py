"""The audit of a whole ledger, and of every asset of a catalogue against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from db.assets import Asset, AssetFilter, lineage, list_assets
from db.checkpoints import Checkpoint
from db.database import Session
from db.errors import CorruptObjectError, LedgerError, MissingObjectError
from db.ledger import TreeBuilder, stored_nodes, stream_entries, tree_head
from db.merkle import leaf_hash
from flows.provenance.audits import Auditor
from flows.provenance.checks import Audit, Check
from flows.provenance.evidence import asset_entries
from flows.provenance.stored import rows_check

_NAMED: Final = 10
NEEDED: Final = ("ledger", "history", "rows", "objects")


@dataclass(slots=True)
class _Tally:
    """What was looked at, and what was wrong."""

    looked_at: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, name: str, well: str) -> Check:
        if not self.wrong:
            return Check(name, True, f"{self.looked_at:,} {well}")
        more = f" and {len(self.wrong) - _NAMED} more" if len(self.wrong) > _NAMED else ""
        return Check(name, False, "; ".join(self.wrong[:_NAMED]) + more)


def audit_catalogue(
    auditor: Auditor, catalogue: str | None, report: Callable[[int], object] = lambda looked_at: looked_at
) -> Audit:
    """Hash the whole ledger again, and every asset of the catalogue (of all, if None) with its objects.

    Args:
        auditor: with the parts of the installation.
        catalogue: its name.
        report: called with how many assets were looked at.

    Raises:
        StorageError: the database or the object store cannot be asked.
    """
    database = auditor.backend.database
    with database.unit_of_work() as session:
        checkpoint, history = auditor.checkpoint(session)
        checks = [*ledger_checks(session, checkpoint), *(history or [_not_signed()])]
        assets = list_assets(session, AssetFilter(catalogue=catalogue, limit=None, withdrawn=True))
    checks.extend(_asset_checks(auditor, assets, report))
    subject = f"catalogue {catalogue}" if catalogue is not None else "everything"
    return Audit(subject=subject, checks=checks, needed=NEEDED)


def ledger_checks(session: Session, checkpoint: Checkpoint | None) -> list[Check]:
    """Hash every entry again and build the tree anew."""
    tree, entries = TreeBuilder(), _Tally()
    signed_root: bytes | None = None
    for entry in stream_entries(session):
        hashed = leaf_hash(entry.body)
        if hashed != entry.leaf_hash:
            entries.wrong.append(f"entry {entry.index} was changed: its body has another hash")
        if entry.index != entries.looked_at:
            entries.wrong.append(f"entries {entries.looked_at} to {entry.index - 1} are missing")
        entries.looked_at = entry.index + 1
        tree.add(hashed)
        if checkpoint is not None and tree.size == checkpoint.head.size:
            signed_root = tree.root()
    if checkpoint is not None and signed_root != checkpoint.head.root and not entries.wrong:
        entries.wrong.append(f"the first {checkpoint.head.size} entries are not those of {checkpoint.where}")
    checks = [entries.check("ledger", "entries hashed again, each as it was entered")]
    checks.append(_nodes(session, tree))
    return checks


def _nodes(session: Session, tree: TreeBuilder) -> Check:
    stored = stored_nodes(session)
    wrong = sorted(name for name in {*stored, *tree.nodes} if stored.get(name) != tree.nodes.get(name))
    if wrong:
        return Check(
            "hashes", False, f"stored hashes are not those of the entries: (level, position) {wrong[:_NAMED]}"
        )
    try:
        head = tree_head(session)
    except LedgerError as error:
        return Check("hashes", False, str(error))
    if head is not None and head.root != tree.root():
        return Check("hashes", False, "the root from the stored hashes is not that of the entries")
    return Check("hashes", True, f"{len(stored):,} stored hashes, each that of its entries")


def _asset_checks(auditor: Auditor, assets: Sequence[Asset], report: Callable[[int], object]) -> list[Check]:
    rows, objects = _Tally(), _Tally()
    for number, asset in enumerate(assets, start=1):
        with auditor.backend.database.unit_of_work() as session:
            entries = asset_entries(session, asset.id)
            if len(entries) != 1:
                rows.wrong.append(f"asset {asset.id[:12]} has {len(entries)} entries in the ledger")
            else:
                found = rows_check(lineage(session, asset.id), entries[0])
                rows.wrong.extend([] if found.ok else [found.detail])
        rows.looked_at += 1
        for file in asset.files:
            try:
                auditor.backend.objects.get(file.digest)
            except MissingObjectError:
                objects.wrong.append(f"{file.name} of asset {asset.id[:12]} is gone")
            except CorruptObjectError:
                objects.wrong.append(f"{file.name} of asset {asset.id[:12]} was changed")
            objects.looked_at += 1
        report(number)
    return [
        rows.check("rows", "assets, each with the rows that were entered"),
        objects.check("objects", "objects hashed again, each with the bytes that were entered"),
    ]


def _not_signed() -> Check:
    return Check("history", None, "there is no signed checkpoint outside the database to hold the log against")
