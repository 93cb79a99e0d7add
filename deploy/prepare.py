"""Make ready what the settings name, once before anything runs: the bucket, and the database's tables.

Safe to run again and by several at once. Everything is waited for a little, since servers start together.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from minio import Minio
from minio.error import S3Error

from db.errors import MissingBucketError, StorageError
from flows.services import Services
from flows.settings import load_settings

_PATIENCE_S = 60.0


def make_bucket(services: Services) -> None:
    """Make the bucket of TUTTI_OBJECTS unless it is there; a folder is made by Tutti itself."""
    if services.has_shelves:
        return
    try:
        services.objects().check()
    except MissingBucketError:
        access = services.s3_access()
        endpoint = urlsplit(access.endpoint or "https://s3.amazonaws.com")
        client = Minio(
            endpoint.netloc,
            access.access_key,
            access.secret_key,
            secure=endpoint.scheme == "https",
            region=access.region,
        )
        try:
            client.make_bucket(urlsplit(services.settings.objects_at).netloc)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        services.objects().check()


def make_tables(services: Services) -> None:
    """Bring the database to the schema of this version."""
    with services.open():
        pass


def patiently(work: Callable[[Services], None], services: Services) -> None:
    """Do the work, again for up to a minute while a server is not ready.

    Raises:
        StorageError: it still is not.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return work(services)
        except StorageError:
            if time.monotonic() > until:
                raise
        time.sleep(1)


def main() -> int:
    """Prepare; say in one line what is wrong if something is."""
    services = Services(load_settings())
    try:
        patiently(make_bucket, services)
        patiently(make_tables, services)
    except StorageError as error:
        sys.stderr.write(f"prepare: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
