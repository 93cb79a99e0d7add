"""Postgres tables, the work queue, content-addressed objects and the embedded database."""
