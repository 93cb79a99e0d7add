"""Recalls: what a model, an input or a training item went into, and taking all of it off the shelves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from db.assets import assets_with_ids, catalogues_of
from db.database import Session
from db.finding import ids_beginning
from db.prefixes import SHORTEST_PREFIX
from db.recalls import (
    Touched,
    assets_told,
    is_input,
    models_named,
    models_trained_on,
    note_erasure,
    touched_by,
    withdraw,
)
from flows.errors import FlowError
from flows.provenance.sealing import seal
from flows.services import Backend, Services
from flows.shelf import asset_folder_name

_ASSET: Final = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class RecallError(FlowError):
    """Nothing is known by that name, or it is nothing that can be erased."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What something went into: `digests` are the models or inputs that it means."""

    subject: str
    digests: Sequence[str]
    touched: Sequence[Touched]


def find(session: Session, subject: str) -> Recall:
    """Find what a model (name or name@digest), an input (digest), a training item or an asset (id) went into.

    Raises:
        RecallError: nothing is known by that name.
    """
    assets: list[str] = []
    if _DIGEST.fullmatch(subject):
        digests = [subject, *(digest for _, digest in models_trained_on(session, subject))]
    else:
        digests = models_named(session, subject) or [digest for _, digest in models_trained_on(session, subject)]
    if not digests and _ASSET.fullmatch(subject):
        assets = ids_beginning(session, subject)
    if not digests and not assets:
        raise RecallError(
            f"no model, no training item and no asset is called {subject!r}; an input goes by its sha256:… digest"
        )
    if len(assets) > 1:
        raise RecallError(f"several assets begin with {subject!r}")
    return Recall(subject, digests, touched_by(session, digests, assets))


def find_told(session: Session, pattern: str) -> Recall:
    """Find the assets whose prompt is like a pattern (* any text, ? any letter), and what they went into.

    Raises:
        RecallError: no prompt is like it.
    """
    if not (assets := assets_told(session, pattern)):
        raise RecallError(f"no asset has a prompt like {pattern!r}; write '*{pattern}*' for prompts that contain it")
    return Recall(pattern, [], touched_by(session, [], assets))


def withdraw_all(services: Services, backend: Backend, recall: Recall, reason: str) -> list[str]:
    """Take everything a recall found off catalogues and shelves; return what was not off catalogues yet.

    What was withdrawn before leaves the shelves too: a command that was killed may have left it there.

    Raises:
        StorageError: the database cannot be changed.
        FlowError: the ledger cannot be signed.
    """
    with backend.database.unit_of_work() as session:
        withdrawn = withdraw(session, [each.asset for each in recall.touched], reason)
    if services.has_shelves:
        _unshelve(services, backend, [each.asset for each in recall.touched])
    seal(services, backend)
    return withdrawn


def check_input(session: Session, digest: str) -> None:
    """See that this can be erased.

    Raises:
        RecallError: it is no input.
    """
    if not is_input(session, digest):
        raise RecallError(f"{digest} is no input that assets were made from; only inputs can be erased")


def erase_input(services: Services, backend: Backend, digest: str, reason: str) -> None:
    """Erase the bytes of an input for good. What was made from it, and the proof of that, stays.

    Raises:
        RecallError: it is no input.
        StorageError: the object cannot be removed.
    """
    with backend.database.unit_of_work() as session:
        check_input(session, digest)
        note_erasure(session, digest, reason)
    backend.objects.remove(digest)
    seal(services, backend)


def _unshelve(services: Services, backend: Backend, ids: Sequence[str]) -> None:
    with backend.database.unit_of_work() as session:
        assets, catalogues = assets_with_ids(session, ids), catalogues_of(session, ids)
    for asset in assets:
        for catalogue in catalogues[asset.id]:
            folder = services.shelf(catalogue) / asset_folder_name(asset)
            if folder.is_dir():
                shutil.rmtree(folder)
