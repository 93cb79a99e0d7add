"""Runs that were stopped, who drives a run, and until when somebody certainly does."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE runs DROP CONSTRAINT runs_state_check",
    """
    ALTER TABLE runs ADD CONSTRAINT runs_state_check
        CHECK (state IN ('running', 'stopped', 'done', 'failed', 'cancelled'))
    """,
    "ALTER TABLE runs ADD COLUMN driver VARCHAR(12)",
    "ALTER TABLE runs ADD COLUMN driven_until TIMESTAMP WITH TIME ZONE",
)


def upgrade() -> None:
    """Apply."""
    for statement in _STATEMENTS:
        op.execute(text(statement))
