"""What a dag file builds, and what it does when the database is away."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import TransientError
from pressroom.orchestration.dags import snapshot, workflows
from pressroom.orchestration.tools import connections
from pressroom.store.workflows import WorkflowRow


class Context(NamedTuple):
    """Airflow's parsing context."""

    dag_id: str | None
    task_id: str | None = None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AIRFLOW_HOME whose database does not answer."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/pressroom")
    monkeypatch.setattr(workflows, "READ_SECONDS", 0.2)
    connections._store_of.cache_clear()
    return tmp_path


def keep(home: Path, *slugs: str, shard: int = 0) -> None:
    account = Account(slug="acme", name="Acme")
    rows = [
        WorkflowRow(1, n, account, Site(account="acme", slug=slug, name=slug), None)
        for n, slug in enumerate(slugs)
    ]
    snapshot.write(home / "pressroom-snapshots" / f"sites-{shard}.json", rows)


def ask_for(monkeypatch: pytest.MonkeyPatch, dag_id: str | None) -> None:
    monkeypatch.setattr(workflows, "get_parsing_context", lambda: Context(dag_id))


def test_dags_stay_when_the_database_is_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(home, "one", "two")
    ask_for(monkeypatch, None)
    assert sorted(workflows.workflow_dags("site", 0)) == ["site__one", "site__two"]


def test_a_worker_gets_its_own_dag_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(home, "one", "two")
    ask_for(monkeypatch, "site__two")
    assert list(workflows.workflow_dags("site", 0)) == ["site__two"]


def test_a_worker_of_another_dag_reads_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for(monkeypatch, "somebody_elses_dag")
    assert workflows.workflow_dags("site", 0) == {}


def test_without_database_and_snapshot_the_dag_file_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_for(monkeypatch, None)
    with pytest.raises(TransientError, match=r"database at 127\.0\.0\.1:9/pressroom does not answer"):
        workflows.workflow_dags("site", 0)
