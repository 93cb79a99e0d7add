"""What was made with something, through any number of generations; taking it back; erasing an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select, text

from db.database import Session
from db.json_values import checked_text
from db.ledger import Entry, NewEntry, append
from db.tables import ledger_entries

WITHDRAWAL: Final = "withdrawal"
ERASURE: Final = "erasure"
_LIKE: Final = {"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"}  # a pattern's letters, as LIKE has them


@dataclass(frozen=True, slots=True)
class Touched:
    """An asset that something went into; generation 1 was made from it directly, generation 0 is it."""

    asset: str
    generation: int
    prompt: str
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """When an asset was taken off the catalogues, and why."""

    at: datetime
    reason: str


# A child may have been made from an asset as a whole or from one of its files.
_TOUCHED: Final = text("""
    WITH RECURSIVE touched (id, generation) AS (
        (
            SELECT child, 1 FROM lineage_edges WHERE parent = ANY (CAST(:digests AS text[]))
            UNION SELECT unnest(CAST(:assets AS text[])), 0
        )
        UNION
        SELECT edge.child, touched.generation + 1 FROM touched
        JOIN LATERAL (
            SELECT digest FROM assets WHERE assets.id = touched.id
            UNION SELECT digest FROM asset_files WHERE asset_id = touched.id
            UNION SELECT unsigned_digest FROM asset_files WHERE asset_id = touched.id
        ) AS made ON true
        JOIN lineage_edges AS edge ON edge.parent = made.digest
        WHERE touched.generation < 100
    )
    SELECT id, min(generation) AS generation, prompt, bool_or(withdrawals.asset_id IS NOT NULL) AS withdrawn
    FROM touched JOIN recipes USING (id) LEFT JOIN withdrawals ON withdrawals.asset_id = touched.id
    GROUP BY id, prompt ORDER BY generation, id
""")


def touched_by(session: Session, digests: Sequence[str], assets: Sequence[str] = ()) -> list[Touched]:
    """Return the assets that any of these models or inputs went into, nearest first; and these assets likewise."""
    rows = session.execute(_TOUCHED, {"digests": list(digests), "assets": list(assets)})
    return [Touched(row.id, row.generation, row.prompt, row.withdrawn) for row in rows]


def models_trained_on(session: Session, item: str) -> list[tuple[str, str]]:
    """Return (name, digest) of the model versions whose card names this training item.

    An item is the manifest's digest or the name of a collection.
    """
    rows = session.execute(
        text("""
            SELECT name, digest FROM model_versions
            WHERE card #>> '{training_data,manifest}' = :item
                OR card #> '{training_data,collections}'
                    @> jsonb_build_array(jsonb_build_object('name', CAST(:item AS text)))
            ORDER BY name, digest
        """),
        {"item": item},
    )
    return [(row.name, row.digest) for row in rows]


def assets_told(session: Session, pattern: str) -> list[str]:
    """Return the ids of the assets whose prompt is like this, whatever its capitals: * is any text, ? any letter."""
    like = "".join(_LIKE.get(letter, letter) for letter in pattern)
    rows = session.execute(
        text("SELECT assets.id FROM assets JOIN recipes USING (id) WHERE prompt ILIKE :like ORDER BY assets.id"),
        {"like": checked_text(like, "the pattern")},
    )
    return list(rows.scalars())


def models_named(session: Session, reference: str) -> list[str]:
    """Return the digests of the model versions that "name" or "name@digest" (or its beginning) means."""
    name, _, digest = reference.partition("@")
    rows = session.execute(
        text("SELECT digest FROM model_versions WHERE name = :name AND starts_with(digest, :digest) ORDER BY digest"),
        {"name": name, "digest": digest},
    )
    return list(rows.scalars())


def is_input(session: Session, digest: str) -> bool:
    """Say whether assets were made from this content, other than as a model, and no asset has it as its own."""
    return bool(
        session.execute(
            text("""
                SELECT EXISTS (SELECT FROM lineage_edges WHERE parent = :digest AND role <> 'model')
                    AND NOT EXISTS (SELECT FROM asset_files WHERE digest = :digest)
            """),
            {"digest": digest},
        ).scalar_one()
    )


def withdraw(session: Session, assets: Sequence[str], reason: str) -> list[str]:
    """Take assets off catalogues, for a reason that is entered in the ledger; return those that were not off yet.

    Raises:
        InvalidValueError: the reason has characters that the database cannot hold.
    """
    rows = session.execute(
        text("""
            INSERT INTO withdrawals (asset_id, reason) SELECT unnest(CAST(:assets AS text[])), :reason
            ON CONFLICT DO NOTHING RETURNING asset_id
        """),
        {"assets": list(assets), "reason": checked_text(reason, "the reason")},
    )
    withdrawn = sorted(rows.scalars())
    body = {"reason": reason, "time": _now()}
    append(session, [NewEntry(WITHDRAWAL, asset, {"asset": asset, **body}) for asset in withdrawn])
    return withdrawn


def withdrawals_of(session: Session, assets: Sequence[str]) -> dict[str, Withdrawal]:
    """Return when and why those of these assets were withdrawn that were, by id."""
    rows = session.execute(
        text("SELECT asset_id, withdrawn_at, reason FROM withdrawals WHERE asset_id = ANY (CAST(:assets AS text[]))"),
        {"assets": list(assets)},
    )
    return {row.asset_id: Withdrawal(row.withdrawn_at, row.reason) for row in rows}


def withdrawals(session: Session) -> dict[str, str]:
    """Return the reason why each asset is off the catalogues, by id, as the rows have it."""
    rows = session.execute(text("SELECT asset_id, reason FROM withdrawals"))
    return {row.asset_id: row.reason for row in rows}


def withdrawals_entered(session: Session) -> dict[str, str]:
    """Return the same as the ledger has it.

    Raises:
        LedgerError: the body of such an entry is damaged.
    """
    query = select(ledger_entries).where(ledger_entries.c.kind == WITHDRAWAL).order_by(ledger_entries.c.index)
    entries = [Entry(**row._mapping) for row in session.execute(query)]
    return {entry.subject: str(entry.content.get("reason")) for entry in entries}


def note_erasure(session: Session, digest: str, reason: str) -> None:
    """Enter in the ledger that the bytes of an input are erased; its digest stays, and so do all proofs.

    Raises:
        InvalidValueError: the reason has characters that the database cannot hold.
    """
    checked_text(reason, "the reason")
    append(session, [NewEntry(ERASURE, digest, {"input": digest, "reason": reason, "time": _now()})])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
