"""Making a kept playlist again from the rows of its time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.digests import digest_of
from db.playlists import Playlist
from flows.playlists.lists import SCHEMA, Failed, Moment
from flows.playlists.night import NightWork
from flows.services import Backend, Services
from models.registry import find_version
from models.taste.choosing import Rules
from models.taste.ranking import RankingConfig
from models.weights import UnknownModelError


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it: the digest of the list as it is made now, or None; and why it may be another."""

    digest: str | None
    detail: str


def replayed(services: Services, backend: Backend, kept: Playlist) -> Replay:
    """Make a kept playlist again.

    Raises:
        StorageError: the database cannot be asked.
        ModelError: there is no model to tell tastes by.
    """
    body: dict[str, Any] = json.loads(kept.body)
    if body["schema"] != SCHEMA:
        return Replay(None, f"it is of the form {body['schema']}, which this version of Tutti does not make")
    named = body["model"]
    try:
        version = find_version(f"{named['name']}@{named['digest']}", [services.settings.model_folder])
    except UnknownModelError as error:
        return Replay(None, f"it cannot be made again: {error}")
    work = NightWork(services, backend, _rules(body["rules"]))
    before = datetime.fromisoformat(body["heard_before"])
    filters = body.get("filters")
    moment = Moment(
        date=kept.date,
        heard_before=before,
        as_of=kept.as_of,
        model=version,
        licences=tuple(filters["licences"]) if filters else None,
    )
    (made,) = work.lists_of(moment).make([kept.listener])
    if isinstance(made, Failed):
        return Replay(None, made.error)
    digest = digest_of(made.body.encode())
    same = digest == kept.digest
    detail = (
        "the same, byte for byte"
        if same
        else "another: listeners or events were deleted since, or this is another machine"
    )
    return Replay(digest, detail)


def _rules(values: dict[str, Any]) -> Rules:
    return Rules(**values | {"ranking": RankingConfig(**values["ranking"])})
