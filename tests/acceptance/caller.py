"""A client of the control API of a running API server."""

from __future__ import annotations

from typing import Any

import httpx

from pressroom_dev.local.services import LocalServices


class Caller:
    """The administrator, logged in to Airflow."""

    def __init__(self, services: LocalServices) -> None:
        info = services.info
        self.url = f"{info.airflow_url}/pressroom/api/v1"
        self.http = httpx.Client(base_url=self.url, timeout=60)
        login = {"username": info.airflow_user, "password": info.airflow_password}
        token = httpx.post(f"{info.airflow_url}/auth/token", json=login, timeout=60).json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, expect: int = 200, **more: Any) -> Any:
        """The body of an answer that has the expected status."""
        answer = self.http.request(method, path, **more)
        assert answer.status_code == expect, (answer.status_code, answer.text[:1000])
        return answer.json()
