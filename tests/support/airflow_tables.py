"""Airflow's own tables, empty, on SQLite: for tests of what reads them in Airflow's processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.support.airflow_library import airflow_as_library

with airflow_as_library():
    from airflow.models import import_all_models
    from airflow.models.base import Base


@contextmanager
def airflow_tables(monkeypatch: pytest.MonkeyPatch, reader: ModuleType) -> Iterator[Engine]:
    """The database that the sessions of ``reader``, a module, are on."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    import_all_models()  # type: ignore[no-untyped-call]
    Base.metadata.create_all(engine)

    @contextmanager
    def session() -> Iterator[Session]:
        with Session(engine) as opened, opened.begin():
            yield opened

    monkeypatch.setattr(reader, "create_session", session)
    yield engine
    engine.dispose()
