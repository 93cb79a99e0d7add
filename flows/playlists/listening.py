"""Listening events as they are written: a CSV, a JSONL, or what ListenBrainz exports.

Our own form has `listener`, `asset`, `event`, `at` in each row or line, and what cannot be used of it is refused. Of
a ListenBrainz export (a JSON array, an API answer, or JSONL; listens and feedback) what is not of the catalogue is
left out: people hear other things too. There an asset is known by its id anywhere in what the player told, or by a
title that only one asset has as its prompt.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from db.listeners import Event, EventKind
from flows.errors import OrderError, Place
from flows.files import problem_with, reason
from flows.rows import json_problem, read_csv_rows, read_jsonl_rows
from flows.wording import explain

SUFFIXES: Final = (".csv", ".jsonl", ".json")
_SHORTEST: Final = 12  # hex digits by which an asset can be named, as tables and folders show them
_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|(?<=-)[0-9a-f]{12}(?![0-9a-f])")
_T = TypeVar("_T", bound=BaseModel)
_MOST_S: Final = 4102444800  # the year 2100: what is beyond is no time in seconds
_EARLIEST: Final = datetime(2002, 10, 1, tzinfo=UTC)  # no service kept what people heard before


def _time(value: Any) -> datetime:
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}(\.\d+)?", value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no time")  # noqa: TRY004
    if isinstance(value, int | float):
        if not 0 <= value < _MOST_S:  # nor is what is no number
            raise ValueError(f"{value} is no time in seconds since 1970")
        return _possible(datetime.fromtimestamp(value, UTC), value)
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(f"{value!r} is no time; write 2026-05-01T20:15:00+02:00, or seconds since 1970") from None
    if at.tzinfo is None:
        raise ValueError(f"{value!r} does not say its zone; end it with Z or +02:00")
    try:
        return _possible(at.astimezone(UTC), value)
    except OverflowError:
        raise ValueError(f"{value!r} is before the year 1 or after 9999 in UTC") from None


def _possible(at: datetime, value: Any) -> datetime:
    if at < _EARLIEST:
        raise ValueError(f"{value!r} is {at:%Y-%m-%d}, before anything heard was recorded ({_EARLIEST:%Y-%m-%d})")
    return at


def _asset(value: str) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},64}}", value):
        raise ValueError(f"{value!r} is no asset id; use at least its first {_SHORTEST} digits")
    return value


class WrittenEvent(BaseModel):
    """A row or line of our own form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listener: Annotated[str, Field(min_length=1)] | None = None
    asset: Annotated[str, AfterValidator(_asset)]
    event: EventKind
    at: Annotated[datetime, BeforeValidator(_time)]


class _TrackMetadata(BaseModel):
    track_name: str
    additional_info: dict[str, Any] | None = None


class ListenBrainzItem(BaseModel):
    """A listen (`listened_at`) or feedback (`score`, `created`) as ListenBrainz writes it; all else is let be."""

    track_metadata: _TrackMetadata | None = None
    listened_at: Annotated[datetime, BeforeValidator(_time)] | None = None
    created: Annotated[datetime, BeforeValidator(_time)] | None = None
    score: Literal[-1, 0, 1] | None = None
    user_name: str | None = None
    user_id: str | int | None = None


@dataclass(frozen=True, slots=True)
class Assets:
    """What events can be of: sorted ids, and the ids by prompt."""

    ids: list[str]
    by_prompt: Mapping[str, str]  # of the prompts that only one asset has

    def named(self, id_or_prefix: str) -> str | None:
        """Return the only id that begins so."""
        at = bisect_left(self.ids, id_or_prefix)
        found = [one for one in self.ids[at : at + 2] if one.startswith(id_or_prefix)]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Listening:
    """Events read from a file, and how many items of it were of nothing in the catalogue."""

    events: list[Event]
    foreign: int


def assets_of(prompts: Mapping[str, str]) -> Assets:
    """Return what events can be of, from prompts by asset id."""
    counts = Counter(map(_title, prompts.values()))
    titles = {_title(prompt): asset for asset, prompt in prompts.items() if counts[_title(prompt)] == 1}
    return Assets(sorted(prompts), titles)


