"""Sweeping the object store: find the objects that no row names, and remove them if that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from db.sweeping import hold_work, unnamed
from flows.services import Backend


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found in the store, and what of it no row names."""

    objects: int
    unnamed: int
    unnamed_bytes: int
    removed: bool


def sweep(backend: Backend, *, remove: bool) -> Swept:
    """Look at every object; remove those that no row names, or only count them.

    While objects are removed nobody can claim or commit.

    Raises:
        WorkUnderWayError: something is being made, so that its objects may be there before their rows.
        StorageError: the database or the object store cannot be used.
    """
    stored = list(backend.objects.stored())
    with backend.database.unit_of_work() as session:
        hold_work(session)
        lost = list(unnamed(session, stored))
        if remove:
            for each in lost:
                backend.objects.remove(each.digest)
    return Swept(len(stored), len(lost), sum(each.bytes for each in lost), remove)
