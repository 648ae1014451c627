"""Who sees a DAG on Airflow's pages where FAB is Airflow's auth manager: who has a role of its account.

Under SimpleAuthManager every login sees every DAG: it knows no access to single ones.
"""

from __future__ import annotations

import hashlib

from airflow.configuration import conf

FAB = "FabAuthManager"
READS, RUNS = {"can_read"}, {"can_read", "can_edit"}
LONGEST = 64
"""What FAB's column of role names holds."""

AccessControl = dict[str, dict[str, set[str]]]
"""Role → resource → actions, as Airflow's DAGs take it."""


def fab_in_use() -> bool:
    """Whether DAGs have an access of their own: by the same rule as Airflow's dag processor."""
    return FAB in conf.get("core", "auth_manager")


def reading_role(account: str) -> str:
    """The name of the role that sees an account's DAGs, runs and logs."""
    return _role(account, "")


def running_role(account: str) -> str:
    """The name of the role that also triggers and clears them, and answers gates for which it may."""
    return _role(account, ":runs")


def access_control(account: str, *, has_roles: bool) -> AccessControl:
    """What a DAG of the account says. Without its roles, only roles for all DAGs see it: a DAG that names a
    role which FAB lacks is an import error.
    """
    if not has_roles:
        return {}
    return {reading_role(account): {"DAGs": set(READS)}, running_role(account): {"DAGs": set(RUNS)}}


def _role(account: str, suffix: str) -> str:
    name = f"pressroom:{account}{suffix}"
    if len(name) <= LONGEST:
        return name
    mark = f"~{hashlib.sha256(account.encode()).hexdigest()[:12]}{suffix}"
    return name[: LONGEST - len(mark)].removesuffix(suffix) + mark
