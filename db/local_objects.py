"""Objects in a local folder.

An object is written to a temporary file, forced to the disk, renamed to its place, and its folder forced to the
disk: after a crash it is there in full or not at all. `put_many` does each of these steps for the whole group,
with the waits for the disk side by side, so that the file system's journal is written few times.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from db.digests import StoredObject, digest_at, digest_of, sharded
from db.disk import force_folder, make_folder, write_forced
from db.errors import CorruptObjectError, MissingObjectError, ObjectStoreError
from db.records import FolderRecords

_SIDE_BY_SIDE: Final = 16
_ABANDONED_S: Final = 3600.0


class LocalObjects:
    """A folder of objects; several processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self._temporary = self._root / "tmp"
        # Threads start with the first put.
        self._disk = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="objects")

    @property
    def records(self) -> FolderRecords:
        """What is kept here under names of its own."""
        return FolderRecords(self._root / "records")

    def put(self, data: bytes) -> str:
        """Store durably and return the digest.

        Raises:
            ObjectStoreError: the folder cannot be written.
        """
        return self.put_many([data])[0]

    def put_many(self, items: Sequence[bytes]) -> list[str]:
        """Store many at once, durably; digests in the order given.

        Raises:
            ObjectStoreError: the folder cannot be written; some of the items may then be stored already.
        """
        digests = [digest_of(item) for item in items]
        contents = dict(zip(digests, items, strict=True))
        with _explained(self._root):
            self._make_folders()
            # One that is there has been forced to the disk, but perhaps its folder not yet, by another process.
            new = {digest: data for digest, data in contents.items() if not self._is_whole(digest, len(data))}
            temporary = {digest: self._temporary / secrets.token_hex(16) for digest in new}
            try:
                self._side_by_side(write_forced, [(temporary[digest], data) for digest, data in new.items()])
                for digest, path in temporary.items():
                    path.rename(self._path(digest))
            except BaseException:
                for path in temporary.values():
                    path.unlink(missing_ok=True)
                raise
            folders = {self._path(digest).parent for digest in contents}
            self._side_by_side(force_folder, [(folder,) for folder in folders])
        return digests

    def get(self, digest: str) -> bytes:
        """Return the bytes, checked against the digest.

        Raises:
            MissingObjectError: there is no such object.
            CorruptObjectError: the bytes there do not have this digest.
        """
        path = self._path(digest)
        with _explained(self._root):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise MissingObjectError(f"there is no object {digest} in {self._root}") from None
        if digest_of(data) != digest:
            raise CorruptObjectError(f"the object {path} is damaged: its {len(data)} bytes have another digest")
        return data

    def exists(self, digest: str) -> bool:
        """Say whether there is an object under this digest."""
        return self._path(digest).is_file()

    def locate(self, digest: str) -> str:
        """Return the path of an object."""
        return str(self._path(digest))

    def stored(self) -> Iterator[StoredObject]:
        """Yield what is there, in no order.

        Raises:
            ObjectStoreError: the folder cannot be read.
        """
        with _explained(self._root):
            for path in (self._root / "sha256").glob("??/*"):
                if (digest := digest_at(path.as_posix())) is not None:
                    yield StoredObject(digest, path.stat().st_size)

    def remove(self, digest: str) -> None:
        """Remove an object, if it is there.

        Raises:
            ObjectStoreError: the folder cannot be written.
        """
        with _explained(self._root):
            self._path(digest).unlink(missing_ok=True)

    def check(self) -> None:
        """See that the folder can be written, and clear away what crashed writers left long ago.

        Raises:
            ObjectStoreError: it cannot.
        """
        with _explained(self._root):
            self._make_folders()
            probe = self._temporary / secrets.token_hex(16)
            write_forced(probe, b"probe")
            probe.unlink()
            before = time.time() - _ABANDONED_S
            for path in self._temporary.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def _path(self, digest: str) -> Path:
        return self._root / sharded(digest)

    def _is_whole(self, digest: str, size: int) -> bool:
        try:
            return self._path(digest).stat().st_size == size
        except FileNotFoundError:
            return False

    def _make_folders(self) -> None:
        """Make every folder there will ever be, once, so that a put has no others to force to the disk."""
        if (self._root / "sha256" / "ff").is_dir() and self._temporary.is_dir():
            return
        make_folder(self._root)
        shards = [self._root / "sha256" / f"{number:02x}" for number in range(256)]
        for folder in (self._temporary, *shards):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self._root / "sha256", self._root):
            force_folder(folder)

    def _side_by_side(self, step: Callable[..., None], calls: Sequence[tuple[object, ...]]) -> None:
        """Make all these calls, dealt out to threads; raise the first error once every thread has ended."""

        def work(share: Sequence[tuple[object, ...]]) -> None:
            for arguments in share:
                step(*arguments)

        if len(calls) == 1:
            step(*calls[0])
            return
        shares = [
            self._disk.submit(work, calls[first::_SIDE_BY_SIDE]) for first in range(min(len(calls), _SIDE_BY_SIDE))
        ]
        wait(shares)
        for share in shares:
            share.result()


@contextlib.contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ObjectStoreError(f"the object folder {root} cannot be used: {error}") from error
