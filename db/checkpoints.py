"""Checkpoints of the ledger, kept outside the database: whoever rewrites the log cannot rewrite these with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from db.database import Session
from db.errors import CheckpointError
from db.ledger import TreeHead, consistency_proof, tree_head
from db.merkle import verify_consistency
from db.records import RecordStore
from db.signed_notes import NoteSigner, NoteVerifier, read_checkpoint, write_checkpoint

_FOLDER: Final = "checkpoints"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint: what it says, the note that says it, and where it is kept."""

    head: TreeHead
    note: str
    where: str


def newest_checkpoint(origin: str, verifier: NoteVerifier, places: Sequence[RecordStore]) -> Checkpoint | None:
    """Return the checkpoint of a log with the most entries, over all places; None if there is none anywhere.

    Raises:
        CheckpointError: one of the newest is damaged or signed by somebody else; the message says where it is.
        ObjectStoreError: a place cannot be read.
    """
    found = [_kept(origin, verifier, place, names[-1]) for place in places if (names := place.names(_folder(origin)))]
    return max(found, key=lambda each: each.head.size, default=None)


def every_checkpoint(
    origin: str, verifier: NoteVerifier, places: Sequence[RecordStore]
) -> tuple[list[Checkpoint], list[CheckpointError]]:
    """Return all checkpoints of a log that are kept anywhere, and what is wrong with those that are damaged.

    Raises:
        ObjectStoreError: a place cannot be read.
    """
    whole: list[Checkpoint] = []
    damaged: list[CheckpointError] = []
    for place in places:
        for name in place.names(_folder(origin)):
            try:
                whole.append(_kept(origin, verifier, place, name))
            except CheckpointError as error:
                damaged.append(error)
    return whole, damaged


def check_against(session: Session, checkpoint: Checkpoint) -> TreeHead:
    """See that the log still begins as a checkpoint says; return the log's head now.

    Raises:
        CheckpointError: it is another log, or its history was changed.
        LedgerError: stored hashes are missing.
    """
    now, then = tree_head(session), checkpoint.head
    if now is None or now.origin != then.origin:
        name = "an empty log" if now is None else now.origin
        raise CheckpointError(f"the ledger is {name}, the checkpoint {checkpoint.where} is of {then.origin}")
    if now.size < then.size:
        raise CheckpointError(
            f"the ledger has {now.size} entries, the checkpoint {checkpoint.where} {then.size}: some were removed"
        )
    proof = consistency_proof(session, then.size, now.size)
    if not verify_consistency(then.size, now.size, then.root, now.root, proof):
        raise CheckpointError(
            f"the first {then.size} entries of the ledger are not those of the checkpoint {checkpoint.where}: "
            "its history was changed"
        )
    return now


def sign_checkpoint(session: Session, signer: NoteSigner, places: Sequence[RecordStore]) -> Checkpoint | None:
    """Sign the log as it is now and keep the checkpoint in all places; None for a log without entries.

    A log that contradicts the last checkpoint is not signed.

    Raises:
        CheckpointError: it contradicts it, or a checkpoint is damaged.
        LedgerError: the log contradicts itself.
        ObjectStoreError: a place cannot be used.
    """
    if (head := tree_head(session)) is None:
        return None
    last = newest_checkpoint(head.origin, signer.verifier, places)
    if last is not None:
        head = check_against(session, last)
    note = write_checkpoint(head, signer)
    for place in places:
        place.put(_name(head), note.encode())
    return Checkpoint(head, note, str(places[0]) if places else "")


def read_note(note: str, verifier: NoteVerifier, where: str) -> Checkpoint:
    """Return a checkpoint that somebody hands in.

    Raises:
        CheckpointError: it is none, or this key has not signed it.
    """
    try:
        return Checkpoint(read_checkpoint(note, verifier), note, where)
    except CheckpointError as error:
        raise CheckpointError(f"the checkpoint {where}: {error}") from None


def _kept(origin: str, verifier: NoteVerifier, place: RecordStore, name: str) -> Checkpoint:
    where = f"{place}/{name}"
    found = read_note(place.get(name).decode("utf-8", "replace"), verifier, where)
    if found.head.origin != origin or _name(found.head) != name:
        raise CheckpointError(
            f"the checkpoint {where} is of {found.head.origin} at {found.head.size}: it was moved there"
        )
    return found


def _folder(origin: str) -> str:
    """A name for the folder that no origin can lead out of."""
    return f"{_FOLDER}/{hashlib.sha256(origin.encode()).hexdigest()[:16]}"


def _name(head: TreeHead) -> str:
    return f"{_folder(head.origin)}/{head.size:012d}.note"
