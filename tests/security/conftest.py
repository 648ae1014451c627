"""The database and the control API of the integration tests."""

from tests.integration.conftest import control, database_url, emptying, kept_store, postgres_url, store

__all__ = ["control", "database_url", "emptying", "kept_store", "postgres_url", "store"]
