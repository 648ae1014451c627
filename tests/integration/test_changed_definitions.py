"""A changed definition has its DAG file parsed, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import read_text
from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.airflow_tables import airflow_tables

with airflow_as_library():
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbag import DagPriorityParsingRequest
    from airflow.models.dagbundle import DagBundleModel

    from pressroom.orchestration.server import parsing
    from pressroom.orchestration.server.parsing import ChangedDefinitions, file_name, places

pytestmark = pytest.mark.integration

DAGS = Path(__file__).parents[2] / "dags"
ACCOUNT = "{kind: Account, slug: press, name: Press}\n---\n"
SITE = "{kind: Site, account: press, slug: brew, name: Brew%s}\n"
MISSION = (
    "{kind: Mission, account: press, slug: brew, name: B, objectives: [x], platforms: [twitter],"
    " duration_days: 7}"
)
BREW = "sites_3.py"
"""The file of the site ``brew``."""


class AirflowFiles:
    """The files of Airflow, in its database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._put(DagBundleModel, name="dags-folder", active=True)
        self._put(DagBundleModel, name="of-old", active=False)

    def _put(self, into: Any, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(into).values(**values))

    def has(self, dag_id: str, path: str, *, stale: bool = False) -> None:
        """Airflow has a DAG of that file, or has had it."""
        self._put(
            DagModel, dag_id=dag_id, relative_fileloc=path, is_stale=stale, bundle_name="dags-folder",
            is_paused=False, max_active_tasks=16, max_active_runs=1, max_consecutive_failed_dag_runs=0,
            has_task_concurrency_limits=False,
        )  # fmt: skip
        self._put(DagTag, dag_id=dag_id, name="pressroom")

    def asked(self) -> set[str]:
        """The files that Airflow is to parse now."""
        requests = select(DagPriorityParsingRequest.bundle_name, DagPriorityParsingRequest.relative_fileloc)
        with self._engine.begin() as connection:
            return {f"{bundle}/{path}" for bundle, path in connection.execute(requests)}

    def parse(self) -> None:
        """Parse them."""
        with self._engine.begin() as connection:
            connection.execute(delete(DagPriorityParsingRequest))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowFiles]:
    with airflow_tables(monkeypatch, parsing) as engine:
        yield AirflowFiles(engine)


@pytest.fixture
def definitions(store: Store, files: AirflowFiles) -> ChangedDefinitions:
    """Looked at once, with one site."""
    put_definitions(store, SITE % "")
    seen = ChangedDefinitions(store)
    seen.look()
    assert files.asked() == set()
    return seen


def put_definitions(store: Store, text: str, *, prune: bool = False) -> None:
    located, problems = read_text(ACCOUNT + text, "definitions.yaml")
    assert not problems
    apply(store, located, prune=prune)


def test_what_did_not_change_is_not_parsed(definitions: ChangedDefinitions, files: AirflowFiles) -> None:
    definitions.look()
    assert files.asked() == set()


@pytest.mark.parametrize(
    ("text", "file"),
    [
        (SITE % " more", BREW),
        ("{kind: Site, account: press, slug: brew, name: Brew, automation: {enabled: true}}", BREW),
        ("{kind: Site, account: press, slug: press-news, name: News}", "sites_1.py"),
        ("{kind: Flow, account: press, slug: brew, name: B, steps: [{name: w, type: gate, by: webhook}]}",
         "flows.py"),
        (MISSION, "missions.py"),
    ],
    ids=["changed", "its automation", "another site", "a flow", "a mission"],
)  # fmt: skip
def test_a_definition_that_is_added_or_changed_has_its_file_parsed_once(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles, text: str, file: str
) -> None:
    put_definitions(store, text)
    definitions.look()
    assert files.asked() == {f"dags-folder/{file}"}
    files.parse()
    definitions.look()
    assert files.asked() == set()


def test_one_that_is_pruned_has_its_file_parsed(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles
) -> None:
    put_definitions(store, "", prune=True)
    definitions.look()
    assert files.asked() == {f"dags-folder/{BREW}"}


def test_a_file_that_is_asked_for_already_is_no_error(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles
) -> None:
    for name in (" more", " and more"):
        put_definitions(store, SITE % name)
        definitions.look()
    assert files.asked() == {f"dags-folder/{BREW}"}


def test_what_could_not_be_asked_for_is_asked_for_at_the_next_look(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_definitions(store, SITE % " more")
    with monkeypatch.context() as away:
        away.setattr(parsing, "request", lambda changed: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            definitions.look()
    definitions.look()
    assert files.asked() == {f"dags-folder/{BREW}"}


@pytest.mark.parametrize("stale", [False, True])
def test_a_file_without_a_dag_lies_beside_those_that_have_one(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles, stale: bool
) -> None:
    files.has("mission__spring", "press/missions.py", stale=stale)
    put_definitions(store, SITE % " more")
    definitions.look()
    assert files.asked() == {f"dags-folder/press/{BREW}"}


def test_a_file_of_another_name_that_builds_our_dags_may_build_any_of_them(
    store: Store, definitions: ChangedDefinitions, files: AirflowFiles
) -> None:
    files.has("site__brew", "press.py")
    put_definitions(store, SITE % " more")
    definitions.look()
    assert files.asked() == {"dags-folder/press.py"}


def test_files_of_both_sorts_are_parsed() -> None:
    places_known = {("dags", "a/sites_0.py"), ("dags", "all.py"), ("other", "flows.py")}
    assert places([("site", 2)], places_known, ["unused"]) == {
        ("dags", "a/sites_2.py"), ("dags", "all.py"), ("other", "sites_2.py"),
    }  # fmt: skip


def test_the_files_are_called_as_in_the_dags_folder() -> None:
    named = {file_name((kind, n)) for kind, of in WORKFLOW_KINDS.items() for n in range(of.dag_files)}
    assert named == {file.name for file in DAGS.glob("*.py")}
