"""Files that pieces are made from: read and looked at when an order is checked, stored when it is planned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from db.objects import ObjectStore
from flows.errors import OrderError, Place
from flows.files import problem_with, reason

VOICE: Final = "a voice"
TUNE: Final = "a melody"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, its digest, and how long it sounds."""

    path: Path
    digest: str
    duration_s: float
    place: Place

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            OrderError: it is gone, or is another than was looked at.
        """
        from models.digests import digest_of_bytes

        data = _bytes(self.path, self.place)
        if digest_of_bytes(data) != self.digest:
            raise OrderError(self.place, f"{self.path.name} was changed while the order was planned; say it again")
        return data


@dataclass(slots=True)
class InputFiles:
    """The input files of an order; each is read once, however many tracks use it."""

    by_digest: dict[str, InputFile] = field(default_factory=dict)
    _by_path: dict[Path, InputFile] = field(default_factory=dict)

    def recording(self, path: Path, role: str, place: Place) -> InputFile:
        """Return a file with a recording of `role`, such as "a melody".

        Raises:
            OrderError: it is not there, or nothing can be made from it.
        """
        if path not in self._by_path:
            from models.recording import RecordingError, read_recording

            try:
                heard = read_recording(_bytes(path, place), role)
            except RecordingError as error:
                raise OrderError(place, _told(path, place, str(error))) from None
            found = InputFile(path.absolute(), heard.digest, heard.duration_s, place)
            self._by_path[path] = found
            self.by_digest.setdefault(found.digest, found)
        return self._by_path[path]


def store_missing(objects: ObjectStore, files: Iterable[InputFile]) -> None:
    """Store those files that are not in the object store.

    Raises:
        OrderError: one is gone, or is another than was looked at.
        ObjectStoreError: and its kinds, when the store cannot be used.
    """
    for file in files:
        if not objects.exists(file.digest):
            objects.put(file.read())


def _bytes(path: Path, place: Place) -> bytes:
    if (problem := problem_with(path)) is not None:
        raise OrderError(place, _told(path, place, problem))
    try:
        return path.read_bytes()
    except OSError as error:
        raise OrderError(place, _told(path, place, f"cannot be read: {reason(error)}")) from None


def _told(path: Path, place: Place, problem: str) -> str:
    """Name the file, unless the place does."""
    return problem if place.file == path else f"{path}: {problem}"
