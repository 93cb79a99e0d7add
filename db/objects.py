"""Objects: bytes under the digest of their content, in a folder or on any S3 server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from db.digests import StoredObject, digest_of
from db.errors import ObjectsAddressError
from db.local_objects import LocalObjects
from db.records import RecordStore
from db.s3_access import S3Access

__all__ = ["LocalObjects", "ObjectStore", "S3Access", "StoredObject", "digest_of", "open_objects"]

_S3: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")


class ObjectStore(Protocol):
    """Keeps bytes under "sha256:" + their hex SHA-256. Safe to use from several threads and processes."""

    @property
    def records(self) -> RecordStore:
        """What is kept here under names of its own."""
        ...

    def put(self, data: bytes) -> str:
        """Store durably and return the digest; storing the same twice is storing it once.

        Raises:
            ObjectStoreError: and its kinds, when the store cannot be written.
        """
        ...

    def put_many(self, items: Sequence[bytes]) -> list[str]:
        """Store many at once, durably, much faster than one by one; digests in the order given.

        Raises:
            ObjectStoreError: and its kinds; some of the items may then be stored already.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes, checked against the digest.

        Raises:
            MissingObjectError: there is no such object.
            CorruptObjectError: the bytes there do not have this digest.
        """
        ...

    def exists(self, digest: str) -> bool:
        """Say whether there is an object under this digest; its bytes are not read."""
        ...

    def locate(self, digest: str) -> str:
        """Return the path or the s3:// address of an object, whether or not it is there."""
        ...

    def stored(self) -> Iterator[StoredObject]:
        """Yield what is there, in no order.

        Raises:
            ObjectStoreError: and its kinds, when the store cannot be listed.
        """
        ...

    def remove(self, digest: str) -> None:
        """Remove an object; one that is not there is none to remove.

        Raises:
            ObjectStoreError: and its kinds, when the store cannot be written.
        """
        ...

    def check(self) -> None:
        """See that the store can be used; cheap enough for every start of a command.

        Raises:
            ObjectStoreUnavailableError: the endpoint does not answer.
            ObjectCredentialsError: the credentials are refused.
            MissingBucketError: there is no such bucket.
            ObjectStoreError: anything else that makes it unusable, e.g. a folder that cannot be written.
        """
        ...


def open_objects(spec: str | Path, access: S3Access | None = None) -> ObjectStore:
    """Return the store that `spec` names: a folder, or s3://bucket[/prefix]. Nothing is touched yet.

    Raises:
        ObjectsAddressError: the spec is neither, or the endpoint is none.
        ObjectCredentialsError: an S3 spec has no credentials.
    """
    if "://" not in str(spec):
        return LocalObjects(Path(spec))
    if (match := _S3.fullmatch(str(spec))) is None:
        raise ObjectsAddressError(f"{spec}: objects go into a folder or s3://bucket[/prefix]")
    from db.s3_objects import S3Objects  # minio's client: a quarter of what a command that reads would import

    return S3Objects(match["bucket"], access or S3Access(), prefix=match["prefix"] or "")
