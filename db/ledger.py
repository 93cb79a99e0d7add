"""The ledger: an append-only Merkle log (RFC 9162) of what happened to assets, kept in PostgreSQL.

Entry 0 names the log. An entry's body is canonical JSON, kept as the bytes that were hashed. Hashes of complete
subtrees of 256 leaves and more are stored as they come about; a smaller one is made from its leaves. A transaction
appends behind a lock that ends with it, so entries have no gaps whoever writes. Triggers refuse every change; a
superuser can get round those, and is found out by hashing again and by checkpoints kept elsewhere.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import select, text

from db.among import among
from db.canonical import canonical
from db.copying import copy_rows
from db.database import Session
from db.errors import LedgerError, UnknownEntryError
from db.merkle import (
    EMPTY_ROOT,
    Span,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    perfect_spans,
    root_of,
    subtree_hash,
)
from db.tables import ledger_entries, ledger_nodes

SCHEMA: Final = "tutti.ledger/1"
BLOCK_LEVEL: Final = 8  # hashes of subtrees of 2**8 leaves and more are stored
_BLOCK: Final = 1 << BLOCK_LEVEL
_SUBJECTS: Final = (b"asset", b"input", b"playlist")  # members of a body that name what it is about
_LOCK: Final = 0x7475747470  # any number that others are unlikely to lock


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be appended.

    `subject` is what one looks it up by: an asset's id, an input's digest, a commitment to a playlist. The body has
    it under "asset", "input" or "playlist".
    """

    kind: str
    subject: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is kept: `body` is the hashed bytes, `leaf_hash` what was stored with them."""

    index: int
    kind: str
    subject: str
    body: bytes
    leaf_hash: bytes

    @property
    def filed_as_entered(self) -> bool:
        """Say whether kind and subject, by which it is looked up, are those in its body, which is what is hashed."""
        return _entered_as(self.body, self.kind, self.subject)

    @property
    def content(self) -> Mapping[str, Any]:
        """The body's JSON object.

        Raises:
            LedgerError: the bytes are no JSON object any more.
        """
        try:
            found = json.loads(self.body)
        except (RecursionError, ValueError):
            found = None
        if not isinstance(found, dict):
            raise LedgerError(f"the body of ledger entry {self.index} is damaged: it is no JSON object")
        return found


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The log at a size: its name and its root."""

    origin: str
    size: int
    root: bytes


def append(session: Session, entries: Sequence[NewEntry]) -> range:
    """Append entries in the session's transaction; return their indices.

    Writers queue here until the one before has committed, so append last in a unit of work.

    Raises:
        InvalidValueError: a body has no canonical JSON.
    """
    if not entries:
        return range(0)
    bodies = [canonical({"schema": SCHEMA, "type": entry.kind, **entry.body}) for entry in entries]
    for entry, body in zip(entries, bodies, strict=True):
        assert _entered_as(body, entry.kind, entry.subject), f"the body of the entry names no {entry.subject}"
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    size = log_size(session)
    kinds = [(entry.kind, entry.subject) for entry in entries]
    if size == 0:
        kinds.insert(0, ("log", ""))
        bodies.insert(0, _first_body())
    hashes = [leaf_hash(body) for body in bodies]
    rows = (
        (size + number, kind, subject, body, hashed)
        for number, ((kind, subject), body, hashed) in enumerate(zip(kinds, bodies, hashes, strict=True))
    )
    copy_rows(session, ledger_entries, rows)
    _store_nodes(session, size, hashes)
    end = size + len(bodies)
    return range(end - len(entries), end)


def log_size(session: Session) -> int:
    """Return how many entries there are."""
    return int(session.execute(text("SELECT coalesce(max(index) + 1, 0) FROM ledger_entries")).scalar_one())


