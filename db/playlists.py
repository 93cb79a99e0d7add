"""Playlists as they were made, and the pieces made for listeners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from db.among import among
from db.database import Session
from db.digests import digest_of
from db.errors import UnknownPlaylistError
from db.json_values import Json
from db.ledger import NewEntry, append
from db.tables import assets, listeners, pieces_made_for, playlist_failures, playlists

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
    """A playlist as kept; from `pruned_at` on `body` has no tracks and candidates, `digest` is still of the whole."""

    listener: str
    date: date
    body: str
    digest: str
    as_of: datetime
    pruned_at: datetime | None = None


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
    salts = _salts(session, [each.listener for each in new])
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
    made = [(name, rows[name]["date"]) for name in names]
    failed = tuple_(playlist_failures.c.listener, playlist_failures.c.date)
    session.execute(delete(playlist_failures).where(failed.in_(made)))
    entries = []
    for name in names:
        subject = commitment(salts[name], str(rows[name]["digest"]))
        entries.append(NewEntry(PLAYLIST, subject, {"playlist": subject, "date": str(rows[name]["date"])}))
    append(session, entries)
    return names


def prune_playlists(session: Session, before: date) -> int:
    """Drop tracks and candidates of the playlists of dates before another; return how many had them.

    What is left says how each was made, so that it can be made again and held against its digest and the ledger.
    """
    pruned = session.execute(
        text("""
            WITH pruned AS (
                UPDATE playlists SET body = (CAST(body AS jsonb) - 'tracks' - 'candidates')::text, pruned_at = now()
                WHERE date < :before AND pruned_at IS NULL
                RETURNING 1
            )
            SELECT count(*) FROM pruned
        """),
        {"before": before},
    )
    return int(pruned.scalar_one())


@dataclass(frozen=True, slots=True)
class Failure:
    """How often a playlist could not be made, and why the last time."""

    tries: int
    error: str


def note_failures(session: Session, on: date, errors: Mapping[str, str]) -> None:
    """Keep that the playlists of these listeners for a date could not be made once more, and why."""
    there = _salts(session, list(errors)) if errors else {}
    rows = [{"listener": name, "date": on, "tries": 1, "error": errors[name]} for name in sorted(there)]
    if not rows:
        return
    insert = upsert(playlist_failures)
    changed = {
        "tries": playlist_failures.c.tries + 1,
        "error": insert.excluded.error,
        "failed_at": func.now(),
    }
    session.execute(insert.on_conflict_do_update(index_elements=["listener", "date"], set_=changed), rows)


def failures_of(session: Session, dates: Iterable[date]) -> dict[tuple[str, date], Failure]:
    """Return what could not be made of these dates, by listener and date."""
    query = select(playlist_failures).where(playlist_failures.c.date.in_(list(dates)))
    return {(row.listener, row.date): Failure(row.tries, row.error) for row in session.execute(query)}


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
        failure = failures_of(session, [on]).get((listener, on)) if on else None
        why = f": it could not be made: {failure.error}" if failure else ""
        raise UnknownPlaylistError(f"{listener!r} has no playlist" + (f" of {on}" if on else " yet") + why)
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


def _salts(session: Session, names: Sequence[str]) -> dict[str, str]:
    """Return the salts of those of these listeners who are there, and stay until the transaction ends."""
    query = select(listeners.c.name, listeners.c.salt).where(among(listeners.c.name, names))
    return dict(session.execute(query.with_for_update(key_share=True)).tuples().all())


def _playlist(row: Row[Any]) -> Playlist:
    return Playlist(**row._mapping)
