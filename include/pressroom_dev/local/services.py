"""Starts everything a local Pressroom needs, in the order that is ready soonest, and ends it all again.

    with LocalServices(Path(".pressroom")) as services:
        print(services.info.airflow_url)

Two of them run side by side when their roots differ. Whatever ends the runner (the end of the block, an
exception, Ctrl-C, SIGTERM) ends the services too; what a killed runner left is ended by the next start on the
same root.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from pressroom_dev.local import (
    airflow_processes,
    astro_settings,
    connections,
    model_server,
    processes,
    simulator_server,
)
from pressroom_dev.local.airflow_processes import ADMIN, AirflowSetup, Secrets, write_private
from pressroom_dev.local.connections import TextModel
from pressroom_dev.local.ports import PortReservations
from pressroom_dev.local.postgres import EmbeddedPostgres
from pressroom_dev.local.processes import Child, LocalServiceError, Registry, stop, wait_until

POSTGRES_PORT = 15432
MODEL_PORT = 8081
SIMULATOR_PORT = 8082
AIRFLOW_PORT = 8080

AIRFLOW_DATABASE = "airflow"
PRESSROOM_DATABASE = "pressroom"

POSTGRES = "postgres"
MODEL = "model server"
API_SERVER = "api server"

# How long Airflow's components may take to end by themselves. They would wait for running tasks to end, which
# may take minutes; a task that is cut off resumes from item status at the next start.
GRACE_SECONDS = 6.0

PROJECT = Path(__file__).resolve().parents[3]

Report = Callable[[str, str], None]
Prepare = Callable[[str], None]


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
    model: TextModel | None
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
        self._project = project.absolute()
        self._dags = (dags or self._project / "dags").absolute()
        self._settings_file = (settings or self._project / "airflow_settings.yaml").absolute()
        self._extra_env = dict(extra_env or {})
        self._serve_model = model
        self._parallelism = parallelism
        self._report = report
        self._prepare = prepare
        self._with_airflow = airflow
        self._ports = PortReservations()
        self._registry = Registry(self.root / "processes.json")
        self._children: list[Child] = []
        self._lock: IO[bytes] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
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
        """The environment of the services, for commands that shall use the same databases and connections."""
        return dict(self._env)

    @property
    def children(self) -> tuple[Child, ...]:
        """The running services, for those who want to watch or, in a test, kill one."""
        return tuple(self._children)

    def replace(self, name: str) -> None:
        """Kill an Airflow component with all its processes, and start it anew: what a crash looks like."""
        old = next(child for child in self._children if child.name == name)
        processes.kill(old)
        self._children.remove(old)
        self._add(airflow_processes.start(name, env=self._env, log=self._log(name), cwd=self.root))

    def __enter__(self) -> LocalServices:
        self._take_root()
        try:
            self._catch_signals()
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
        while True:
            for child in self._children:
                child.require_running()
            time.sleep(0.5)

    # Starting

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

    def _start(self) -> None:
        began = time.monotonic()
        for name in self._registry.end_leftovers():
            self._report(name, "ended: left over from a runner that was killed")
        keys = Secrets.load(self.root / "secrets.json")
        caller = {**os.environ, **self._extra_env}
        settings = astro_settings.read(self._settings_file)

        # The model loads while Postgres starts; both are mostly waiting for the disk.
        postgres, postgres_child = self._start_postgres(keys)
        model, model_variables, model_ready = self._start_model(caller, settings)

        setup = AirflowSetup(
            project=self._project,
            root=self.root,
            dags=self._dags,
            port=self._ports.take(AIRFLOW_PORT),
            database_url=postgres.url(AIRFLOW_DATABASE),
            parallelism=self._parallelism,
        )
        outside_database = connections.outside_database(caller, settings)
        database_url = outside_database or postgres.url(PRESSROOM_DATABASE)
        media = connections.media_variables(caller, settings, self.root / "media")
        simulator_url, simulator_variables, simulator_ready = self._start_simulator(
            caller, settings, media["PRESSROOM_MEDIA_ROOT"]
        )
        self._env = {
            **self._base_environment(),
            **setup.environment(keys),
            **model_variables,
            **connections.database_variables(database_url, caller),
            **media,
            **simulator_variables,
            **connections.static_site_variables(caller, settings, self.root / "site"),
            **self._extra_env,
        }
        setup.write_passwords(keys)
        self._info = ServiceInfo(
            pid=os.getpid(),
            airflow_url=setup.url,
            airflow_user=ADMIN,
            airflow_password=keys.admin_password,
            database_url=database_url,
            media_root=media["PRESSROOM_MEDIA_ROOT"],
            simulator_url=simulator_url,
            model=model,
            logs=str(self.root / "logs"),
        )

        databases: dict[str, dict[str, str]] = {AIRFLOW_DATABASE: {}}
        if outside_database is None:
            # A credit that was settled must still be settled after a crash of the machine.
            databases[PRESSROOM_DATABASE] = {"synchronous_commit": "on"}
        postgres.wait(postgres_child, databases)
        self._report("postgres", f"ready on port {postgres.port}")

        self._prepare(database_url)
        self._set_up_airflow(postgres)
        if self._with_airflow:
            self._start_airflow(setup, keys)
        model_ready()
        simulator_ready()
        write_private(self.root / "local.json", asdict(self._info))
        self._report("pressroom", f"all services ready after {time.monotonic() - began:.1f} s")

    def _start_postgres(self, keys: Secrets) -> tuple[EmbeddedPostgres, Child]:
        server = EmbeddedPostgres(
            self.root / "postgres",
            port=self._ports.take(POSTGRES_PORT),
            password=keys.postgres_password,
            log=self._log("postgres"),
        )
        self._report("postgres", "starting")
        return server, self._add(server.start())

    def _start_model(
        self, caller: Mapping[str, str], settings: astro_settings.AstroSettings
    ) -> tuple[TextModel | None, dict[str, str], Callable[[], None]]:
        outside = connections.outside_text(caller, settings)
        if self._serve_model is not True and outside is not None:
            self._report("model", f"using {outside[0].name or 'the connection'} at {outside[0].base_url}")
            return *outside, lambda: None
        if self._serve_model is False:
            return None, {}, lambda: None
        file = model_server.find_model(caller)
        port = self._ports.take(MODEL_PORT)
        self._report("model", f"loading {file.name}")
        child = self._add(
            model_server.start(
                file,
                port=port,
                env={**self._base_environment(), **self._extra_env},
                log=self._log("model"),
                cwd=self.root,
            )
        )

        def wait() -> None:
            wait_until(
                lambda: model_server.healthy(port),
                children=[child],
                timeout=model_server.START_TIMEOUT,
                what=f"The language model {file.name}",
            )
            self._report("model", f"{file.name} ready on port {port}")

        name = model_server.model_name(file)
        return *connections.local_text(name, model_server.base_url(port), settings), wait

    def _start_simulator(
        self, caller: Mapping[str, str], settings: astro_settings.AstroSettings, media_root: str
    ) -> tuple[str | None, dict[str, str], Callable[[], None]]:
        if not self._with_airflow:
            return None, {}, lambda: None
        if connections.outside_metricool(caller, settings):
            self._report("simulator", "not needed: the connection to Metricool is set up")
            return None, {}, lambda: None
        port = self._ports.take(SIMULATOR_PORT)
        child = self._add(
            simulator_server.start(
                port=port, state=self.root / "simulator.jsonl", media_root=media_root,
                env={**self._base_environment(), **self._extra_env},
                log=self._log("simulator"), cwd=self.root,
            )
        )  # fmt: skip

        def wait() -> None:
            wait_until(
                lambda: simulator_server.healthy(port), children=[child],
                timeout=simulator_server.START_TIMEOUT, what="The simulator",
            )  # fmt: skip
            self._report("simulator", f"in Metricool's place on port {port}: nothing is posted anywhere")

        url = simulator_server.base_url(port)
        return url, connections.simulator_variables(simulator_server.connection(port), url), wait

    def _set_up_airflow(self, postgres: EmbeddedPostgres) -> None:
        self._report("airflow", "checking its database")
        worked = airflow_processes.bootstrap(
            self._settings_file,
            env=self._env,
            stamp=postgres.home / "bootstrap.stamp",
            log=self._log("bootstrap"),
            cwd=self.root,
        )
        self._report("airflow", "database and settings loaded" if worked else "database is up to date")

    def _start_airflow(self, setup: AirflowSetup, keys: Secrets) -> None:
        self._report("airflow", "starting API server, scheduler, dag processor and triggerer")
        started = {
            name: self._add(airflow_processes.start(name, env=self._env, log=self._log(name), cwd=self.root))
            for name in airflow_processes.COMPONENTS
        }
        airflow_processes.wait_for_api(setup, started["api server"])
        # While the others still start.
        airflow_processes.warm_up(setup, keys.admin_password)
        self._report("airflow", f"API server ready at {setup.url}")
        airflow_processes.wait_for_health(setup, list(started.values()))
        self._report("airflow", "all components healthy")

    def _base_environment(self) -> dict[str, str]:
        env = dict(os.environ)
        # Without byte code each start and each task would compile what it imports.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        paths = [str(self._project / "include"), str(self._project / "config"), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        env["PYTHONUNBUFFERED"] = "1"
        return env

    def _log(self, name: str) -> Path:
        return self.root / "logs" / f"{name.replace(' ', '-')}.log"

    def _add(self, child: Child) -> Child:
        self._children.append(child)
        self._registry.write(self._children)
        return child

    # Ending

    def _catch_signals(self) -> None:
        # Only the main thread may set handlers; elsewhere the block's own end does the work.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _leave)

    def _shut_down(self) -> None:
        impatient = threading.Event()
        # A second Ctrl-C must not end the ending; it shortens it.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                previous = signal.signal(number, lambda *_: impatient.set())
                self._handlers.setdefault(number, previous)
        if self._children:
            self._report("pressroom", "stopping")
        # A task that is ending reports to the API server, which writes to Postgres: hence in this order.
        workers = set(airflow_processes.COMPONENTS) - {API_SERVER}
        for names, grace in (
            (workers, GRACE_SECONDS),
            ({API_SERVER, MODEL, simulator_server.NAME}, 2.0),
            ({POSTGRES}, 15.0),
        ):
            group = [child for child in self._children if child.name in names]
            stop(group, grace=grace, hurry=impatient.is_set)
        self._children.clear()
        self._registry.clear()
        self._info = None
        (self.root / "local.json").unlink(missing_ok=True)
        self._ports.release()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
