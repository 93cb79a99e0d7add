"""What can go wrong in this package, in words a user can act on."""

from __future__ import annotations


class StorageError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidValueError(StorageError):
    """A value that the database cannot hold (NaN, infinity, a NUL character, a foreign type)."""


# Database


class DatabaseError(StorageError):
    """Base of the database's errors."""


class DatabaseUnavailableError(DatabaseError):
    """The server is away, its address is wrong or it refuses the credentials; trying again may help."""


class DatabaseUrlError(DatabaseUnavailableError):
    """The text given is no PostgreSQL address; trying again does not help."""


class DatabaseConflictError(DatabaseError):
    """The server undid this unit of work in favour of another one: run it again."""


class DatabaseVersionError(DatabaseError):
    """The schema is newer than this code, or is not ours."""


class WorkUnderWayError(DatabaseError):
    """Something is being made at this moment, and what was asked must wait until nothing is."""


class UnknownRunError(DatabaseError):
    """No run, or more than one, has this id or prefix."""


class UnknownCatalogueError(DatabaseError):
    """No catalogue has this name."""


class UnknownAssetError(DatabaseError):
    """No asset, or more than one, has this id or prefix."""


class UnknownModelVersionError(DatabaseError):
    """A model digest that was never registered."""


class UnknownTrainingRunError(DatabaseError):
    """No training run has this id."""


class UnknownListenerError(DatabaseError):
    """No listener has this name."""


class ListenerExistsError(DatabaseError):
    """A listener has this name already."""


class UnknownPlaylistError(DatabaseError):
    """A listener has no playlist, or none of this date."""


# Ledger


class LedgerError(DatabaseError):
    """The ledger contradicts itself: an entry or a stored hash is damaged or missing."""


class UnknownEntryError(LedgerError):
    """The ledger has no such entry."""


class CheckpointError(LedgerError):
    """A checkpoint cannot be read, is signed by somebody else, or tells another history than the ledger."""


# Objects


class ObjectStoreError(StorageError):
    """Base of the object store's errors; bare when a folder cannot be written or a request is refused."""


class ObjectsAddressError(ObjectStoreError):
    """The text given is no folder, s3:// address or S3 endpoint; trying again does not help."""


class ObjectStoreUnavailableError(ObjectStoreError):
    """The endpoint does not answer."""


class ObjectCredentialsError(ObjectStoreError):
    """The endpoint refuses the credentials."""


class MissingBucketError(ObjectStoreError):
    """The endpoint answers, and has no such bucket."""


class MissingObjectError(ObjectStoreError):
    """No object has this digest."""


class CorruptObjectError(ObjectStoreError):
    """The bytes stored under a digest do not have that digest."""


# Embedded PostgreSQL


class PostgresError(StorageError):
    """The embedded PostgreSQL cannot be started or stopped."""
