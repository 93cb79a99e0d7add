"""The ledger, withdrawals, and the digests of files before their manifests."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE ledger_entries (
        index BIGINT NOT NULL,
        kind VARCHAR(32) NOT NULL,
        subject VARCHAR(71) COLLATE "C" NOT NULL,
        body BYTEA NOT NULL,
        leaf_hash BYTEA NOT NULL,
        CONSTRAINT ledger_entries_pkey PRIMARY KEY (index),
        CONSTRAINT ledger_entries_leaf_hash_check CHECK (octet_length(leaf_hash) = 32)
    )
    """,
    "CREATE INDEX ledger_entries_subject_idx ON ledger_entries (subject)",
    """
    CREATE TABLE ledger_nodes (
        level SMALLINT NOT NULL,
        position BIGINT NOT NULL,
        hash BYTEA NOT NULL,
        CONSTRAINT ledger_nodes_pkey PRIMARY KEY (level, position),
        CONSTRAINT ledger_nodes_hash_check CHECK (octet_length(hash) = 32)
    )
    """,
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
    END
    $$
    """,
    *(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()"
        for table in ("ledger_entries", "ledger_nodes")
    ),
    """
    CREATE TABLE withdrawals (
        asset_id VARCHAR(64) COLLATE "C" NOT NULL,
        reason TEXT NOT NULL,
        withdrawn_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT withdrawals_pkey PRIMARY KEY (asset_id),
        CONSTRAINT withdrawals_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES assets (id)
    )
    """,
    'ALTER TABLE asset_files ADD COLUMN unsigned_digest VARCHAR(71) COLLATE "C"',
    """
    CREATE INDEX asset_files_unsigned_digest_idx ON asset_files (unsigned_digest)
    WHERE unsigned_digest IS NOT NULL
    """,
)


def upgrade() -> None:
    """Apply."""
    for statement in _STATEMENTS:
        op.execute(text(statement))
