"""The local runner's processes: on ports of their own, known as its own, and gone when the runner is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pressroom_dev.local import airflow_processes
from pressroom_dev.local.airflow_processes import API_SERVER, AirflowSetup
from pressroom_dev.local.guard import WITH_PARENT
from pressroom_dev.local.ports import HOST, PortReservations, listener
from pressroom_dev.local.processes import LocalServiceError, PortTaken, kill, spawn, wait_until
from pressroom_dev.local.services import POSTGRES_PORT, LocalServices
from tests.support.roots import throwaway_root

# Ignores SIGTERM, and has a child in a process group of its own, as Airflow's tasks are.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], process_group=0)
time.sleep(600)
"""

RUNNER = """
import sys, time
from pathlib import Path
from pressroom_dev.local.postgres import EmbeddedPostgres
from pressroom_dev.local.processes import spawn
from pressroom_dev.local.running import Running
from pressroom_dev.local.services import STOPPED
from pressroom_dev.local.signals import Signals

root, stubborn = Path(sys.argv[1]), [sys.executable, "-c", sys.argv[2], sys.argv[1]]
Signals().end_in_order()
running = Running(root, root, {}, lambda *_: None)
running.end_leftovers()
port = running.ports.take(15440)
postgres = EmbeddedPostgres(root / "postgres", port=port, password="x", log=root / "postgres.log")
try:
    postgres.wait(running.add(postgres.start()), {})
    running.add(spawn("triggerer", stubborn, env={}, log=root / "stubborn.log", cwd=root))
    (root / "ready").touch()
    time.sleep(600)
finally:
    running.stop([({"triggerer", "postgres"}, 1.0)])
"""

TWO_GUARDS = """
import sys, time
from pathlib import Path
import psutil
from pressroom_dev.local.processes import spawn

start = lambda name: spawn(name, sys.argv[2:], env={}, log=Path(sys.argv[1]), cwd=Path("/"))
start("first")
[guard] = [child for child in psutil.Process().children() if "pressroom_dev.local.guard" in child.cmdline()]
guard.kill()
guard.wait()
start("second")
time.sleep(600)
"""

# As make is to a runner: its parent, that waits for it.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"


@pytest.fixture
def root() -> Iterator[Path]:
    with throwaway_root() as folder:
        yield folder


def alive(root: Path) -> list[str]:
    """The command lines of all processes that name this root."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(root) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def until(ready: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def until_nothing_runs(root: Path) -> None:
    until(lambda: alive(root) == [], f"still running: {alive(root)}", 20)


@contextmanager
def runner(root: Path, *before: str, with_parent: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A runner with Postgres and a stubborn service. ``before``: how it is started, if not directly."""
    (root / "ready").unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, *before, "-c", RUNNER, str(root), STUBBORN],
        env={**os.environ, WITH_PARENT: with_parent},
    )
    try:
        until(lambda: (root / "ready").exists() or process.poll() is not None, "the runner is not ready")
        assert process.poll() is None
        assert sum("bin/postgres" in command for command in alive(root)) == 1
        until(lambda: sum(command.endswith(f"sleep(600) {root}") for command in alive(root)) == 1, "no child")
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_runner_that_is_killed_leaves_nothing_running(root: Path) -> None:
    with runner(root):
        pass
    until_nothing_runs(root)


def test_its_root_can_be_used_again_at_once(root: Path) -> None:
    with runner(root):
        pass
    with runner(root):
        assert sum("time.sleep(600)" in command for command in alive(root)) == 3
    until_nothing_runs(root)


def test_what_make_has_started_ends_when_make_is_killed(root: Path) -> None:
    with runner(root, "-c", PARENT, with_parent="1"):
        pass
    until_nothing_runs(root)


def test_what_nohup_has_started_outlives_its_shell(root: Path) -> None:
    with runner(root, "-c", PARENT) as shell:
        [process] = psutil.Process(shell.pid).children()
    time.sleep(2)
    assert len(alive(root)) >= 4
    process.send_signal(signal.SIGTERM)
    until_nothing_runs(root)


