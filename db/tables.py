"""The tables. What a column means is said here; the migrations make them, and a test holds the two together.

Recipe and asset ids are the 64 hex digits of a recipe's SHA-256; digests are "sha256:" + 64 hex digits. Both are
compared byte by byte (collation "C"), so that a prefix is a range of the primary key on any server.

The tables that a plan fills by the million (recipes, run_items, work) have no foreign keys among themselves: a
plan writes all three from one set in one transaction, rows are never deleted, and the checks would double its
time.
"""

from __future__ import annotations

from typing import Final

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
    }
)

_ID: Final = String(64, collation="C")
_DIGEST: Final = String(71, collation="C")
_NAME: Final = String(200)
_TIME: Final = DateTime(timezone=True)


def _one_of(column: str, *values: str) -> CheckConstraint:
    """Restrict a text column to these values: easier to extend than a native enum."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


model_versions = Table(
    "model_versions",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("card", JSONB, nullable=False),
    Column("registered_at", _TIME, nullable=False, server_default=func.now()),
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("started_at", _TIME, nullable=False, server_default=func.now()),
    Column("finished_at", _TIME),
    Column("metrics", JSONB, nullable=False, server_default=text("'{}'")),
    Column("model_digest", _DIGEST, ForeignKey("model_versions.digest")),
)

catalogues = Table(
    "catalogues",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(12, collation="C"), primary_key=True),
    Column("catalogue", _NAME, ForeignKey("catalogues.name"), nullable=False, index=True),
    Column("order", JSONB, nullable=False),
    Column("order_digest", _DIGEST, nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    Column("finished_at", _TIME),
    Column("wall_s", Double),  # summed over resumes
    Column("planned", BigInteger, nullable=False),
    Column("reused", BigInteger, nullable=False),
    Column("driver", String(12)),  # the process that took it last, to work it off
    Column("driven_until", _TIME),  # by that process, as far as it has said
    _one_of("state", "running", "stopped", "done", "failed", "cancelled"),
)

recipes = Table(
    "recipes",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("model_digest", _DIGEST, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("body", JSONB, nullable=False),
)

run_items = Table(
    "run_items",
    metadata,
    # In this order the key also finds the runs that want a recipe.
    Column("recipe_id", _ID, primary_key=True),
    Column("run_id", String(12, collation="C"), primary_key=True, index=True),
    Column("position", BigInteger, nullable=False),
    # Still to be made: true exactly while the recipe's work is queued or claimed. A worker finds its next rows
    # through the index on open items, which shrinks as the run goes on.
    Column("open", Boolean, nullable=False),
    Index("run_items_open_idx", "run_id", "position", postgresql_where=text("open")),
)

work = Table(
    "work",
    metadata,
    Column("recipe_id", _ID, primary_key=True),
    Column("state", String(16), nullable=False, server_default="queued"),
    Column("attempt", SmallInteger, nullable=False, server_default="0"),  # raised by each claim
    Column("owner", Text),
    Column("lease_until", _TIME),
    Column("error", Text),
    Column("traceback", Text),
    _one_of("state", "queued", "claimed", "done", "failed"),
    CheckConstraint(
        "(state = 'claimed') = (owner IS NOT NULL) AND (owner IS NULL) = (lease_until IS NULL)", name="lease"
    ),
    # Both are small: what is being made now, and what was set aside. The lease is in no index and the table's
    # fillfactor is 70 (see the migration), so that a heartbeat's updates stay on their page (HOT).
    Index("work_claimed_idx", "owner", postgresql_where=text("state = 'claimed'")),
    Index("work_failed_idx", "recipe_id", postgresql_where=text("state = 'failed'")),
)

assets = Table(
    "assets",
    metadata,
    Column("id", _ID, ForeignKey("recipes.id"), primary_key=True),
    Column("digest", _DIGEST, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    Column("worker", Text, nullable=False),
    Column("code_version", _NAME, nullable=False),
    Column("numeric_profile", JSONB, nullable=False),
    Column("words", TSVECTOR, nullable=False),  # of the prompt (weight A) and the texts in attributes (B)
    Index("assets_digest_idx", "digest"),
    Index("assets_created_at_idx", "created_at", "id"),
    Index("assets_words_idx", "words", postgresql_using="gin"),
)

asset_files = Table(
    "asset_files",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("role", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("digest", _DIGEST, nullable=False),
    Column("media_type", _NAME, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("unsigned_digest", _DIGEST),  # of the file before a manifest was embedded in it; null where none was
    CheckConstraint("bytes >= 0", name="bytes"),
    Index("asset_files_digest_idx", "digest"),
    Index("asset_files_unsigned_digest_idx", "unsigned_digest", postgresql_where=text("unsigned_digest IS NOT NULL")),
)

stage_executions = Table(
    "stage_executions",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("stage", _NAME, nullable=False),
    Column("input_digest", _DIGEST, nullable=False),
    Column("output_digest", _DIGEST, nullable=False),
    Column("numeric_profile", JSONB, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("wall_s", Double, nullable=False),
    Column("detail", JSONB, nullable=False),
)

lineage_edges = Table(
    "lineage_edges",
    metadata,
    Column("child", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("parent", _DIGEST, primary_key=True),
    Column("role", _NAME, primary_key=True),
    Index("lineage_edges_parent_idx", "parent"),
)

# What was taken off catalogues; the reason is in the ledger as well.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("withdrawn_at", _TIME, nullable=False, server_default=func.now()),
)

# Triggers refuse every UPDATE, DELETE and TRUNCATE of these two.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("subject", _DIGEST, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    CheckConstraint("octet_length(leaf_hash) = 32", name="leaf_hash"),
    Index("ledger_entries_subject_idx", "subject"),
)

ledger_nodes = Table(
    "ledger_nodes",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
)

_LISTENER: Final = String(200, collation="C")


def _of_a_listener() -> ForeignKey:
    """What is a person's goes with the person."""
    return ForeignKey("listeners.name", ondelete="CASCADE")


