"""Listeners and what they heard. All that is a person's goes when the person goes; the catalogue stays."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Column, DateTime, MetaData, Row, String, Table, delete, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from db.copying import copy_rows
from db.database import Session
from db.errors import ListenerExistsError, UnknownListenerError
from db.json_values import checked_text
from db.ledger import NewEntry, append
from db.recalls import ERASURE
from db.tables import listeners, listening_events

EventKind = Literal["completed", "skipped", "liked", "hated"]
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)


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
    """What went with a listener: events, playlists, and the recipes whose taste tokens were erased."""

    events: int
    playlists: int
    recipes: Sequence[str]


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
            consented_at=datetime.now(UTC) if consents else None,
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
        query = query.where(listeners.c.name.in_(names))
    found = [_listener(row) for row in session.execute(query)]
    if names is not None and (missing := sorted(set(names) - {each.name for each in found})):
        raise UnknownListenerError(f"there is no listener {missing[0]!r}")
    return found


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


def events_before(
    session: Session, before: datetime, *, known_at: datetime, listener: str | None = None
) -> Iterator[Event]:
    """Yield what was heard before a time, as far as it was known at another, by listener and time, in flat memory."""
    query = (
        select(
            listening_events.c.listener,
            listening_events.c.heard_at,
            listening_events.c.asset_id,
            listening_events.c.kind,
        )
        .where(listening_events.c.heard_at < before, listening_events.c.ingested_at <= known_at)
        .order_by(
            listening_events.c.listener,
            listening_events.c.heard_at,
            listening_events.c.asset_id,
            listening_events.c.kind,
        )
    )
    if listener is not None:
        query = query.where(listening_events.c.listener == listener)
    for part in session.execute(query, execution_options={"yield_per": 10_000}).partitions():
        for name, heard_at, asset_id, kind in part:
            yield Event(name, heard_at, asset_id, kind)


def forget_listener(session: Session, name: str) -> Forgotten:
    """Delete a listener with events and playlists, and erase the taste tokens from what was made for them.

    The pieces stay: their recipes then say that the tokens are gone, and the ledger when and why.

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
    erased = session.execute(
        text("""
            UPDATE recipes SET body = body #- '{controls,taste_tokens}'
            WHERE id IN (SELECT recipe_id FROM pieces_made_for WHERE listener = :name)
                AND body #> '{controls,taste_tokens}' IS NOT NULL
            RETURNING id
        """),
        {"name": name},
    )
    recipes = sorted(erased.scalars())
    session.execute(delete(listeners).where(listeners.c.name == name))
    time = datetime.now(UTC).isoformat(timespec="seconds")
    body = {"erased": "taste tokens", "reason": "their listener was deleted", "time": time}
    append(session, [NewEntry(ERASURE, recipe, {"asset": recipe, **body}) for recipe in recipes])
    return Forgotten(int(counts[0]), int(counts[1]), recipes)


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
