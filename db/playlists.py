"""Playlists as they were made, and the pieces made for listeners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from db.database import Session
from db.digests import digest_of
from db.errors import UnknownPlaylistError
from db.json_values import Json
from db.ledger import NewEntry, append
from db.tables import assets, listeners, pieces_made_for, playlists

PLAYLIST: Final = "playlist"
_LOCK: Final = 0x7475747471  # any number that others are unlikely to lock


@dataclass(frozen=True, slots=True)
class NewPlaylist:
    """A playlist to be kept. `body` is canonical JSON; `as_of` says which rows it was made from."""

    listener: str
    date: date
    body: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist as kept."""

    listener: str
    date: date
    body: str
    digest: str
    as_of: datetime


def clock(session: Session) -> datetime:
    """Return the time by the database's own clock, by which its rows are dated."""
    now = session.execute(select(func.now())).scalar_one()
    assert isinstance(now, datetime)
    return now


def commitment(salt: str, digest: str) -> str:
    """Return what the ledger holds of a playlist: a digest that says nothing of anybody without the salt."""
    return digest_of(bytes.fromhex(salt) + digest.encode())


def record_playlists(session: Session, new: Sequence[NewPlaylist]) -> list[str]:
    """Keep playlists with an entry of the ledger each; return whose are new: one a listener and date is kept.

    Who was deleted in the meantime gets none.
    """
    if not new:
        return []
    salts = dict(
        session.execute(
            select(listeners.c.name, listeners.c.salt)
            .where(listeners.c.name.in_([each.listener for each in new]))
            .with_for_update(key_share=True)
        )
        .tuples()
        .all()
    )
    rows = {
        each.listener: {
            "listener": each.listener,
            "date": each.date,
            "body": each.body,
            "digest": digest_of(each.body.encode()),
            "as_of": each.as_of,
        }
        for each in new
        if each.listener in salts
    }
    if not rows:
        return []
    kept = session.execute(
        upsert(playlists).on_conflict_do_nothing().returning(playlists.c.listener), list(rows.values())
    )
    names = sorted(kept.scalars())
    entries = []
    for name in names:
        subject = commitment(salts[name], str(rows[name]["digest"]))
        entries.append(NewEntry(PLAYLIST, subject, {"playlist": subject, "date": str(rows[name]["date"])}))
    append(session, entries)
    return names


def get_playlist(session: Session, listener: str, on: date | None = None) -> Playlist:
    """Return a listener's playlist of a date, or the newest.

    Raises:
        UnknownPlaylistError: there is none.
    """
    query = select(playlists).where(playlists.c.listener == listener).order_by(playlists.c.date.desc()).limit(1)
    if on is not None:
        query = query.where(playlists.c.date == on)
    row = session.execute(query).one_or_none()
    if row is None:
        raise UnknownPlaylistError(f"{listener!r} has no playlist" + (f" of {on}" if on else " yet"))
    return _playlist(row)


def playlists_of(session: Session, on: date) -> list[Playlist]:
    """Return all playlists of a date, by listener."""
    query = select(playlists).where(playlists.c.date == on).order_by(playlists.c.listener)
    return [_playlist(row) for row in session.execute(query)]


def have_playlists(session: Session, dates: Iterable[date]) -> set[tuple[str, date]]:
    """Return (listener, date) of every playlist of these dates."""
    query = select(playlists.c.listener, playlists.c.date).where(playlists.c.date.in_(list(dates)))
    return set(session.execute(query).tuples().all())


@dataclass(frozen=True, slots=True)
class PieceFor:
    """A recipe made for a listener: `body` is its canonical JSON, `personal` opens the commitment in it."""

    recipe_id: str
    listener: str
    date: date
    run_id: str
    duration_s: float
    personal: Mapping[str, Json]
    body: str


def note_pieces_for(session: Session, pieces: Iterable[PieceFor]) -> None:
    """Keep whom recipes are for; those kept already stay as they are."""
    rows = [dict(zip(PieceFor.__slots__, astuple(piece), strict=True)) for piece in pieces]
    if rows:
        session.execute(upsert(pieces_made_for).on_conflict_do_nothing(), rows)


def lock_pieces_for(session: Session) -> None:
    """Have one unit of work at a time decide what is made for whom: sums stay true until it commits."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def pieces_of(session: Session, on: date) -> list[PieceFor]:
    """Return what was asked for on a date, by run and recipe."""
    query = (
        select(pieces_made_for)
        .where(pieces_made_for.c.date == on)
        .order_by(pieces_made_for.c.run_id, pieces_made_for.c.recipe_id)
    )
    return [PieceFor(**row._mapping) for row in session.execute(query)]


def made_for(session: Session) -> list[tuple[str, str]]:
    """Return (listener, asset id) of every piece that was made for somebody, by listener, the newest first."""
    query = (
        select(pieces_made_for.c.listener, assets.c.id)
        .join(assets, assets.c.id == pieces_made_for.c.recipe_id)
        .order_by(pieces_made_for.c.listener, pieces_made_for.c.date.desc(), assets.c.id)
    )
    return list(session.execute(query).tuples().all())


def seconds_asked_for(session: Session, *, since: date, until: date) -> dict[str, float]:
    """Return how many seconds of audio were asked for each listener from a date on, before another."""
    query = (
        select(pieces_made_for.c.listener, func.sum(pieces_made_for.c.duration_s))
        .where(pieces_made_for.c.date >= since, pieces_made_for.c.date < until)
        .group_by(pieces_made_for.c.listener)
    )
    return {name: float(total) for name, total in session.execute(query)}


def _playlist(row: Row[Any]) -> Playlist:
    return Playlist(**row._mapping)