# `salt` is 64 hex digits of chance: a playlist's ledger entry holds a hash with it, which nobody can tell a
# person from once the row is gone. Without `consented_at` nothing is kept or made for a listener.
listeners = Table(
    "listeners",
    metadata,
    Column("name", _LISTENER, primary_key=True),
    Column("time_zone", _NAME, nullable=False),
    Column("sentence", Text),  # what they like, in words: their taste until there are events
    Column("salt", _ID, nullable=False),
    Column("consented_at", _TIME),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
)

listening_events = Table(
    "listening_events",
    metadata,
    Column("listener", _LISTENER, _of_a_listener(), primary_key=True),
    Column("heard_at", _TIME, primary_key=True),
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("ingested_at", _TIME, nullable=False, server_default=func.now()),
    _one_of("kind", "completed", "skipped", "liked", "hated"),
)

# Where an asset lies in the joint space of a MusicLM version, and its tempo, key ("C minor") and liveliness.
content_vectors = Table(
    "content_vectors",
    metadata,
    Column("asset_id", _ID, ForeignKey("assets.id"), primary_key=True),
    Column("model_digest", _DIGEST, primary_key=True),
    Column("vector", VECTOR, nullable=False),
    Column("tempo_bpm", Double, nullable=False),
    Column("key", String(16)),
    Column("energy", Double, nullable=False),
    Column("made_at", _TIME, nullable=False, server_default=func.now()),
)

# `body` is the canonical JSON whose digest is `digest`; `as_of` says which rows it was made from: those of then. From
# `pruned_at` on it is without tracks and candidates; the digest stays that of the whole, which can be made again.
playlists = Table(
    "playlists",
    metadata,
    Column("listener", _LISTENER, _of_a_listener(), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("body", Text, nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("as_of", _TIME, nullable=False),
    Column("pruned_at", _TIME),
)

# What the clock tries again some times only: a listener's playlist of a date that could not be made.
playlist_failures = Table(
    "playlist_failures",
    metadata,
    Column("listener", _LISTENER, _of_a_listener(), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("tries", SmallInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("failed_at", _TIME, nullable=False, server_default=func.now()),
)

# Written before the run that makes the pieces, so no foreign key to recipes. `personal` opens the commitment in the
# recipe (see models/personal.py): it is all of the listener's taste that is kept of a piece, and goes with them.
pieces_made_for = Table(
    "pieces_made_for",
    metadata,
    Column("recipe_id", _ID, primary_key=True),
    Column("listener", _LISTENER, _of_a_listener(), nullable=False, index=True),
    Column("date", Date, nullable=False),
    Column("run_id", String(12, collation="C"), nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("personal", JSONB, nullable=False),
    Column("body", Text, nullable=False),  # of the recipe: what the run is planned from, should it be killed before
    Index("pieces_made_for_date_idx", "date"),
)
