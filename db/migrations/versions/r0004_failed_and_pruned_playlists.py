"""Playlists that could not be made, and when the tracks of old ones were dropped."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE playlist_failures (
        listener VARCHAR(200) COLLATE "C" NOT NULL,
        date DATE NOT NULL,
        tries SMALLINT NOT NULL,
        error TEXT NOT NULL,
        failed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT playlist_failures_pkey PRIMARY KEY (listener, date),
        CONSTRAINT playlist_failures_listener_fkey FOREIGN KEY(listener) REFERENCES listeners (name)
            ON DELETE CASCADE
    )
    """,
    "ALTER TABLE playlists ADD COLUMN pruned_at TIMESTAMP WITH TIME ZONE",
)


def upgrade() -> None:
    """Apply."""
    for statement in _STATEMENTS:
        op.execute(text(statement))
