"""Under FAB a DAG is for the roles of its account. What they see in a real Airflow, acceptance tests try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.airflow_tables import airflow_tables
from tests.support.world import World, make_world

with airflow_as_library():
    from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG

    from pressroom.orchestration.dags import workflows
    from pressroom.orchestration.dags.access import LONGEST, access_control, reading_role, running_role
    from pressroom.orchestration.server import account_roles, respondents
    from pressroom.orchestration.tools import connections

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def seen_by(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """The access that the DAG of the site says, as Airflow's dag processor reads it."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(connections.OF_TASK, "database_url", lambda: world.url)
    dags = [dag for shard in range(8) for dag in workflows.workflow_dags("site", shard).values()]
    [dag] = [dag for dag in dags if dag.dag_id == world.row.workflow.dag_id]
    return LazyDeserializedDAG(data=DagSerialization.to_dict(dag)).access_control


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:The airflow.security.permissions module")  # Airflow's own
def test_a_dag_names_the_roles_of_its_account_once_they_are_there(
    database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = make_world(database_url, store)
    made: list[str] = []
    monkeypatch.setattr(account_roles, "make_roles", made.extend)
    monkeypatch.setattr(account_roles.AccountRoles, "_lacking", lambda _, accounts: list(accounts))
    sweep = account_roles.AccountRoles(store)
    # Without FAB nothing is made or said.
    sweep.look()
    assert (made, seen_by(world, monkeypatch, tmp_path)) == ([], None)
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", FAB)
    # A role that is not there yet would take the whole file down: nobody is named, and nobody let in.
    assert seen_by(world, monkeypatch, tmp_path) == {}
    sweep.look()
    assert made == ["demo"]
    assert seen_by(world, monkeypatch, tmp_path) == {
        "pressroom:demo": {"DAGs": {"can_read"}},
        "pressroom:demo:runs": {"DAGs": {"can_read", "can_edit"}},
    }


def test_no_role_is_for_all_dags() -> None:
    for permissions in (account_roles.READS, account_roles.RUNS):
        assert [action for action, resource in permissions if resource == "DAGs"] == ["menu_access"]


@pytest.mark.parametrize("role", [reading_role, running_role])
def test_roles_of_accounts_with_long_names_are_told_apart(role: Callable[[str], str]) -> None:
    slugs = ["a" * 60, "a" * 59 + "b", "a" * 53, "a" * 47, "acme", "acme-runs"]
    names = {role(slug) for slug in slugs}
    assert len(names) == len(slugs)
    assert max(map(len, names)) <= LONGEST
    others = {running_role(slug) if role is reading_role else reading_role(slug) for slug in slugs}
    assert not names & others


def test_access_is_a_new_value_each_time() -> None:
    first, second = (access_control("acme", has_roles=True) for _ in range(2))
    first["pressroom:acme"]["DAGs"].add("can_edit")
    assert second["pressroom:acme"] == {"DAGs": {"can_read"}}


@pytest.fixture
def fab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """FAB's own tables, empty."""
    from airflow.providers.fab.auth_manager.models import Model

    with airflow_tables(monkeypatch, respondents) as engine:
        Model.metadata.create_all(engine)
        yield engine


def test_fabs_users_have_their_numbers_and_its_administrators_are_known(
    fab: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.fab.auth_manager.models import Role, User

    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", FAB)
    with Session(fab) as session:
        admin, viewer = Role(name="Admin"), Role(name="Viewer")
        for number, (name, roles, active) in enumerate(
            [("root", [viewer, admin], True), ("ann", [viewer], True), ("gone", [admin], False)], start=7
        ):
            session.add(
                User(
                    id=number, username=name, first_name=name, last_name=name, email=f"{name}@press.test",
                    active=active, roles=roles,
                )
            )  # fmt: skip
        session.commit()
    assert respondents.airflow_users() == [("ann", "8", False), ("root", "7", True)]