def origin(session: Session) -> str | None:
    """Return the log's name, None for a log without entries.

    Raises:
        LedgerError: entry 0 is not the one that names the log.
    """
    if (first := _entry(session, 0)) is None:
        return None
    content = first.content
    if content.get("type") != "log" or not isinstance(content.get("origin"), str):
        raise LedgerError("entry 0 of the ledger does not name the log")
    return str(content["origin"])


def tree_head(session: Session, size: int | None = None) -> TreeHead | None:
    """Return the head of the log at `size`, or as it is; None for a log without entries.

    Raises:
        LedgerError: the log is shorter, or stored hashes are missing.
    """
    if (name := origin(session)) is None:
        return None
    now = log_size(session)
    if size is not None and size > now:
        raise LedgerError(f"the ledger has {now} entries, not {size}: the last ones are gone")
    wanted = now if size is None else size
    if wanted == 0:
        return TreeHead(name, 0, EMPTY_ROOT)
    return TreeHead(name, wanted, _hashes(session, [Span(0, wanted)])[0])


def inclusion_proof(session: Session, index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from entry `index` to the root at `size`.

    Raises:
        LedgerError: stored hashes are missing.
    """
    return _hashes(session, inclusion_path(index, size))


def consistency_proof(session: Session, old: int, new: int) -> list[bytes]:
    """Return the hashes that show that the log at `new` begins with the log at `old`.

    Raises:
        LedgerError: stored hashes are missing.
    """
    return _hashes(session, consistency_path(old, new))


def get_entry(session: Session, index: int) -> Entry:
    """Return an entry.

    Raises:
        UnknownEntryError: the log has none at this index.
    """
    if (found := _entry(session, index)) is None:
        raise UnknownEntryError(f"the ledger has no entry {index}")
    return found


def entries_about(session: Session, *subjects: str) -> list[Entry]:
    """Return the entries with any of these subjects, oldest first."""
    query = select(ledger_entries).where(among(ledger_entries.c.subject, subjects)).order_by(ledger_entries.c.index)
    return [Entry(**row._mapping) for row in session.execute(query)]


def stream_entries(session: Session) -> Iterator[Entry]:
    """Yield every entry in order, in flat memory."""
    query = select(ledger_entries).order_by(ledger_entries.c.index)
    for part in session.execute(query, execution_options={"yield_per": 2_000}).partitions():
        for index, kind, subject, body, hashed in part:
            yield Entry(index, kind, subject, body, hashed)


def stored_nodes(session: Session) -> dict[tuple[int, int], bytes]:
    """Return the stored subtree hashes by (level, position): one for about 128 entries."""
    return {(level, position): value for level, position, value in session.execute(select(ledger_nodes))}


class TreeBuilder:
    """Builds the whole tree anew from leaf hashes in order; gives root and stored nodes as they should be."""

    def __init__(self) -> None:
        self.size = 0
        self.nodes: dict[tuple[int, int], bytes] = {}
        self._block: list[bytes] = []

    def add(self, hashed: bytes) -> None:
        """Add the next leaf."""
        self._block.append(hashed)
        self.size += 1
        if len(self._block) == _BLOCK:
            _grow(self.nodes, self.size // _BLOCK - 1, root_of(self._block))
            self._block.clear()

    def root(self) -> bytes:
        """Return the root of what was added so far."""
        if not self.size:
            return EMPTY_ROOT
        first = self.size - len(self._block)

        def perfect(span: Span) -> bytes:
            level, position = _name(span)
            if level < BLOCK_LEVEL:
                return root_of(self._block[span.first - first : span.end - first])
            return self.nodes[level, position]

        return subtree_hash(Span(0, self.size), perfect)


def _entered_as(body: bytes, kind: str, subject: str) -> bool:
    """Say whether an entry's body names its kind, and its subject if it has one.

    Canonical JSON has no spaces, and a quotation mark within a string has a backslash before it.
    """
    named = not subject or any(b'"%b":"%b"' % (member, subject.encode()) in body for member in _SUBJECTS)
    return named and b'"type":"%b"' % kind.encode() in body


def _first_body() -> bytes:
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return canonical({"schema": SCHEMA, "type": "log", "origin": f"tutti/{uuid.uuid4()}", "time": made})


def _entry(session: Session, index: int) -> Entry | None:
    row = session.execute(select(ledger_entries).where(ledger_entries.c.index == index)).one_or_none()
    return None if row is None else Entry(**row._mapping)


def _store_nodes(session: Session, size: int, new: Sequence[bytes]) -> None:
    """Store the subtrees that these leaves complete."""
    begun = size // _BLOCK * _BLOCK
    if size + len(new) < begun + _BLOCK:
        return
    leaves = _leaves(session, [Span(begun, size)]) if begun < size else {}
    unfinished = [*(leaves[index] for index in range(begun, size)), *new]
    nodes = _frontier(session, begun // _BLOCK)
    known = set(nodes)
    for number in range(len(unfinished) // _BLOCK):
        block = unfinished[number * _BLOCK : (number + 1) * _BLOCK]
        _grow(nodes, begun // _BLOCK + number, root_of(block))
    copy_rows(session, ledger_nodes, ((*name, nodes[name]) for name in nodes if name not in known))


def _grow(nodes: dict[tuple[int, int], bytes], position: int, hashed: bytes) -> None:
    """Add a complete block, and every larger subtree that it completes."""
    level = BLOCK_LEVEL
    nodes[level, position] = hashed
    while position & 1:
        hashed = node_hash(nodes[level, position - 1], hashed)
        level, position = level + 1, position >> 1
        nodes[level, position] = hashed


def _frontier(session: Session, blocks: int) -> dict[tuple[int, int], bytes]:
    """Return the complete subtrees at the right edge of a log of whole blocks."""
    if not blocks:
        return {}
    return _nodes(session, [_name(span) for span in perfect_spans(Span(0, blocks * _BLOCK))])


def _name(span: Span) -> tuple[int, int]:
    level = (span.end - span.first).bit_length() - 1
    return level, span.first >> level


def _hashes(session: Session, spans: Sequence[Span]) -> list[bytes]:
    """Return the hashes of subtrees, with two queries for all of them."""
    parts = [part for span in spans for part in perfect_spans(span)]
    large = [_name(part) for part in parts if _name(part)[0] >= BLOCK_LEVEL]
    small = [part for part in parts if _name(part)[0] < BLOCK_LEVEL]
    nodes = _nodes(session, large) if large else {}
    leaves = _leaves(session, small) if small else {}

    def perfect(part: Span) -> bytes:
        name = _name(part)
        return nodes[name] if name in nodes else root_of([leaves[index] for index in range(*part)])

    try:
        return [subtree_hash(span, perfect) for span in spans]
    except KeyError as error:
        raise LedgerError(f"the ledger is damaged: the hash of {error} is missing") from None


def _nodes(session: Session, names: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    rows = session.execute(
        text("""
            SELECT level, position, hash FROM ledger_nodes
            JOIN unnest(CAST(:levels AS int[]), CAST(:positions AS bigint[])) AS given (level, position)
                USING (level, position)
        """),
        {"levels": [level for level, _ in names], "positions": [position for _, position in names]},
    )
    found = {(level, position): value for level, position, value in rows}
    if missing := [name for name in names if name not in found]:
        raise LedgerError(f"the ledger is damaged: stored hashes {missing[:3]} are missing")
    return found


def _leaves(session: Session, spans: Iterable[Span]) -> dict[int, bytes]:
    # Not as ranges: of those PostgreSQL expects a ninth of the table each, and may read all of it for a proof.
    rows = session.execute(
        text("SELECT index, leaf_hash FROM ledger_entries WHERE index = ANY (CAST(:wanted AS bigint[]))"),
        {"wanted": [index for span in spans for index in range(*span)]},
    )
    return dict(rows.tuples().all())  # not of the result itself, whose keys() are its columns
