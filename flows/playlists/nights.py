"""When a listener's night is: at an hour of their own clock, once a date, whatever the clock does that night."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from db.listeners import Listener
from flows.errors import FlowError


class DateError(FlowError):
    """A date of which nobody is to have a playlist."""


class ZoneError(ValueError):
    """A time zone that this machine does not know."""


@dataclass(frozen=True, slots=True)
class Night:
    """The listeners whose playlist of a date was due at one moment. `is_present`: it is their newest."""

    date: date
    due_at: datetime
    names: tuple[str, ...]
    is_present: bool


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ZoneError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ZoneError(f"{name!r} is no time zone; write Europe/Berlin, America/New_York, UTC …") from None


def due_at(on: date, zone_name: str, hour: int) -> datetime | None:
    """Return when a date's playlist is due, in UTC; None for a date that a zone left out (Samoa, 30 December 2011).

    An hour that is skipped in spring comes an hour later; one that comes twice in autumn counts the first time.

    Raises:
        ZoneError: there is no such zone.
    """
    local = zone(zone_name)
    moment = datetime.combine(on, time(hour), tzinfo=local).astimezone(UTC)
    return moment if moment.astimezone(local).date() == on else None


def nights_due(
    listeners: Sequence[Listener],
    have: Collection[tuple[str, date]],
    *,
    now: datetime,
    hour: int,
    catch_up: int,
    only: date | None = None,
) -> tuple[list[Night], Mapping[str, str]]:
    """Return the nights that are due and not done, oldest first, and whose cannot be told, with the reason.

    Args:
        listeners: all who are to have playlists.
        have: (listener, date) of the playlists there are; `dates_of` says of which dates to ask.
        now: the present, in UTC.
        hour: of the listener's clock.
        catch_up: how many missed nights before the present one are made up for.
        only: this date instead, for whom it is due.
    """
    due: dict[tuple[datetime, date, bool], list[str]] = defaultdict(list)
    strange: dict[str, str] = {}
    for listener in listeners:
        try:
            present = present_date(listener.time_zone, now, hour)
            wanted = [only] if only else [present - timedelta(days=back) for back in range(catch_up, -1, -1)]
            if only and only > present:
                continue
            for on in wanted:
                moment = due_at(on, listener.time_zone, hour)
                if moment is None or (listener.name, on) in have:
                    continue
                if only is None and on != present and moment < listener.created_at:
                    continue  # a night before they were here was not missed
                due[moment, on, on >= present].append(listener.name)
        except ZoneError as error:
            strange[listener.name] = str(error)
    nights = [Night(on, moment, tuple(sorted(names)), new) for (moment, on, new), names in sorted(due.items())]
    return nights, strange


def check_date(on: date, listeners: Sequence[Listener], *, now: datetime, hour: int) -> None:
    """See that a date's playlist is due for one of these listeners at least, and was not before all of them.

    Raises:
        DateError: it is due for nobody yet, or is before everybody's first.
    """
    present, first = [], []
    for listener in listeners:
        with suppress(ZoneError):  # who is named when playlists are made
            present.append(present_date(listener.time_zone, now, hour))
            first.append(present_date(listener.time_zone, listener.created_at, hour))
    if present and on > max(present):
        raise DateError(f"playlists of {on} are not due yet; the newest that are due are those of {max(present)}")
    if first and on < min(first):
        raise DateError(f"{on} is before the first listener was added; their first playlist is that of {min(first)}")


def present_date(zone_name: str, now: datetime, hour: int) -> date:
    """Return the newest date whose playlist is due in a zone.

    Raises:
        ZoneError: there is no such zone.
    """
    on = now.astimezone(zone(zone_name)).date()
    while (moment := due_at(on, zone_name, hour)) is None or moment > now:
        on -= timedelta(days=1)
    return on


def dates_around(now: datetime, catch_up: int, only: date | None) -> list[date]:
    """Return every date of which `nights_due` may ask, in any zone."""
    if only is not None:
        return [only]
    return [now.date() + timedelta(days=days) for days in range(-catch_up - 2, 2)]