def read_events(
    path: Path, *, listener: str | None, consenting: Collection[str], assets: Assets, now: datetime
) -> Listening:
    """Read a file of listening events, all of it or nothing.

    Args:
        path: the file.
        listener: whose events these are where the file does not say.
        consenting: the names of the listeners who agreed to be listened to.
        assets: what there is to hear.
        now: the present: nothing was heard after it.

    Raises:
        OrderError: something in it cannot be used; the error names file, line and key.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OrderError(Place(path), f"listening events are a {', '.join(SUFFIXES)} file")
    events: list[Event] = []
    foreign = 0
    empty = suffix != ".json"  # an export of ListenBrainz may have nothing in it: nothing was heard
    for place, row in _rows(path, suffix):
        empty = False
        event = _event(row, place, listener, assets)
        if event is None:
            foreign += 1
            continue
        if event.listener not in consenting:
            raise OrderError(
                place, f"{event.listener!r} is no listener who consented: tutti listeners add NAME --consent"
            )
        if event.heard_at > now:
            raise OrderError(place, f"{event.heard_at:%Y-%m-%dT%H:%M:%SZ} has not come yet: nothing was heard then")
        events.append(event)
    if empty:
        raise OrderError(Place(path), "empty; listening events are a row or a line each")
    return Listening(events, foreign)


def _rows(path: Path, suffix: str) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    if suffix == ".csv":
        for line, row in read_csv_rows(path):
            yield Place(path, line), {name: text for name, text in row.items() if text.strip()}
    elif suffix == ".jsonl":
        for line, row in read_jsonl_rows(path):
            yield Place(path, line), row
    else:
        for number, item in enumerate(_items(path)):
            place = Place(path, None, f"[{number}]")
            if not isinstance(item, dict):
                raise OrderError(place, "not a JSON object {…}")
            yield place, item


def _items(path: Path) -> list[Any]:
    if (problem := problem_with(path)) is not None:
        raise OrderError(Place(path), problem)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise OrderError(Place(path), f"cannot be read: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        raise OrderError(Place(path), json_problem(error)) from None
    if isinstance(found, dict):
        found = found.get("payload", found)
        found = found.get("listens", found.get("feedback")) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise OrderError(Place(path), "an export of ListenBrainz is a list of listens")
    return found


def _event(row: Mapping[str, Any], place: Place, listener: str | None, assets: Assets) -> Event | None:
    """Return the event of a row, None if it is of nothing that is ours."""
    if "track_metadata" in row or "score" in row or "listened_at" in row:
        return _foreign_event(row, place, listener, assets)
    written = _checked(WrittenEvent, row, place)
    who = written.listener or listener
    if who is None:
        raise OrderError(_at(place, "listener"), "is needed, here or as --listener")
    asset = assets.named(written.asset)
    if asset is None:
        raise OrderError(_at(place, "asset"), f"there is no asset {written.asset!r}")
    return Event(who, written.at, asset, written.event)


def _foreign_event(row: Mapping[str, Any], place: Place, listener: str | None, assets: Assets) -> Event | None:
    item = _checked(ListenBrainzItem, row, place)
    who = listener or item.user_name or (str(item.user_id) if item.user_id is not None else None)
    if who is None:
        raise OrderError(place, "a ListenBrainz export does not say whose it is: give --listener NAME")
    at = item.listened_at if item.score is None else item.created
    if at is None:
        raise OrderError(_at(place, "listened_at" if item.score is None else "created"), "is needed")
    asset = _heard(row, item, assets)
    if asset is None or item.score == 0:  # zero takes feedback back, which an export of the present does not need
        return None
    kinds: dict[int | None, EventKind] = {None: "completed", 1: "liked", -1: "hated"}
    return Event(who, at, asset, kinds[item.score])


def _heard(row: Mapping[str, Any], item: ListenBrainzItem, assets: Assets) -> str | None:
    told = json.dumps([row.get("recording_msid"), item.track_metadata and item.track_metadata.model_dump()])
    for found in _ID.findall(told):
        if (asset := assets.named(found)) is not None:
            return asset
    return assets.by_prompt.get(_title(item.track_metadata.track_name)) if item.track_metadata else None


def _title(text: str) -> str:
    return " ".join(text.casefold().split())


def _checked(kind: type[_T], row: Mapping[str, Any], place: Place) -> _T:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        where, problem = explain(error, kind.model_fields)
        raise OrderError(_at(place, ".".join(map(str, where))), problem) from None


def _at(place: Place, key: str) -> Place:
    return Place(place.file, place.line, f"{place.key}.{key}".strip("."))
