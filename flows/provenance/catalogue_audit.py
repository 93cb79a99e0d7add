"""The audit of a whole ledger, and of every asset of a catalogue against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from db.assets import Asset, AssetFilter, Lineage, lineages, list_assets
from db.checkpoints import Checkpoint
from db.database import Session
from db.errors import CorruptObjectError, LedgerError, MissingObjectError
from db.ledger import Entry, TreeBuilder, stored_nodes, stream_entries, tree_head
from db.merkle import leaf_hash
from db.recalls import withdrawals, withdrawals_entered
from flows.errors import FlowError
from flows.provenance.audits import Auditor
from flows.provenance.checks import Audit, Check
from flows.provenance.evidence import entries_of_assets
from flows.provenance.reproduction import NAME, Reproducer
from flows.provenance.sampling import sample
from flows.provenance.stored import rows_check

_NAMED: Final = 10
_AT_ONCE: Final = 200  # assets
NEEDED: Final = ("ledger", "history", "rows", "objects")


class EmptyCatalogueError(FlowError):
    """There is nothing to audit in a catalogue of this name."""


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
    auditor: Auditor,
    catalogue: str | None,
    report: Callable[[str, int], object] = lambda *_: None,
    again: int | None = None,
) -> Audit:
    """Hash the whole ledger again, and every asset of the catalogue (of all, if None) with its objects.

    Args:
        auditor: with the parts of the installation; one that reproduces makes the assets again as well.
        catalogue: its name.
        report: called with what is being done, and how many assets it was done to.
        again: how many assets are made again, drawn so that nobody can know them beforehand; all, if None.

    Raises:
        EmptyCatalogueError: there is no such catalogue, or nothing in it.
        StorageError: the database or the object store cannot be asked.
    """
    database = auditor.backend.database
    with database.unit_of_work() as session:
        checkpoint, history = auditor.checkpoint(session)
        signed, damaged = _kept(auditor, session)
        checks = ledger_checks(session, [*signed, *([checkpoint] if checkpoint else [])])
        checks.extend(history or [_not_signed()])
        if signed or damaged:
            checks.append(
                _Tally(len(signed), damaged).check("checkpoints", "checkpoints kept outside, each as it was signed")
            )
        checks.append(_withdrawals(session))
        assets = list_assets(session, AssetFilter(catalogue=catalogue, limit=None, withdrawn=True))
    if catalogue is not None and not assets:
        raise EmptyCatalogueError(f"there is no asset in a catalogue {catalogue!r}; see `tutti runs`")
    checks.extend(_asset_checks(auditor, assets, report))
    if auditor.reproduce:
        root = checkpoint.head.root if checkpoint is not None else b""
        drawn = set(sample([asset.id for asset in assets], len(assets) if again is None else again, root))
        checks.append(_made_again(auditor, [asset for asset in assets if asset.id in drawn], report))
    subject = f"catalogue {catalogue}" if catalogue is not None else "everything"
    return Audit(subject=subject, checks=checks, needed=NEEDED)


def ledger_checks(session: Session, checkpoints: Sequence[Checkpoint]) -> list[Check]:
    """Hash every entry again and build the tree anew; it must have had the root of every checkpoint at its size."""
    tree, entries = TreeBuilder(), _Tally()
    sizes = {checkpoint.head.size for checkpoint in checkpoints}
    roots: dict[int, bytes] = {}
    for entry in stream_entries(session):
        hashed = leaf_hash(entry.body)
        if hashed != entry.leaf_hash:
            entries.wrong.append(f"entry {entry.index} was changed: its body has another hash")
        elif not entry.filed_as_entered:
            entries.wrong.append(f"entry {entry.index} was changed: its kind or subject is not that of its body")
        if entry.index != entries.looked_at:
            entries.wrong.append(f"entries {entries.looked_at} to {entry.index - 1} are missing")
        entries.looked_at = entry.index + 1
        tree.add(hashed)
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    if not entries.wrong:
        entries.wrong.extend(
            f"the first {each.head.size} entries are not those of {each.where}"
            for each in checkpoints
            if roots.get(each.head.size) != each.head.root
        )
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


def _made_again(auditor: Auditor, assets: Sequence[Asset], report: Callable[[str, int], object]) -> Check:
    with auditor.backend.database.unit_of_work() as session:
        known = lineages(session, assets)
    reproducer = Reproducer(auditor.settings, auditor.keys, auditor.backend.objects)
    checks = reproducer.check_all(known, lambda done: report("made again", done))
    told = [f"asset {asset[:12]}: {check.detail}" for asset, check in checks.items() if not check.ok]
    if not told:
        return Check(NAME, True, f"{len(checks):,} assets made again, each the same bit for bit")
    failed = any(check.ok is False for check in checks.values())
    same = sum(check.ok is True for check in checks.values())
    detail = f"{same} of {len(checks)} made again are the same bit for bit; {'; '.join(told[:_NAMED])}"
    return Check(NAME, False if failed else None, detail)


def _asset_checks(auditor: Auditor, assets: Sequence[Asset], report: Callable[[str, int], object]) -> list[Check]:
    rows, objects = _Tally(), _Tally()
    for first in range(0, len(assets), _AT_ONCE):
        part = assets[first : first + _AT_ONCE]
        with auditor.backend.database.unit_of_work() as session:
            entries = entries_of_assets(session, [asset.id for asset in part])
            known = lineages(session, part)
        for each in known:
            rows.looked_at += 1
            rows.wrong.extend(_wrong_rows(each, entries[each.asset.id]))
            objects.looked_at += len(each.asset.files)
            objects.wrong.extend(_wrong_objects(auditor, each.asset))
        report("audited", rows.looked_at)
    return [
        rows.check("rows", "assets, each with the rows that were entered"),
        objects.check("objects", "objects hashed again, each with the bytes that were entered"),
    ]


def _wrong_rows(known: Lineage, entries: Sequence[Entry]) -> Iterator[str]:
    if len(entries) != 1:
        yield f"asset {known.asset.id[:12]} has {len(entries)} entries in the ledger"
    elif not (found := rows_check(known, entries[0])).ok:
        yield found.detail


def _wrong_objects(auditor: Auditor, asset: Asset) -> Iterator[str]:
    for file in asset.files:
        try:
            auditor.backend.objects.get(file.digest)
        except MissingObjectError:
            yield f"{file.name} of asset {asset.id[:12]} is gone"
        except CorruptObjectError:
            yield f"{file.name} of asset {asset.id[:12]} was changed"
        except ValueError as error:
            yield f"{file.name} of asset {asset.id[:12]} cannot be looked for: {error}"


def _kept(auditor: Auditor, session: Session) -> tuple[list[Checkpoint], list[str]]:
    try:
        return auditor.checkpoints(session)
    except LedgerError:
        return [], []  # `history` says what is wrong with the log


def _withdrawals(session: Session) -> Check:
    """What the ledger says was withdrawn must be off the shelves, and nothing else."""
    try:
        entered, rows = withdrawals_entered(session), withdrawals(session)
    except LedgerError as error:
        return Check("withdrawals", False, str(error))
    tally = _Tally(len(entered))
    for asset in sorted({*entered, *rows}):
        if asset not in rows:
            tally.wrong.append(f"asset {asset[:12]} was withdrawn, as the ledger says, and is listed again")
        elif asset not in entered:
            tally.wrong.append(f"asset {asset[:12]} is withdrawn, and the ledger says nothing of it")
        elif rows[asset] != entered[asset]:
            tally.wrong.append(f"the reason why asset {asset[:12]} was withdrawn is not the one in the ledger")
    return tally.check("withdrawals", "withdrawals, each with the reason that was entered")


def _not_signed() -> Check:
    return Check("history", None, "there is no signed checkpoint outside the database to hold the log against")
