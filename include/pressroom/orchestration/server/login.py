"""Logins in the API server: who sent a request, and in whose name Pressroom itself calls Airflow."""

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

TOKEN_SECONDS = 60
SERVICE_USER = "PRESSROOM_SERVICE_USER"
"""The Airflow user in whose name Pressroom acts, where the auth manager knows its users (FAB)."""
SIMPLE, FAB = "SimpleAuthManager", "FabAuthManager"


async def login(request: Request) -> Login | None:
    """Who sent the request, as Airflow itself would have it: a bearer token counts more than the cookie.

    None for no token, and for one that is not valid, has expired or was revoked. Raises TransientError when
    the auth manager cannot say.
    """
    bearer = await bearer_scheme(request)
    try:
        user = await get_user(request, None, bearer)
        # A public role lets anybody look at Airflow without a login; here it makes nobody somebody.
        if getattr(user, "is_anonymous", False):
            return None
        admin = await _administers(user)
    except HTTPException:
        return None
    except Exception as error:  # which class it is differs with the auth manager and its database
        raise TransientError(
            f"Airflow's auth manager cannot say who calls: {type(error).__name__}"
        ) from error
    return Login(user.get_name(), admin, by_cookie=bearer is None or _logs_everybody_in(request))


def service_token() -> str:
    """A token that is good for one call in Pressroom's own name. Raises ConfigurationError."""
    manager = get_auth_manager()
    if _is(manager, SIMPLE):
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        user: Any = SimpleAuthManagerUser(username="pressroom", role="admin")
    elif _is(manager, FAB):
        user = _stored_user()
    else:
        raise ConfigurationError(f"Pressroom cannot act under the auth manager {type(manager).__name__}")
    return str(manager.generate_jwt(user, expiration_time_in_seconds=TOKEN_SECONDS))


async def _administers(user: BaseUser) -> bool:
    """Whether the user administers this Airflow. Where a manager has no such role, whoever may create
    connections, pools and variables does: that is all that an administrator of Pressroom would have to do.
    """
    manager: Any = get_auth_manager()
    if _is(manager, SIMPLE):
        return str(getattr(user, "role", "")).upper() == "ADMIN"
    if _is(manager, FAB):
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
    """Whether Airflow added the token: with ``simple_auth_manager_all_admins``, it does so to every request,
    whichever site a browser sends it for, and behind what the caller may have sent.
    """
    return (
        _is(get_auth_manager(), SIMPLE)
        and conf.getboolean("core", "simple_auth_manager_all_admins")
        and len(request.headers.getlist("Authorization")) == 1
    )


def _is(manager: object, name: str) -> bool:
    # By name: the class may be a provider's that is not installed, and the manager a class made of it.
    return name in (kind.__name__ for kind in type(manager).__mro__)


def _stored_user() -> Any:
    name = os.environ.get(SERVICE_USER, "")
    if not name:
        raise ConfigurationError(f"set {SERVICE_USER} to the Airflow user in whose name Pressroom acts")
    from airflow.providers.fab.auth_manager.models import User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        user = session.scalars(select(User).where(User.username == name)).one_or_none()
        if user is None:
            raise ConfigurationError(f"{SERVICE_USER}: Airflow has no user {name!r}")
        session.expunge(user)
        return user
