"""Records: small texts kept under a name, never written over. Objects have the names of their content; these do not.

Checkpoints of the ledger are kept so, in the object store and in a folder: outside the database they vouch for.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from db.disk import force_folder, make_folder, write_forced
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
        folders = [path.parent, *path.parent.parents]
        try:
            make_folder(path.parent)
            partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            try:
                write_forced(partial, data, 0o444)
                with suppress(FileExistsError):
                    path.hardlink_to(partial)  # unlike a rename it fails where one is
            finally:
                partial.unlink(missing_ok=True)
            for folder in folders[: folders.index(self._root) + 1]:  # one that another process made just now, too
                force_folder(folder)
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
