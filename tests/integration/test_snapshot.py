"""The last good read: written when it changed, used when Postgres is away, ignored when broken."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from pressroom.definitions import loading
from pressroom.definitions.applying import apply
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library

with airflow_as_library():
    from pressroom.orchestration.dags import snapshot, workflows

DEFINITIONS = (
    "kind: Account\nslug: acme\nname: Acme\nmembers: {ann: owner}\n---\n"
    "kind: BrandContext\naccount: acme\nslug: main\nname: Main\ncolors: ['#112233']\n---\n"
    "kind: Site\naccount: acme\nslug: garden\nname: Gärten\nbrand: main\ncaps: {run_cents: 1.5}\n---\n"
    "kind: Site\naccount: acme\nslug: pond\nname: Pond\n"
)


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "a.yaml").write_text(DEFINITIONS, "utf-8")
    apply(store, loading.load(folder))
    return store


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A database that does not answer, found out quickly."""
    store = Store("postgresql://postgres@127.0.0.1:9/none")
    store._pool.timeout = 0.3
    return store


def test_what_was_read_is_what_is_kept(filled: Store, away: Store, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sites.json"
    rows, from_snapshot = snapshot.read_or_snapshot(filled, "site", path)
    assert not from_snapshot
    assert [row.workflow.slug for row in rows] == ["garden", "pond"]
    with away:
        kept, from_snapshot = snapshot.read_or_snapshot(away, "site", path)
        assert from_snapshot
        assert kept == rows
        alone, _ = snapshot.read_or_snapshot(away, "site", path, dag_id="site__pond")
        assert [row.workflow.slug for row in alone] == ["pond"]


def test_it_is_written_only_when_it_differs(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "sites.json"
    snapshot.read_or_snapshot(filled, "site", path)
    before = path.stat()
    snapshot.read_or_snapshot(filled, "site", path)
    assert path.stat().st_ino == before.st_ino
    snapshot.read_or_snapshot(filled, "site", path, dag_id="site__pond")
    assert path.stat().st_ino == before.st_ino
    assert [file.name for file in tmp_path.glob("*sites*")] == ["sites.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99, "workflows": []}', '{"version": 2, "workflows": [{}]}', "\0"]
)
def test_a_broken_snapshot_is_none(
    away: Store, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sites.json"
    path.write_text(content)
    with away, pytest.raises(TransientError):
        snapshot.read_or_snapshot(away, "site", path)
    assert "is ignored" in caplog.text


def test_no_database_and_no_snapshot_is_an_error(away: Store, tmp_path: Path) -> None:
    with away, pytest.raises(TransientError):
        snapshot.read_or_snapshot(away, "site", tmp_path / "none.json")


def test_a_folder_that_cannot_be_written_is_a_warning(
    filled: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        rows, _ = snapshot.read_or_snapshot(filled, "site", tmp_path / "file" / "sites.json")
    assert len(rows) == 2
    assert "cannot be written" in caplog.text


def test_a_database_without_the_schema_is_not_hidden_by_a_snapshot(
    filled: Store, postgres_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "sites.json"
    snapshot.read_or_snapshot(filled, "site", path)
    with Store(postgres_url) as bare, pytest.raises(ConfigurationError, match="pressroom migrate"):
        snapshot.read_or_snapshot(bare, "site", path)


def test_a_slow_query_is_cut_off(filled: Store, tmp_path: Path, database_url: str) -> None:
    import psycopg

    path = tmp_path / "sites.json"
    snapshot.read_or_snapshot(filled, "site", path)
    with psycopg.connect(database_url) as blocking:
        blocking.execute("LOCK TABLE sites IN ACCESS EXCLUSIVE MODE")
        rows, from_snapshot = snapshot.read_or_snapshot(filled, "site", path, timeout=0.2)
    assert from_snapshot
    assert len(rows) == 2


def test_a_worker_gets_the_dag_that_it_asks_for_although_its_definition_is_disabled(
    filled: Store, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE sites SET status = 'disabled' WHERE slug = 'pond'")
    path = tmp_path / "sites.json"
    rows, _ = snapshot.read_or_snapshot(filled, "site", path)
    assert [row.workflow.slug for row in rows] == ["garden"]
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    parsing = SimpleNamespace(dag_id="site__pond")
    monkeypatch.setattr(workflows, "get_parsing_context", lambda: parsing)
    assert built() == ["site__pond"]
    parsing.dag_id = None
    assert built() == ["site__garden"]


def built() -> list[str]:
    """The DAGs of all dag files of sites, without those of their parts."""
    files = range(WORKFLOW_KINDS["site"].dag_files)
    dags = [dag_id for number in files for dag_id in workflows.workflow_dags("site", number)]
    return [dag_id for dag_id in dags if not dag_id.endswith("__publish")]
