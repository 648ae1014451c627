"""Logins in the API server: the user who sent a request, and the user as whom Pressroom calls Airflow."""

from __future__ import annotations

import os
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.configuration import conf
from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from pressroom.api.kit.ports import Login
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.orchestration.tools.approvals import SERVICE_ID

TOKEN_SECONDS = 60
SERVICE_USER = "PRESSROOM_SERVICE_USER"
"""The variable that names the Airflow user as whom Pressroom acts, under FAB."""
SIMPLE, FAB = "SimpleAuthManager", "FabAuthManager"


async def login(request: Request) -> Login | None:
    """The user who sent the request, by Airflow's own rule: a bearer token comes before the cookie.

    None without a token, and for an invalid, expired or revoked one. Raises TransientError when the auth
    manager fails.
    """
    bearer = await bearer_scheme(request)
    try:
        user = await get_user(request, None, bearer)
        # Airflow's public role permits anonymous users; Pressroom does not.
        if getattr(user, "is_anonymous", False):
            return None
        admin = await _administers(user)
    except HTTPException:
        return None
    except Exception as error:  # the class depends on the auth manager and its database
        raise TransientError(
            f"Airflow's auth manager cannot verify the login: {type(error).__name__}"
        ) from error
    return Login(user.get_name(), admin, by_cookie=bearer is None or _logs_everybody_in(request))


def service_token() -> str:
    """A short-lived token with which Pressroom calls Airflow as its own user. Raises ConfigurationError."""
    token = get_auth_manager().generate_jwt(service_user(), expiration_time_in_seconds=TOKEN_SECONDS)
    return str(token)


def service_name() -> str:
    """The name of Pressroom's own user in Airflow. Raises ConfigurationError."""
    return str(service_user().get_name())


def service_user() -> Any:
    """Pressroom's own user in Airflow. Raises ConfigurationError."""
    manager = get_auth_manager()
    if is_auth_manager(manager, SIMPLE):
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return SimpleAuthManagerUser(username=SERVICE_ID, role="admin")
    if is_auth_manager(manager, FAB):
        return _stored_user()
    raise ConfigurationError(
        f"Pressroom cannot call Airflow under the auth manager {type(manager).__name__}:"
        f" use {SIMPLE} or {FAB}"
    )


async def _administers(user: BaseUser) -> bool:
    """Whether the user administers this Airflow. Under a manager without such a role, a user who may create
    connections, pools and variables counts as an administrator.
    """
    manager: Any = get_auth_manager()
    if is_auth_manager(manager, SIMPLE):
        return str(getattr(user, "role", "")).upper() == "ADMIN"
    if is_auth_manager(manager, FAB):
        return any(role.name == "Admin" for role in getattr(user, "roles", ()))

    def may_create_all() -> bool:
        rules = (
            manager.is_authorized_connection,
            manager.is_authorized_pool,
            manager.is_authorized_variable,
        )
        return all(rule(method="POST", user=user) for rule in rules)

    return await run_in_threadpool(may_create_all)  # it may ask a server


def _logs_everybody_in(request: Request) -> bool:
    """Whether Airflow added the token. With ``simple_auth_manager_all_admins`` it adds one to every request,
    also to one that a browser sends for another site, and after a token that the caller sent.
    """
    return (
        is_auth_manager(get_auth_manager(), SIMPLE)
        and conf.getboolean("core", "simple_auth_manager_all_admins")
        and len(request.headers.getlist("Authorization")) == 1
    )


def is_auth_manager(manager: object, name: str) -> bool:
    """Whether Airflow's auth manager is this one, or made from it."""
    # By name: the class may belong to a provider that is not installed, and the manager to a subclass.
    return name in (kind.__name__ for kind in type(manager).__mro__)


def _stored_user() -> Any:
    name = os.environ.get(SERVICE_USER, "")
    if not name:
        raise ConfigurationError(
            f"Pressroom has no Airflow user to act as: set {SERVICE_USER} to the name of one"
        )
    from airflow.providers.fab.auth_manager.models import User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        user = session.scalars(select(User).where(User.username == name)).one_or_none()
        if user is None:
            raise ConfigurationError(
                f"{SERVICE_USER}: Airflow has no user {name!r}: create it, with the role User"
            )
        session.expunge(user)
        return user
