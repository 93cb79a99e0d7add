"""Listeners and what they heard. All that is a person's goes when the person goes; the catalogue stays."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Column, DateTime, MetaData, Row, String, Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from db.among import among
from db.copying import copy_rows
from db.database import Session
from db.errors import ListenerExistsError, UnknownListenerError
from db.json_values import checked_text
from db.ledger import NewEntry, append
from db.recalls import ERASURE
from db.tables import listeners, listening_events

EventKind = Literal["completed", "skipped", "liked", "hated"]


@dataclass(frozen=True, slots=True)
class Listener:
    """A person as known here. `sentence` is what they like in their words; `time_zone` an IANA name."""

    name: str
    time_zone: str
    sentence: str | None
    salt: str
    consented_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """That a listener heard an asset, and how that went."""

    listener: str
    heard_at: datetime
    asset_id: str
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went with a listener: events, playlists, and the taste in these pieces, which stay."""

    events: int
    playlists: int
    pieces: Sequence[str]


def add_listener(
    session: Session, name: str, *, time_zone: str, sentence: str | None = None, consents: bool
) -> Listener:
    """Insert a listener.

    Raises:
        ListenerExistsError: there is one of this name.
        InvalidValueError: a text has characters that the database cannot hold.
    """
    checked_text(name, "the name")
    if sentence is not None:
        checked_text(sentence, "the sentence")
    row = session.execute(
        upsert(listeners)
        .values(
            name=name,
            time_zone=time_zone,
            sentence=sentence,
            salt=secrets.token_hex(32),
            consented_at=func.now() if consents else None,
        )
        .on_conflict_do_nothing()
        .returning(listeners)
    ).one_or_none()
    if row is None:
        raise ListenerExistsError(f"there is a listener {name!r} already")
    return _listener(row)


def list_listeners(session: Session, names: Sequence[str] | None = None) -> list[Listener]:
    """Return all listeners, or those named, by name.

    Raises:
        UnknownListenerError: nobody has one of these names.
    """
    query = select(listeners).order_by(listeners.c.name)
    if names is not None:
        query = query.where(among(listeners.c.name, names))
    found = [_listener(row) for row in session.execute(query)]
    if names is not None and (missing := sorted(set(names) - {each.name for each in found})):
        raise UnknownListenerError(f"there is no listener {missing[0]!r}")
    return found


def consenting_listeners(session: Session, *, known_at: datetime) -> list[Listener]:
    """Return those who had been added and had consented at a time, by name; who was deleted since is not known."""
    query = select(listeners).order_by(listeners.c.name)
    query = query.where(listeners.c.created_at <= known_at, listeners.c.consented_at <= known_at)
    return [_listener(row) for row in session.execute(query)]


def count_events(session: Session) -> dict[str, int]:
    """Return how many events there are of each listener who has any."""
    query = select(listening_events.c.listener, func.count()).group_by(listening_events.c.listener)
    return {name: int(count) for name, count in session.execute(query)}


def record_events(session: Session, events: Iterable[Event]) -> int:
    """Insert events, each once however often it comes; return how many were new."""
    _INCOMING.create(session.connection())
    copy_rows(session, _INCOMING, ((each.listener, each.heard_at, each.asset_id, each.kind) for each in events))
    new = session.execute(
        text("""
            WITH fresh AS (
                INSERT INTO listening_events (listener, heard_at, asset_id, kind)
                SELECT DISTINCT listener, heard_at, asset_id, kind FROM incoming_events
                ON CONFLICT DO NOTHING
                RETURNING 1
            )
            SELECT count(*) FROM fresh
        """)
    ).scalar_one()
    _INCOMING.drop(session.connection())
    return int(new)


@dataclass(frozen=True, slots=True)
class Meeting:
    """All that is known of a listener and an asset. Times in seconds since 1970; `strange` counts unknown kinds."""

    listener: str
    asset_id: str
    completed: int
    skipped: int
    liked_at: float | None
    hated_at: float | None
    last_at: float
    strange: int


def meetings(session: Session, before: datetime, *, known_at: datetime) -> Iterator[Meeting]:
    """Yield what was heard before a time, as far as it was known at another, by listener and asset, in flat memory.

    Only of `consenting_listeners` at that other time.
    """
    rows = session.execute(
        text("""
            SELECT listener, asset_id,
                count(*) FILTER (WHERE kind = 'completed') AS completed,
                count(*) FILTER (WHERE kind = 'skipped') AS skipped,
                extract(epoch FROM max(heard_at) FILTER (WHERE kind = 'liked'))::double precision AS liked_at,
                extract(epoch FROM max(heard_at) FILTER (WHERE kind = 'hated'))::double precision AS hated_at,
                extract(epoch FROM max(heard_at))::double precision AS last_at,
                count(*) FILTER (WHERE kind NOT IN ('completed', 'skipped', 'liked', 'hated')) AS strange
            FROM listening_events JOIN listeners ON listeners.name = listener
            WHERE heard_at < :before AND ingested_at <= :known_at
                AND created_at <= :known_at AND consented_at <= :known_at
            GROUP BY listener, asset_id
            ORDER BY listener, asset_id
        """),
        {"before": before, "known_at": known_at},
        execution_options={"yield_per": 10_000},
    )
    for part in rows.partitions():
        for row in part:
            yield Meeting(*row)


def forget_listener(session: Session, name: str) -> Forgotten:
    """Delete a listener with events, playlists, and what of their taste was kept of the pieces made for them.

    The pieces stay: their recipes hold a commitment that nobody can open any more, and the ledger says when and why.

    Raises:
        UnknownListenerError: nobody has this name.
    """
    list_listeners(session, [name])
    counts = session.execute(
        text("""
            SELECT (SELECT count(*) FROM listening_events WHERE listener = :name),
                (SELECT count(*) FROM playlists WHERE listener = :name)
        """),
        {"name": name},
    ).one()
    made = session.execute(
        text("""
            SELECT recipe_id FROM pieces_made_for JOIN assets ON assets.id = recipe_id
            WHERE listener = :name ORDER BY recipe_id
        """),
        {"name": name},
    )
    pieces = list(made.scalars())
    session.execute(delete(listeners).where(listeners.c.name == name))
    time = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"erased": "taste tokens", "reason": "their listener was deleted", "time": time}
    append(session, [NewEntry(ERASURE, piece, {"asset": piece, **body}) for piece in pieces])
    return Forgotten(int(counts[0]), int(counts[1]), pieces)


def _listener(row: Row[Any]) -> Listener:
    return Listener(**row._mapping)


_INCOMING: Final = Table(
    "incoming_events",
    MetaData(),
    Column("listener", String(200, collation="C")),
    Column("heard_at", DateTime(timezone=True)),
    Column("asset_id", String(64, collation="C")),
    Column("kind", String(16)),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
