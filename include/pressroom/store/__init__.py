"""Postgres: every SQL statement (``sql/``), the schema (``migrations/``) and the only cursor code."""
