"""The database and the control API of the integration tests."""

from tests.integration.conftest import control, database_url, emptying, postgres_url, store

__all__ = ["control", "database_url", "emptying", "postgres_url", "store"]