def test_a_guard_that_is_killed_is_followed_by_another(root: Path) -> None:
    service = [sys.executable, "-c", "import time; time.sleep(600)", str(root)]
    process = subprocess.Popen([sys.executable, "-c", TWO_GUARDS, str(root / "log"), *service])
    until(lambda: sum(command == " ".join(service) for command in alive(root)) == 2, "the services")
    process.kill()
    process.wait()
    until_nothing_runs(root)


def test_a_program_that_is_missing_is_said_in_its_log(root: Path) -> None:
    child = spawn("service", ["/no/such/program"], env={}, log=root / "log", cwd=root)
    with pytest.raises(LocalServiceError, match=r"(?s)service ended with exit code 127\..*/no/such/program"):
        wait_until(lambda: False, children=[child], timeout=20, what="It")
    kill(child)


# Ports --------------------------------------------------------------------------------------------------


@contextmanager
def somebody_else(status: int = 200) -> Iterator[int]:
    """A server of another program: it answers everything with an empty object. Yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


LISTENING = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
)


def test_who_listens_is_said() -> None:
    with somebody_else() as port:
        assert listener(port) == f"{psutil.Process().name()} (process {os.getpid()})"
    assert listener(port) == ""


def test_a_service_whose_port_is_taken_says_by_whom(root: Path) -> None:
    with somebody_else() as port:
        command = [sys.executable, "-c", LISTENING, str(port)]
        child = spawn("simulator", command, env={}, log=root / "log", cwd=root, port=port)
        with pytest.raises(PortTaken, match=rf"^simulator cannot listen on port {port}: .* does\.$"):
            wait_until(lambda: False, children=[child], timeout=20, what="It")
        kill(child)


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_of_somebody_else_is_not_the_api_servers(root: Path, status: int) -> None:
    """Not even while the API server still starts, and has not seen yet that it cannot listen."""
    with somebody_else(status) as port:
        late = f"import time; time.sleep({0 if status == 404 else 60})"
        command = [sys.executable, "-c", late]
        child = spawn(API_SERVER, command, env={}, log=root / "log", cwd=root, port=port)
        with pytest.raises(PortTaken, match=f"{API_SERVER} cannot listen on port {port}"):
            airflow_processes.wait_for_api(AirflowSetup(root, root, root, port, ""), child)
        kill(child)


def test_a_service_is_ready_when_it_answers_itself(root: Path) -> None:
    ports = PortReservations()
    port = ports.take(15450)
    command = [sys.executable, "-c", LISTENING, str(port)]
    child = spawn("simulator", command, env={}, log=root / "log", cwd=root, port=port)
    wait_until(lambda: child.serves(lambda: True), children=[child], timeout=20, what="It")
    kill(child)
    ports.release()


def test_an_api_server_that_gives_no_token_is_said_in_one_sentence(root: Path) -> None:
    with (
        somebody_else() as port,
        pytest.raises(LocalServiceError, match="does not log in its own user") as raised,
    ):
        airflow_processes.warm_up(AirflowSetup(root, root, root, port, ""), "password")
    assert "\n" not in str(raised.value)


def test_services_start_again_on_other_ports_when_somebody_was_faster(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who knows nothing of reservations listens between the choice of the port and the start."""
    reports: list[str] = []
    taken: list[socket.socket] = []
    take = PortReservations.take

    def take_and_lose(self: PortReservations, preferred: int) -> int:
        port = take(self, preferred)
        if preferred == POSTGRES_PORT and not taken:
            taken.append(socket.create_server((HOST, port)))
        return port

    monkeypatch.setattr(PortReservations, "take", take_and_lose)
    monkeypatch.setattr(airflow_processes, "bootstrap", lambda *_, **__: None)
    prepared: list[str] = []
    services = LocalServices(
        root, model=False, airflow=False, prepare=prepared.append,
        report=lambda service, message: reports.append(message),
    )  # fmt: skip
    with services:
        port = taken[0].getsockname()[1]
        assert any(f"postgres cannot listen on port {port}" in report for report in reports)
        assert f":{port}/" not in services.info.database_url
        assert prepared == [services.info.database_url]
    taken[0].close()
    assert alive(root) == []
