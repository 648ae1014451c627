"""Starts everything a local Pressroom needs, in the order that is ready soonest, and ends it all again.

    with LocalServices(Path(".pressroom")) as services:
        print(services.info.airflow_url)

Two of them run side by side when their roots differ. Whatever ends the runner ends the services too: the end
of the block, an exception, Ctrl-C and SIGTERM in good order, SIGKILL by the runner's guard.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from pressroom_dev.local import (
    airflow_processes,
    astro_settings,
    connections,
    model_server,
    simulator_server,
    stand_ins,
)
from pressroom_dev.local.airflow_processes import ADMIN, API_SERVER, AirflowSetup, Secrets, write_private
from pressroom_dev.local.connections import LocalTextModel
from pressroom_dev.local.postgres import EmbeddedPostgres
from pressroom_dev.local.processes import Child, LocalServiceError, PortTaken
from pressroom_dev.local.running import Report, Running
from pressroom_dev.local.signals import Signals
from pressroom_dev.local.stand_ins import StandIn

POSTGRES_PORT = 15432
AIRFLOW_PORT = 8080

AIRFLOW_DATABASE = "airflow"
PRESSROOM_DATABASE = "pressroom"

POSTGRES = "postgres"

# What ends together, with the seconds that it has to end by itself. A task that is ending reports to the API
# server, which writes to Postgres: hence in this order. Airflow's components would wait for running tasks to
# end, which may take minutes; a task that is cut off resumes from item status at the next start.
STOPPED = (
    (set(airflow_processes.COMPONENTS) - {API_SERVER}, 6.0),
    ({API_SERVER, model_server.NAME, simulator_server.NAME}, 2.0),
    ({POSTGRES}, 15.0),
)

STARTS = 3
"""Times that the services start on other ports, because somebody took one of theirs."""

PROJECT = Path(__file__).resolve().parents[3]

Prepare = Callable[[str], None]


ENVIRONMENT_FILE = "environment.json"
"""The variables of the running services, for commands on the same Airflow. Readable by its owner only."""


@dataclass(frozen=True)
class ServiceInfo:
    """How to reach the running services. Written to `<root>/local.json`, readable by its owner only."""

    pid: int
    airflow_url: str
    airflow_user: str
    airflow_password: str
    database_url: str
    media_root: str
    # The simulator's base URL; None when missions post to Metricool itself.
    simulator_url: str | None
    # None when the language model was left out and no connection names one.
    model: LocalTextModel | None
    logs: str


class LocalServices:
    """The local services as a context manager.

    root         where data, logs and secrets are kept; made if missing
    project      holds dags/, plugins/, config/, include/ and airflow_settings.yaml
    dags         another DAG folder than the project's
    settings     another file than the project's airflow_settings.yaml
    extra_env    variables for every service, stronger than the caller's environment and than what is set here
    model        whether to serve a local language model; None: only if no other model is set up
    parallelism  tasks at once, if not as config/airflow.cfg has it
    report       called with a service's name and what happened to it, for progress output
    prepare      called with Pressroom's database URL before Airflow starts, so that its first look at the
                 definitions finds them
    airflow      False: the databases alone, set up, and no component

    Entering raises LocalServiceError, with the reason and the end of the log at fault, and leaves nothing
    running.
    """

    def __init__(
        self,
        root: Path,
        *,
        project: Path = PROJECT,
        dags: Path | None = None,
        settings: Path | None = None,
        extra_env: Mapping[str, str] | None = None,
        model: bool | None = None,
        parallelism: int | None = None,
        report: Report = lambda service, message: None,
        prepare: Prepare = lambda url: None,
        airflow: bool = True,
    ) -> None:
        self.root = root.absolute()
        project = project.absolute()
        self._dags = (dags or project / "dags").absolute()
        self._settings_file = (settings or project / "airflow_settings.yaml").absolute()
        self._serve_model = model
        self._parallelism = parallelism
        self._report = report
        self._prepare, self._prepared = prepare, False
        self._with_airflow = airflow
        self._running = Running(self.root, project, extra_env or {}, report)
        self._signals = Signals()
        self._lock: IO[bytes] | None = None
        self._env: dict[str, str] = {}
        self._info: ServiceInfo | None = None

    @property
    def info(self) -> ServiceInfo:
        """Where the services are. Only inside the with block."""
        if self._info is None:
            raise RuntimeError("the local services are not running")
        return self._info

    @property
    def environment(self) -> dict[str, str]:
        """The services' environment, for commands that use the same databases and connections."""
        return dict(self._env)

    @property
    def children(self) -> tuple[Child, ...]:
        """The running services, to watch one or, in a test, to kill it."""
        return self._running.children

    def start(self, component: str, env: Mapping[str, str] | None = None, log: str = "") -> Child:
        """Start a component of Airflow, without waiting. ``env``: changes to the environment."""
        return airflow_processes.start(self._running, component, {**self._env, **(env or {})}, log)

    def replace(self, component: str) -> None:
        """Kill a component with all its processes, and start another: what a crash looks like."""
        self._running.kill(component)
        self.start(component)

    def __enter__(self) -> LocalServices:
        self._take_root()
        try:
            self._signals.end_in_order()
            self._start()
        except BaseException:
            self._shut_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut_down()

    def wait(self) -> None:
        """Stay until a signal, or until a service ends, which raises LocalServiceError with its log's end."""
        self._running.wait()

    def _take_root(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        lock = (self.root / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LocalServiceError(
                f"Pressroom already runs in {self.root}: see local.json there, or end it first."
            ) from None
        self._lock = lock
        # Airflow makes files of its own below it, which everybody could read.
        logs = self.root / "logs"
        logs.mkdir(exist_ok=True)
        logs.chmod(0o700)

    def _start(self) -> None:
        began = time.monotonic()
        (self.root / "local.json").unlink(missing_ok=True)
        self._running.end_leftovers()
        for left in reversed(range(STARTS)):
            try:
                self._start_services()
                break
            except PortTaken as error:
                if not left:
                    raise
                self._report("pressroom", f"{error} Starting again on other ports")
                self._running.stop(STOPPED)
        changed = {name: value for name, value in self._env.items() if os.environ.get(name) != value}
        write_private(self.root / ENVIRONMENT_FILE, changed)
        write_private(self.root / "local.json", asdict(self.info))
        self._report("pressroom", f"all services ready after {time.monotonic() - began:.1f} s")

    def _start_services(self) -> None:
        keys = Secrets.load(self.root / "secrets.json")
        caller = {**os.environ, **self._running.extra_env}
        settings = astro_settings.read(self._settings_file)

        # The model loads while Postgres starts; both are mostly waiting for the disk.
        postgres, postgres_child = self._start_postgres(keys)
        model = stand_ins.text_model(self._running, caller, settings, serve=self._serve_model)
        media = connections.media_variables(caller, settings, self.root / "media")
        simulator = StandIn()
        if self._with_airflow:
            simulator = stand_ins.simulator(self._running, caller, settings, media["PRESSROOM_MEDIA_ROOT"])

        setup = AirflowSetup(
            project=self._running.project,
            root=self.root,
            dags=self._dags,
            port=self._running.ports.take(AIRFLOW_PORT),
            database_url=postgres.url(AIRFLOW_DATABASE),
            parallelism=self._parallelism,
        )
        setup.write_passwords(keys)
        outside_database = connections.outside_database(caller, settings)
        database_url = outside_database or postgres.url(PRESSROOM_DATABASE)
        self._env = {
            **self._running.environment(),
            **setup.environment(keys),
            **model.variables,
            **connections.database_variables(database_url, caller),
            **media,
            **simulator.variables,
            **connections.static_site_variables(caller, settings, self.root / "site"),
            **self._running.extra_env,
        }
        self._info = ServiceInfo(
            pid=os.getpid(),
            airflow_url=setup.url,
            airflow_user=ADMIN,
            airflow_password=keys.admin_password,
            database_url=database_url,
            media_root=media["PRESSROOM_MEDIA_ROOT"],
            simulator_url=simulator.url,
            model=model.model,
            logs=str(self.root / "logs"),
        )

        databases: dict[str, dict[str, str]] = {AIRFLOW_DATABASE: {}}
        if outside_database is None:
            # A credit that was settled must still be settled after a crash of the machine.
            databases[PRESSROOM_DATABASE] = {"synchronous_commit": "on"}
        postgres.wait(postgres_child, databases)
        self._report("postgres", f"ready on port {postgres.port}")

        if not self._prepared:
            self._prepare(database_url)
            self._prepared = True
        stamp = postgres.home / "bootstrap.stamp"
        airflow_processes.bootstrap(self._running, self._settings_file, env=self._env, stamp=stamp)
        if self._with_airflow:
            airflow_processes.start_all(self._running, setup, self._env, keys.admin_password)
        model.wait()
        simulator.wait()

    def _start_postgres(self, keys: Secrets) -> tuple[EmbeddedPostgres, Child]:
        server = EmbeddedPostgres(
            self.root / "postgres",
            port=self._running.ports.take(POSTGRES_PORT),
            password=keys.postgres_password,
            log=self._running.log("postgres"),
        )
        self._report("postgres", "starting")
        return server, self._running.add(server.start())

    def _shut_down(self) -> None:
        self._signals.only_hurry()
        if self._running.children:
            self._report("pressroom", "stopping")
        self._running.stop(STOPPED, hurry=lambda: self._signals.hurry)
        self._info = None
        for name in ("local.json", ENVIRONMENT_FILE):
            (self.root / name).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._signals.restore()
