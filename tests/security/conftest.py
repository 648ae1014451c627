"""The database and the control API of the integration tests."""

from tests.integration.conftest import (
    browser,
    control,
    database_url,
    desk,
    emptying,
    kept_store,
    postgres_url,
    scripted_openai,
    store,
)

__all__ = [
    "browser", "control", "database_url", "desk", "emptying", "kept_store", "postgres_url", "scripted_openai",
    "store",
]  # fmt: skip
