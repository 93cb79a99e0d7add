"""The spine: models, runs, recipes, work, assets, stages, lineage."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE catalogues (
    name VARCHAR(200) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT catalogues_pkey PRIMARY KEY (name)
);

CREATE TABLE model_versions (
    digest VARCHAR(71) COLLATE "C" NOT NULL,
    name VARCHAR(200) NOT NULL,
    kind VARCHAR(200) NOT NULL,
    config JSONB NOT NULL,
    card JSONB NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT model_versions_pkey PRIMARY KEY (digest)
);

CREATE TABLE recipes (
    id VARCHAR(64) COLLATE "C" NOT NULL,
    kind VARCHAR(200) NOT NULL,
    model_digest VARCHAR(71) COLLATE "C" NOT NULL,
    prompt TEXT NOT NULL,
    seed BIGINT NOT NULL,
    duration_s DOUBLE PRECISION NOT NULL,
    body JSONB NOT NULL,
    CONSTRAINT recipes_pkey PRIMARY KEY (id)
);

CREATE TABLE run_items (
    recipe_id VARCHAR(64) COLLATE "C" NOT NULL,
    run_id VARCHAR(12) COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    open BOOLEAN NOT NULL,
    CONSTRAINT run_items_pkey PRIMARY KEY (recipe_id, run_id)
);
CREATE INDEX run_items_open_idx ON run_items (run_id, position) WHERE open;
CREATE INDEX run_items_run_id_idx ON run_items (run_id);

CREATE TABLE work (
    recipe_id VARCHAR(64) COLLATE "C" NOT NULL,
    state VARCHAR(16) DEFAULT 'queued' NOT NULL,
    attempt SMALLINT DEFAULT '0' NOT NULL,
    owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    error TEXT,
    traceback TEXT,
    CONSTRAINT work_pkey PRIMARY KEY (recipe_id),
    CONSTRAINT work_state_check CHECK (state IN ('queued', 'claimed', 'done', 'failed')),
    CONSTRAINT work_lease_check CHECK (
        (state = 'claimed') = (owner IS NOT NULL) AND (owner IS NULL) = (lease_until IS NULL)
    )
);
CREATE INDEX work_claimed_idx ON work (owner) WHERE state = 'claimed';
CREATE INDEX work_failed_idx ON work (recipe_id) WHERE state = 'failed';

CREATE TABLE assets (
    id VARCHAR(64) COLLATE "C" NOT NULL,
    digest VARCHAR(71) COLLATE "C" NOT NULL,
    kind VARCHAR(200) NOT NULL,
    duration_s DOUBLE PRECISION NOT NULL,
    attributes JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    worker TEXT NOT NULL,
    code_version VARCHAR(200) NOT NULL,
    numeric_profile JSONB NOT NULL,
    words TSVECTOR NOT NULL,
    CONSTRAINT assets_pkey PRIMARY KEY (id),
    CONSTRAINT assets_id_fkey FOREIGN KEY(id) REFERENCES recipes (id)
);
CREATE INDEX assets_created_at_idx ON assets (created_at, id);
CREATE INDEX assets_digest_idx ON assets (digest);
CREATE INDEX assets_words_idx ON assets USING gin (words);

CREATE TABLE runs (
    id VARCHAR(12) COLLATE "C" NOT NULL,
    catalogue VARCHAR(200) NOT NULL,
    "order" JSONB NOT NULL,
    order_digest VARCHAR(71) COLLATE "C" NOT NULL,
    state VARCHAR(16) NOT NULL,
    error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    wall_s DOUBLE PRECISION,
    planned BIGINT NOT NULL,
    reused BIGINT NOT NULL,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_state_check CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    CONSTRAINT runs_catalogue_fkey FOREIGN KEY(catalogue) REFERENCES catalogues (name)
);
CREATE INDEX runs_catalogue_idx ON runs (catalogue);

CREATE TABLE training_runs (
    id VARCHAR(12) NOT NULL,
    name VARCHAR(200) NOT NULL,
    config JSONB NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    metrics JSONB DEFAULT '{}' NOT NULL,
    model_digest VARCHAR(71) COLLATE "C",
    CONSTRAINT training_runs_pkey PRIMARY KEY (id),
    CONSTRAINT training_runs_model_digest_fkey FOREIGN KEY(model_digest) REFERENCES model_versions (digest)
);

CREATE TABLE asset_files (
    asset_id VARCHAR(64) COLLATE "C" NOT NULL,
    role VARCHAR(200) NOT NULL,
    name VARCHAR(200) NOT NULL,
    digest VARCHAR(71) COLLATE "C" NOT NULL,
    media_type VARCHAR(200) NOT NULL,
    bytes BIGINT NOT NULL,
    CONSTRAINT asset_files_pkey PRIMARY KEY (asset_id, role, name),
    CONSTRAINT asset_files_bytes_check CHECK (bytes >= 0),
    CONSTRAINT asset_files_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES assets (id)
);
CREATE INDEX asset_files_digest_idx ON asset_files (digest);

CREATE TABLE lineage_edges (
    child VARCHAR(64) COLLATE "C" NOT NULL,
    parent VARCHAR(71) COLLATE "C" NOT NULL,
    role VARCHAR(200) NOT NULL,
    CONSTRAINT lineage_edges_pkey PRIMARY KEY (child, parent, role),
    CONSTRAINT lineage_edges_child_fkey FOREIGN KEY(child) REFERENCES assets (id)
);
CREATE INDEX lineage_edges_parent_idx ON lineage_edges (parent);

CREATE TABLE stage_executions (
    asset_id VARCHAR(64) COLLATE "C" NOT NULL,
    ordinal INTEGER NOT NULL,
    stage VARCHAR(200) NOT NULL,
    input_digest VARCHAR(71) COLLATE "C" NOT NULL,
    output_digest VARCHAR(71) COLLATE "C" NOT NULL,
    numeric_profile JSONB NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    wall_s DOUBLE PRECISION NOT NULL,
    detail JSONB NOT NULL,
    CONSTRAINT stage_executions_pkey PRIMARY KEY (asset_id, ordinal),
    CONSTRAINT stage_executions_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES assets (id)
);
ALTER TABLE work SET (fillfactor = 70);
"""


def upgrade() -> None:
    """Apply."""
    for extension in ("pg_trgm", "vector"):
        _extend(extension)
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(text(statement))


def _extend(name: str) -> None:
    """Create an extension where the server has it and lets us; nothing in this revision depends on it."""
    op.execute(
        text(f"""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM pg_available_extensions WHERE name = '{name}') THEN
                CREATE EXTENSION IF NOT EXISTS {name};
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to create the extension {name}';
        END $$
        """)
    )
