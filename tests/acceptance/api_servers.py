"""Two API servers over one set of databases, each with another auth manager, and no other component."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.store.database import Store
from pressroom.store.migrate import migrate
from pressroom_dev.local import airflow_processes
from pressroom_dev.local.airflow_processes import API_SERVER, AirflowSetup
from pressroom_dev.local.ports import PortReservations
from pressroom_dev.local.processes import Child
from pressroom_dev.local.services import AIRFLOW_PORT, PROJECT, LocalServices
from tests.support.roots import throwaway_root

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
PASSWORD = "not-a-secret"
SERVICE_USER = "machine"

ROLES = {
    "ann": "Viewer", "ed": "Viewer", "stella": "Op", "root": "Admin", SERVICE_USER: "User",
    "rita": "pressroom:press", "rudi": "pressroom:press:runs",
}  # fmt: skip
"""What they are to Airflow."""

DEFINITIONS = """
{kind: Account, slug: press, name: Press, opening_credits: 1000, members: {ann: viewer, ed: editor},
  grants: {everything: true}}
---
{kind: Account, slug: rival, name: Rival, opening_credits: 1000, members: {stella: owner},
  grants: {everything: true}}
---
{kind: Site, account: press, slug: simple, name: Run by the one server}
---
{kind: Site, account: press, slug: fab, name: Run by the other}
---
{kind: Site, account: rival, slug: orchard, name: Orchard}
"""

DAGS = """# airflow dag file
from pressroom.domain.kinds import WORKFLOW_KINDS
from pressroom.orchestration.dags.workflows import workflow_dags

for shard in range(WORKFLOW_KINDS["site"].dag_files):
    globals().update(workflow_dags("site", shard))
"""

# One process for all commands: each would spend seconds on importing Airflow.
COMMANDS = """
import json, sys
from airflow.__main__ import main

commands, database = json.loads(sys.argv[1]), sys.argv[2]
for command in commands:
    if command == ["roles"]:  # what the scheduler does when it looks
        from pressroom.orchestration.server.account_roles import AccountRoles
        from pressroom.store.database import Store

        with Store(database) as store:
            AccountRoles(store).look()
        continue
    sys.argv = ["airflow", *command]
    main()
"""


class ApiServer:
    """An API server. ``api``: where Pressroom's routes are; ``name``: the site that only it runs."""

    def __init__(self, name: str, url: str, database: str) -> None:
        self.name, self.url, self.api = name, url, f"{url}/pressroom/api/v1"
        self.database = database
        self.sites: dict[str, int] = dict(self.sql("SELECT slug, id FROM sites"))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in Pressroom's database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def token(self, name: str) -> str:
        """A new token of a user."""
        body = {"username": name, "password": PASSWORD}
        answer = httpx.post(f"{self.url}/auth/token", json=body, timeout=60)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])

    def bearer(self, name: str) -> dict[str, str]:
        """The headers of a user's call."""
        return {"Authorization": f"Bearer {self.token(name)}"}

    def call(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> httpx.Response:
        """Call one of Pressroom's routes."""
        return httpx.request(method, f"{self.api}/{path}", headers=headers, timeout=60, **more)

    def get(self, path: str, headers: Mapping[str, str]) -> Any:
        """The body of a GET."""
        answer = self.call("GET", path, headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def two_api_servers() -> Iterator[dict[str, ApiServer]]:
    """One for simple users, and one with FAB and its users in Airflow's database."""
    with throwaway_root() as root, ExitStack() as stack:
        dags = root / "dags"
        dags.mkdir()
        (dags / "sites.py").write_text(DAGS, encoding="utf-8")
        services = LocalServices(
            root, dags=dags, extra_env={"AIRFLOW__CORE__AUTH_MANAGER": FAB}, model=False,
            prepare=lambda url: _define(url, root), airflow=False,
        )  # fmt: skip
        stack.enter_context(services)
        ports = PortReservations()
        stack.callback(ports.release)
        started = {"simple": _start(services, ports, "simple", _simple_users(root))}
        _set_up_fab(services)
        started["fab"] = _start(services, ports, "fab", {"PRESSROOM_SERVICE_USER": SERVICE_USER})
        for setup, child in started.values():
            airflow_processes.wait_for_api(setup, child)
        database = services.info.database_url
        yield {name: ApiServer(name, setup.url, database) for name, (setup, _) in started.items()}


def _define(url: str, root: Path) -> None:
    migrate(url)
    folder = root / "definitions"
    folder.mkdir()
    (folder / "all.yaml").write_text(DEFINITIONS, encoding="utf-8")
    with Store(url) as store:
        apply(store, load(folder))


def _simple_users(root: Path) -> dict[str, str]:
    file = root / "simple-passwords.json"
    file.write_text(json.dumps(dict.fromkeys(ROLES, PASSWORD)), encoding="utf-8")
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": SIMPLE,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(file),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role.lower()}" for name, role in ROLES.items() if ":" not in role
        ),
    }


def _start(
    services: LocalServices, ports: PortReservations, name: str, env: Mapping[str, str]
) -> tuple[AirflowSetup, Child]:
    root = services.root
    setup = AirflowSetup(PROJECT, root, root / "dags", ports.take(AIRFLOW_PORT), "")
    own = {
        "AIRFLOW__API__PORT": str(setup.port), "AIRFLOW__API__BASE_URL": setup.url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{setup.url}/execution/",
    }  # fmt: skip
    return setup, services.start(API_SERVER, {**own, **env}, log=name)


def _set_up_fab(services: LocalServices) -> None:
    """Have FAB's users made, and the DAGs known."""
    users = [
        ["users", "create", "-u", name, "-p", PASSWORD, "-f", name, "-l", name, "-e", f"{name}@press.test",
         "-r", role]
        for name, role in ROLES.items()
    ]  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([["roles"], *users, ["dags", "reserialize"]]),
         services.info.database_url],
        env=services.environment, cwd=services.root, check=True, capture_output=True, timeout=200,
    )  # fmt: skip
