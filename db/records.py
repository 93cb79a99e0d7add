"""Records: small texts kept under a name, never written over. Objects have the names of their content; these do not.

Checkpoints of the ledger are kept so, in the object store and in a folder: outside the database they vouch for.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol

from db.errors import MissingObjectError, ObjectStoreError


class RecordStore(Protocol):
    """Keeps records; a name is lower case with slashes, such as checkpoints/log/000000000012.note."""

    def put(self, name: str, data: bytes) -> None:
        """Keep a record; one that is there already is left as it is.

        Raises:
            ObjectStoreError: and its kinds, when the store cannot be written.
        """
        ...

    def get(self, name: str) -> bytes:
        """Return a record.

        Raises:
            MissingObjectError: there is none of this name.
        """
        ...

    def names(self, below: str) -> list[str]:
        """Return the names of all records below a folder, sorted.

        Raises:
            ObjectStoreError: and its kinds, when the store does not answer.
        """
        ...

    def __str__(self) -> str:
        """Say where this is."""
        ...


class FolderRecords:
    """Records as read-only files in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        """Keep a record, forced to the disk; see `RecordStore.put`."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            try:
                os.write(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
            try:
                path.hardlink_to(partial)  # unlike a rename it fails where one is
            except FileExistsError:
                pass
            finally:
                partial.unlink()
        except OSError as error:
            raise ObjectStoreError(f"{path} cannot be written: {error}") from error

    def get(self, name: str) -> bytes:
        """Return a record; see `RecordStore.get`."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            raise MissingObjectError(f"there is no {self._root / name}") from None
        except OSError as error:
            raise ObjectStoreError(f"{self._root / name} cannot be read: {error}") from error

    def names(self, below: str) -> list[str]:
        """Return names; see `RecordStore.names`."""
        found = (path for path in (self._root / below).rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def __str__(self) -> str:
        return str(self._root)
