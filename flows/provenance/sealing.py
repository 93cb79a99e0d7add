"""Signing the ledger as it is, and keeping the checkpoint outside the database."""

from __future__ import annotations

from db.checkpoints import Checkpoint, sign_checkpoint
from db.records import FolderRecords
from flows.keys import load_keys
from flows.services import Backend, Services


def seal(services: Services, backend: Backend) -> Checkpoint | None:
    """Sign a checkpoint and keep it in the object store and in the folder of checkpoints.

    A log that does not begin as the last checkpoint says is not signed.

    Raises:
        KeysError: the key of the log cannot be used.
        CheckpointError: the log contradicts the last checkpoint.
        StorageError: the database or a place for checkpoints cannot be used.
    """
    keys = load_keys(services.settings)
    places = [backend.objects.records, FolderRecords(services.settings.checkpoint_folder)]
    with backend.database.unit_of_work() as session:
        return sign_checkpoint(session, keys.log, places)
