"""Who may answer gates on Airflow's page: kept as it is today, while tasks wait.

A task names its respondents when it begins to wait. Members change after that, and a worker cannot ask the
auth manager who administers this Airflow, nor for the ids that FAB gives to users. The scheduler can: its
sweep keeps both up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.configuration import conf
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select, tuple_, update

from pressroom.orchestration.server import login
from pressroom.orchestration.tools.approvals import respondents
from pressroom.store.database import Store

ANONYMOUS = "Anonymous"
"""Everybody, where SimpleAuthManager makes everybody an administrator."""

AirflowUser = tuple[str, str, bool]
"""(name, id, whether they administer Airflow)"""


class Respondents:
    """Keeps Airflow's users and the respondents of waiting tasks up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: list[AirflowUser] | None = None

    def look(self, accounts: Mapping[tuple[str, str], int]) -> None:
        """Look once. ``accounts``: DAG and DAG run of live runs of flows → account."""
        users = airflow_users()
        if users != self._known:
            with self._store.transaction() as tx:
                tx.run("airflow_users_forget", names=[name for name, _, _ in users])
                tx.many(
                    "airflow_user_save",
                    [{"name": name, "id": number, "admin": admin} for name, number, admin in users],
                )
            self._known = users
        if accounts:
            self._reassign(accounts)

    def _reassign(self, accounts: Mapping[tuple[str, str], int]) -> None:
        with create_session() as session:
            # Without what is shown to people, which can be long.
            waiting = session.execute(
                select(TaskInstance.dag_id, TaskInstance.run_id, HITLDetail.ti_id, HITLDetail.assignees)
                .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
                .where(
                    HITLDetail.responded_at.is_(None),
                    tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(accounts),
                )
            ).all()
            people: dict[int, list[dict[str, str]]] = {}
            for dag_id, run_id, task, assignees in waiting:
                account = accounts[dag_id, run_id]
                if account not in people:
                    with self._store.transaction(account) as tx:
                        people[account] = [
                            {"id": each["id"], "name": each["name"]} for each in respondents(tx)
                        ]
                if assignees != people[account]:
                    session.execute(
                        update(HITLDetail)
                        .where(HITLDetail.ti_id == task, HITLDetail.responded_at.is_(None))
                        .values(assignees=people[account])
                    )


def let_pressroom_answer(task: Mapping[str, Any]) -> None:
    """Make Pressroom's own user a respondent of a waiting task. Raises ConfigurationError."""
    user = login.service_user()
    own = {"id": str(user.get_id()), "name": str(user.get_name())}
    with create_session() as session:
        detail = session.scalar(
            select(HITLDetail)
            .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
            .where(
                TaskInstance.dag_id == task["dag_id"],
                TaskInstance.run_id == task["run_id"],
                TaskInstance.task_id == task["task_id"],
                TaskInstance.map_index == task["map_index"],
            )
        )
        if detail is not None and detail.assignees and own not in detail.assignees:
            detail.assignees = [*detail.assignees, own]


def airflow_users() -> list[AirflowUser]:
    """The users of Airflow's auth manager, by name. Under another one than these two: none."""
    manager = conf.get("core", "auth_manager")
    if manager.endswith(login.FAB):
        return _fab_users()
    if not manager.endswith(login.SIMPLE):
        return []
    named = (each.partition(":") for each in conf.getlist("core", "simple_auth_manager_users"))
    users = [(name.strip(), name.strip(), role.strip().lower() == "admin") for name, _, role in named]
    if conf.getboolean("core", "simple_auth_manager_all_admins"):
        users.append((ANONYMOUS, ANONYMOUS, True))
    return sorted(users)


def _fab_users() -> list[AirflowUser]:
    from airflow.providers.fab.auth_manager.models import Role, User

    with create_session() as session:
        admins = set(session.scalars(select(User.id).join(User.roles).where(Role.name == "Admin")))
        users = session.execute(select(User.username, User.id).where(User.active.is_(True))).all()
    return sorted((name, str(number), number in admins) for name, number in users)
