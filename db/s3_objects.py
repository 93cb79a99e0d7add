"""Objects on any S3 server, through minio's client.

An object's name is its content's digest, so two writers of one name write the same bytes: no conditional write is
needed. One that is there already is not sent again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from db.digests import StoredObject, digest_at, digest_of, sharded
from db.errors import (
    CorruptObjectError,
    MissingBucketError,
    MissingObjectError,
    ObjectCredentialsError,
    ObjectsAddressError,
    ObjectStoreError,
    ObjectStoreUnavailableError,
)
from db.s3_access import S3Access

_SIDE_BY_SIDE: Final = 8
_REFUSED: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "RequestTimeTooSkewed"}
)


class S3Objects:
    """A bucket of objects, below an optional prefix. The bucket must be there; it is never created."""

    def __init__(self, bucket: str, access: S3Access, prefix: str = "") -> None:
        if not access.access_key or not access.secret_key:
            raise ObjectCredentialsError(f"s3://{bucket} needs an access key and a secret key")
        endpoint = urlsplit(access.endpoint or "https://s3.amazonaws.com")
        if endpoint.scheme not in ("http", "https") or not endpoint.netloc or endpoint.path.strip("/"):
            raise ObjectsAddressError(f"{access.endpoint!r} is no S3 endpoint: write http(s)://host:port")
        self._endpoint = endpoint.geturl()
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        try:
            self._client = Minio(
                endpoint.netloc,
                access_key=access.access_key,
                secret_key=access.secret_key,
                secure=endpoint.scheme == "https",
                region=access.region,  # given, so that it is not asked for before each first request
                http_client=_http(),
            )
        except ValueError as error:
            raise ObjectsAddressError(f"{access.endpoint!r} is no S3 endpoint: {error}") from error
        self._senders = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="s3")

    @property
    def records(self) -> S3Records:
        """What is kept here under names of its own."""
        return S3Records(self)

    def put(self, data: bytes) -> str:
        """Store and return the digest.

        Raises:
            ObjectStoreError: and its kinds, when the server does not take it.
        """
        digest = digest_of(data)
        with self._explained():
            if self._size(digest) != len(data):
                self._client.put_object(self._bucket, self._key(digest), BytesIO(data), len(data))
        return digest

    def put_many(self, items: Sequence[bytes]) -> list[str]:
        """Store many, some at a time; digests in the order given.

        Raises:
            ObjectStoreError: and its kinds; some of the items may then be stored already.
        """
        contents = {digest_of(item): item for item in items}
        stored = dict(zip(contents, self._senders.map(self.put, contents.values()), strict=True))
        return [stored[digest_of(item)] for item in items]

    def get(self, digest: str) -> bytes:
        """Return the bytes, checked against the digest.

        Raises:
            MissingObjectError: there is no such object.
            CorruptObjectError: the bytes there do not have this digest.
            ObjectStoreError: and its other kinds, when the server does not give it.
        """
        data = self._read(self._key(digest))
        if digest_of(data) != digest:
            raise CorruptObjectError(
                f"the object {self.locate(digest)} is damaged: its {len(data)} bytes have another digest"
            )
        return data

    def exists(self, digest: str) -> bool:
        """Say whether there is an object under this digest.

        Raises:
            ObjectStoreError: and its kinds, when the server does not say.
        """
        with self._explained():
            return self._size(digest) is not None

    def locate(self, digest: str) -> str:
        """Return the s3:// address of an object."""
        return f"s3://{self._bucket}/{self._key(digest)}"

    def stored(self) -> Iterator[StoredObject]:
        """Yield what is there below our prefix, in no order.

        Raises:
            ObjectStoreError: and its kinds, when the server does not list it.
        """
        with self._explained():
            for found in self._client.list_objects(self._bucket, prefix=f"{self._prefix}sha256/", recursive=True):
                if (digest := digest_at(found.object_name)) is not None:
                    yield StoredObject(digest, found.size)

    def remove(self, digest: str) -> None:
        """Remove an object, if it is there.

        Raises:
            ObjectStoreError: and its kinds, when the server does not do so.
        """
        with self._explained():
            self._client.remove_object(self._bucket, self._key(digest))

    def check(self) -> None:
        """See that the endpoint answers, takes the credentials and has the bucket.

        Raises:
            ObjectStoreUnavailableError: the endpoint does not answer.
            ObjectCredentialsError: the credentials are refused.
            MissingBucketError: there is no such bucket.
        """
        with self._explained():
            # A listing, as its errors come with their reason; a HEAD request's come without.
            next(iter(self._client.list_objects(self._bucket, prefix=self._prefix)), None)

    def put_record(self, name: str, data: bytes) -> None:
        """See `RecordStore.put`."""
        key = f"{self._prefix}records/{name}"
        with self._explained():
            if self._size_of(key) is None:
                self._client.put_object(self._bucket, key, BytesIO(data), len(data))

    def get_record(self, name: str) -> bytes:
        """See `RecordStore.get`."""
        return self._read(f"{self._prefix}records/{name}")

    def locate_record(self, name: str) -> str:
        """Return the s3:// address of a record."""
        return f"s3://{self._bucket}/{self._prefix}records/{name}".rstrip("/")

    def record_names(self, below: str) -> list[str]:
        """See `RecordStore.names`."""
        first = f"{self._prefix}records/"
        with self._explained():
            listed = self._client.list_objects(self._bucket, prefix=f"{first}{below}/", recursive=True)
            return sorted(str(each.object_name).removeprefix(first) for each in listed)

    def _key(self, digest: str) -> str:
        return self._prefix + sharded(digest)

    def _read(self, key: str) -> bytes:
        with self._explained():
            try:
                response = self._client.get_object(self._bucket, key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    raise MissingObjectError(f"there is no object s3://{self._bucket}/{key}") from None
                raise
            try:
                data: bytes = response.read()
            finally:
                response.close()
                response.release_conn()
        return data

    def _size(self, digest: str) -> int | None:
        return self._size_of(self._key(digest))

    def _size_of(self, key: str) -> int | None:
        try:
            size: int | None = self._client.stat_object(self._bucket, key).size
        except S3Error as error:
            if error.code == "NoSuchKey":  # also what a missing bucket looks like here; a put then says so
                return None
            raise
        return size

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"s3://{self._bucket} at {self._endpoint}"
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchBucket":
                raise MissingBucketError(f"there is no bucket {self._bucket!r} at {self._endpoint}") from error
            if error.code in _REFUSED:
                raise ObjectCredentialsError(f"{where} refuses the credentials: {error.code}") from error
            raise ObjectStoreError(f"{where}: {error.code}: {error.message}") from error
        except MinioException as error:
            raise ObjectStoreError(f"{where} does not speak S3: {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ObjectStoreUnavailableError(f"{where} does not answer: {error}") from error


class S3Records:
    """Records in a bucket. A bucket with object lock and a default retention keeps them from everybody."""

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects
        self.put, self.get, self.names = objects.put_record, objects.get_record, objects.record_names

    def __str__(self) -> str:
        return self._objects.locate_record("")


def _http() -> urllib3.PoolManager:
    """Return a client that gives up in seconds; minio's own waits 5 minutes, 5 times."""
    return urllib3.PoolManager(
        maxsize=_SIDE_BY_SIDE,
        timeout=urllib3.Timeout(connect=3.0, read=30.0),
        retries=urllib3.Retry(total=3, connect=1, read=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
