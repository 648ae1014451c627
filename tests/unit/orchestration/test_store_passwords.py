"""A store whose password is short-lived: one pool a database, which connects with the newest password."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.orchestration.tools.connections import store_at

HOST = "db.example.org:5432/room?sslmode=require"


def test_a_new_password_opens_no_new_pool_and_is_the_one_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def connect(conninfo: str, **_: Any) -> None:
        seen.append(str(psycopg.conninfo.conninfo_to_dict(conninfo)["password"]))
        raise psycopg.OperationalError("refused")

    monkeypatch.setattr(psycopg.Connection, "connect", connect)
    first = store_at(f"postgresql://iam:one@{HOST}", patience=0.3)
    assert store_at(f"postgresql://iam:two@{HOST}", patience=0.3) is first
    with first, pytest.raises(TransientError), first.transaction():
        pass
    assert set(seen) == {"two"}


def test_another_place_or_user_has_a_store_of_its_own() -> None:
    first = store_at(f"postgresql://iam:one@{HOST}")
    assert store_at(f"postgresql://other:one@{HOST}") is not first
    assert store_at(f"postgresql://iam:one@second.{HOST}") is not first


def test_what_is_no_url_of_postgres_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a Postgres URL"):
        store_at("mysql://nowhere")
