"""Listeners, what they heard, where assets lie in the joint space, playlists and what was made for whom."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """
    CREATE TABLE listeners (
        name VARCHAR(200) COLLATE "C" NOT NULL,
        time_zone VARCHAR(200) NOT NULL,
        sentence TEXT,
        salt VARCHAR(64) COLLATE "C" NOT NULL,
        consented_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT listeners_pkey PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE listening_events (
        listener VARCHAR(200) COLLATE "C" NOT NULL,
        heard_at TIMESTAMP WITH TIME ZONE NOT NULL,
        asset_id VARCHAR(64) COLLATE "C" NOT NULL,
        kind VARCHAR(16) NOT NULL,
        ingested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT listening_events_pkey PRIMARY KEY (listener, heard_at, asset_id, kind),
        CONSTRAINT listening_events_listener_fkey FOREIGN KEY(listener) REFERENCES listeners (name)
            ON DELETE CASCADE,
        CONSTRAINT listening_events_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES assets (id),
        CONSTRAINT listening_events_kind_check CHECK (kind IN ('completed', 'skipped', 'liked', 'hated'))
    )
    """,
    """
    CREATE TABLE content_vectors (
        asset_id VARCHAR(64) COLLATE "C" NOT NULL,
        model_digest VARCHAR(71) COLLATE "C" NOT NULL,
        vector VECTOR NOT NULL,
        tempo_bpm DOUBLE PRECISION NOT NULL,
        key VARCHAR(16),
        energy DOUBLE PRECISION NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT content_vectors_pkey PRIMARY KEY (asset_id, model_digest),
        CONSTRAINT content_vectors_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES assets (id)
    )
    """,
    """
    CREATE TABLE playlists (
        listener VARCHAR(200) COLLATE "C" NOT NULL,
        date DATE NOT NULL,
        body TEXT NOT NULL,
        digest VARCHAR(71) COLLATE "C" NOT NULL,
        as_of TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT playlists_pkey PRIMARY KEY (listener, date),
        CONSTRAINT playlists_listener_fkey FOREIGN KEY(listener) REFERENCES listeners (name) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE pieces_made_for (
        recipe_id VARCHAR(64) COLLATE "C" NOT NULL,
        listener VARCHAR(200) COLLATE "C" NOT NULL,
        date DATE NOT NULL,
        run_id VARCHAR(12) COLLATE "C" NOT NULL,
        duration_s DOUBLE PRECISION NOT NULL,
        personal JSONB NOT NULL,
        body TEXT NOT NULL,
        CONSTRAINT pieces_made_for_pkey PRIMARY KEY (recipe_id),
        CONSTRAINT pieces_made_for_listener_fkey FOREIGN KEY(listener) REFERENCES listeners (name)
            ON DELETE CASCADE
    )
    """,
    "CREATE INDEX pieces_made_for_date_idx ON pieces_made_for (date)",
    "CREATE INDEX pieces_made_for_listener_idx ON pieces_made_for (listener)",
)


def upgrade() -> None:
    """Apply."""
    for statement in _STATEMENTS:
        op.execute(text(statement))
