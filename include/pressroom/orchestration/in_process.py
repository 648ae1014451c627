"""The hooks' way to Airflow: in this API server's process, for callers whose right was checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx
from airflow.api_fastapi.app import cached_app, get_auth_manager
from fastapi.concurrency import run_in_threadpool

from pressroom.domain.errors import ConfigurationError, PermanentError, RunConflict, TransientError
from pressroom.orchestration import server_connections
from pressroom.store.database import Store

TOKEN_SECONDS = 60
SERVICE_USER = "PRESSROOM_SERVICE_USER"
"""The Airflow user in whose name hooks act, where the auth manager knows its users (FAB)."""


class InProcessAirflow:
    """See ``Airflow``."""

    def store(self) -> Store:
        """See Airflow."""
        return server_connections.store()

    def secret(self, connection: str) -> str:
        """See Airflow."""
        return server_connections.secret(connection)

    async def trigger(self, dag_id: str, conf: Mapping[str, Any], *, note: str) -> str:
        """See Airflow."""
        body = {"logical_date": None, "conf": dict(conf), "note": note}
        return str((await self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body))["dag_run_id"])

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        """See Airflow."""
        path = "/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
        body = {"chosen_options": [option], "params_input": dict(fields)}
        await self._call("PATCH", path.format(**task), body)

    async def _call(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        token = await run_in_threadpool(_token)
        # The same argument as the server's own call: another one would build a second app.
        app = cached_app(apps=os.environ.get("AIRFLOW_API_APPS", "all"))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.request(method, path, json=body, headers=headers)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code == 409:
            raise RunConflict("this was answered already")
        if answer.status_code >= 500:
            raise TransientError(f"Airflow answers {answer.status_code}")
        if answer.status_code in (401, 403):
            raise ConfigurationError(
                f"Airflow's user {os.environ.get(SERVICE_USER, 'pressroom')!r} may not do that"
            )
        raise PermanentError(f"Airflow refuses that: {answer.status_code}")


def _token() -> str:
    """A token that is good for one call."""
    manager = get_auth_manager()
    if type(manager).__name__ == "SimpleAuthManager":
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        user: Any = SimpleAuthManagerUser(username="pressroom", role="admin")
    else:
        user = _stored_user()
    return str(manager.generate_jwt(user, expiration_time_in_seconds=TOKEN_SECONDS))


def _stored_user() -> Any:
    name = os.environ.get(SERVICE_USER, "")
    if not name:
        raise ConfigurationError(f"set {SERVICE_USER} to the Airflow user in whose name hooks act")
    from airflow.providers.fab.auth_manager.models import User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        user = session.scalars(select(User).where(User.username == name)).one_or_none()
        if user is None:
            raise ConfigurationError(f"{SERVICE_USER}: Airflow has no user {name!r}")
        session.expunge(user)
        return user
