"""Airflow's components as child processes: their environment, their database, their health."""

from __future__ import annotations

import base64
import hashlib
import http.client
import importlib.metadata
import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pressroom_dev.local.ports import HOST
from pressroom_dev.local.processes import Child, LocalServiceError, kill, log_tail, spawn, wait_until
from pressroom_dev.local.running import Running

ADMIN = "admin"
BOOTSTRAP = "pressroom_dev.local.bootstrap"
BOOTSTRAP_TIMEOUT = 300.0
START_TIMEOUT = 180.0

# Task logs are files on this machine, so nothing has to serve them to the API server, and two runners side by
# side do not fight over the ports of those log servers.
API_SERVER = "api server"
COMPONENTS = {
    API_SERVER: ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
# Their names in Airflow's health report.
HEALTH_KEYS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True)
class Secrets:
    """Random secrets of one local installation, made once and kept in a file that only its owner can read."""

    postgres_password: str
    admin_password: str
    fernet_key: str
    jwt_secret: str
    session_key: str

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """Read the file, or make it."""
        if path.exists():
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        made = cls(
            postgres_password=secrets.token_urlsafe(24),
            admin_password=secrets.token_urlsafe(12),
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            session_key=secrets.token_urlsafe(32),
        )
        write_private(path, made.__dict__)
        return made


@dataclass(frozen=True)
class AirflowSetup:
    """Where this Airflow lives. `project` holds dags/, plugins/, config/ and include/."""

    project: Path
    root: Path
    dags: Path
    port: int
    database_url: str
    parallelism: int | None = None

    @property
    def url(self) -> str:
        """The UI's and the REST API's address."""
        return f"http://{HOST}:{self.port}"

    @property
    def password_file(self) -> Path:
        return self.root / "airflow" / "passwords.json"

    def environment(self, keys: Secrets) -> dict[str, str]:
        """The variables that depend on this machine; the tuning is in config/airflow.cfg."""
        project = self.project.absolute()
        home = self.root.absolute() / "airflow"
        variables = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(project / "config" / "airflow.cfg"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags.absolute()),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
            "AIRFLOW__CORE__FERNET_KEY": keys.fernet_key,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.password_file.absolute()),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database_url.replace(
                "postgresql:", "postgresql+psycopg2:", 1
            ),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": keys.session_key,
            "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt_secret,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.root.absolute() / "logs" / "tasks"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
                self.root.absolute() / "logs" / "dag_processor"
            ),
        }
        if self.parallelism is not None:
            variables["AIRFLOW__CORE__PARALLELISM"] = str(self.parallelism)
        return variables

    def write_passwords(self, keys: Secrets) -> None:
        """Set the user's password before Airflow makes one up and prints it."""
        self.password_file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.password_file, {ADMIN: keys.admin_password})


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON to a file that only its owner can read, never leaving half a file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def bootstrap(running: Running, settings: Path, *, env: Mapping[str, str], stamp: Path) -> None:
    """Migrate Airflow's database and load the settings file, unless `stamp` says that nothing has changed.

    Keep the stamp beside the database's data, so that the two go together. Raises LocalServiceError with the
    end of the log when it failed.
    """
    running.report("airflow", "checking its database")
    wanted = _fingerprint(settings)
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        running.report("airflow", "database is up to date")
        return
    log = running.log("bootstrap")
    command = [sys.executable, "-m", BOOTSTRAP, str(settings)]
    child = spawn("database set-up", command, env=env, log=log, cwd=running.root)
    try:
        code = child.process.wait(timeout=BOOTSTRAP_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise LocalServiceError(
            f"Airflow's database was not ready after {BOOTSTRAP_TIMEOUT:.0f} s. {log_tail(log)}"
        ) from None
    finally:
        kill(child)
    if code != 0:
        raise LocalServiceError(f"Airflow's database could not be set up. {log_tail(log)}")
    stamp.write_text(wanted, encoding="ascii")
    running.report("airflow", "database and settings loaded")


def _fingerprint(settings: Path) -> str:
    digest = hashlib.sha256()
    digest.update(importlib.metadata.version("apache-airflow-core").encode())
    digest.update(Path(__file__).with_name("astro_settings.py").read_bytes())
    digest.update(Path(__file__).with_name("bootstrap.py").read_bytes())
    if settings.exists():
        digest.update(settings.read_bytes())
    return digest.hexdigest()


def start_all(running: Running, setup: AirflowSetup, env: Mapping[str, str], password: str) -> None:
    """Start every component, and return when Airflow calls itself healthy."""
    running.report("airflow", "starting API server, scheduler, dag processor and triggerer")
    started = {name: start(running, name, env) for name in COMPONENTS}
    wait_for_api(setup, started[API_SERVER])
    # While the others still start.
    warm_up(setup, password)
    running.report("airflow", f"API server ready at {setup.url}")
    wait_until(
        lambda: _all_healthy(setup.url),
        children=started.values(), timeout=START_TIMEOUT, what="Airflow", poll=0.25,
    )  # fmt: skip
    running.report("airflow", "all components healthy")


def start(running: Running, component: str, env: Mapping[str, str], log: str = "") -> Child:
    """Start one of COMPONENTS without waiting for it. ``log``: its log's name, if not the component's."""
    return running.add(
        spawn(
            component,
            [sys.executable, "-m", "airflow", *COMPONENTS[component]],
            env=env,
            log=running.log(log or component),
            cwd=running.root,
            # The triggerer's leader alone would wait half a minute for its runner, which nobody told to stop.
            ask_all=component == "triggerer",
            port=int(env["AIRFLOW__API__PORT"]) if component == API_SERVER else None,
        )
    )


def wait_for_api(setup: AirflowSetup, child: Child) -> None:
    """Wait until this API server answers at all."""
    wait_until(
        lambda: child.serves(lambda: _status(setup.url, "/api/v2/version") == 200),
        children=[child],
        timeout=START_TIMEOUT,
        what="Airflow's API server",
    )


def warm_up(setup: AirflowSetup, password: str) -> None:
    """Let the API server do its first-use work (6 to 10 s of CPU) before a task or a person waits for it.

    The pages' data, the REST API and the tasks' own API build their parts separately.
    """
    token = _token(setup.url, password)
    _status(setup.url, "/execution/health")  # takes no user's token
    for path in ("/api/v2/dags?limit=1", "/ui/config"):
        _status(setup.url, path, token)


def _all_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=10) as answer:
            report = json.load(answer)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return all((report.get(key) or {}).get("status") == "healthy" for key in HEALTH_KEYS)


def _status(url: str, path: str, token: str = "") -> int:
    request = urllib.request.Request(
        url + path, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return 0


def _token(url: str, password: str) -> str:
    request = urllib.request.Request(
        f"{url}/auth/token",
        data=json.dumps({"username": ADMIN, "password": password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["access_token"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LocalServiceError(
            f"Airflow's API server at {url} does not log in its own user: {error!r}"
        ) from error
