"""The roles of accounts in FAB, Airflow's auth manager: made by the scheduler before DAGs name them.

Whom they are given to is the business of Airflow's administrators, as with all of its roles.
"""

from __future__ import annotations

from airflow.utils.session import create_session
from sqlalchemy import select

from pressroom.orchestration.dags.access import fab_in_use, reading_role, running_role
from pressroom.store.database import Store

READS = [
    ("can_read", "DAG Code"), ("can_read", "DAG Runs"), ("can_read", "DAG Versions"),
    ("can_read", "DAG Warnings"), ("can_read", "HITL Detail"), ("can_read", "Task Instances"),
    ("can_read", "Task Logs"), ("can_read", "XComs"), ("can_read", "Website"), ("can_read", "My Profile"),
    ("can_edit", "My Profile"), ("can_read", "My Password"), ("can_edit", "My Password"),
    ("menu_access", "DAGs"), ("menu_access", "DAG Runs"), ("menu_access", "Task Instances"),
    ("menu_access", "Browse"), ("menu_access", "Documentation"), ("menu_access", "Docs"),
]  # fmt: skip
"""Of Airflow's role Viewer what belongs to a DAG. Which DAGs, they say themselves: no "can_read on DAGs"."""
RUNS = [
    *READS, ("can_create", "DAG Runs"), ("can_edit", "DAG Runs"), ("can_create", "Task Instances"),
    ("can_edit", "Task Instances"), ("can_edit", "HITL Detail"),
]  # fmt: skip


class AccountRoles:
    """Makes the roles of accounts that lack them, under FAB; under another auth manager it does nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def look(self) -> None:
        """Look once: at new accounts, and for roles that somebody deleted."""
        if not fab_in_use():
            return
        with self._store.transaction() as tx:
            accounts: dict[str, bool] = {
                row["slug"]: row["airflow_roles"] for row in tx.rows("accounts_and_roles")
            }
        if lacking := self._lacking(accounts):
            make_roles(lacking)
        unknown = [slug for slug, known in accounts.items() if not known]
        if unknown:
            with self._store.transaction() as tx:
                tx.run("accounts_have_roles", slugs=unknown)

    def _lacking(self, accounts: dict[str, bool]) -> list[str]:
        from airflow.providers.fab.auth_manager.models import Role

        with create_session() as session:
            names = set(session.scalars(select(Role.name).where(Role.name.startswith("pressroom:"))))
        return [slug for slug in accounts if not {reading_role(slug), running_role(slug)} <= names]


def make_roles(accounts: list[str]) -> None:
    """Make the roles of these accounts, by slug. Those that are there keep what they have."""
    from airflow.providers.fab.www.security_appless import ApplessAirflowSecurityManager

    with create_session() as session:
        manager = ApplessAirflowSecurityManager(session=session)
        manager.bulk_sync_roles(
            [
                {"role": role(account), "perms": permissions}
                for account in accounts
                for role, permissions in ((reading_role, READS), (running_role, RUNS))
            ]
        )
