"""The local runner as a user starts it: ready, steered from the command line, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from pressroom_dev.local.guard import WITH_PARENT
from tests.support.roots import throwaway_root

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
COMMAND = [sys.executable, "-c", "from pressroom.cli import app; app()"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Airflow's usual port, in use by somebody else (which it may be already)."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", 8080))
            server.listen()
        except OSError:
            pass
        yield 8080


def processes_of(root: Path) -> list[str]:
    """Every process that has anything to do with this root."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(root) in text for text in told):
            found.append(" ".join(process.cmdline()))
    return found


def wait_for(file: Path, runner: subprocess.Popen[str]) -> dict[str, Any]:
    end = time.monotonic() + 150
    while True:
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text("utf-8"))
            if found["pid"] == runner.pid:  # and not a runner's that was killed
                return found
        assert runner.poll() is None, runner.communicate()[0]
        assert time.monotonic() < end, "not ready in time"
        time.sleep(0.2)


@pytest.fixture
def root() -> Iterator[Path]:
    with throwaway_root() as folder:
        yield folder


def up(root: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pressroom_dev", "up", "--root", str(root)]
    # Should these tests be killed, it ends too.
    return subprocess.Popen(
        command, env={**env, WITH_PARENT: "1"}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_up_is_ready_on_free_ports_and_leaves_nothing_running(root: Path, taken_port: int) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PRESSROOM", "AIRFLOW"))}
    env |= {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-secret"}
    runner = up(root, env)
    try:
        wait_for(root / "local.json", runner)
        # Runner, Postgres, simulator, Airflow's components; their children overwrite what would show them.
        assert len(processes_of(root)) >= 7
    finally:
        # Killed, it can end nothing itself.
        runner.kill()
        runner.communicate(timeout=60)
    end = time.monotonic() + 20
    while left := processes_of(root):
        assert time.monotonic() < end, left
        time.sleep(0.2)

    runner = up(root, env)
    try:
        info = wait_for(root / "local.json", runner)
        assert f":{taken_port}" not in info["airflow_url"]
        assert (root / "local.json").stat().st_mode & 0o077 == 0
        assert (root / "logs").stat().st_mode & 0o077 == 0
        assert {log.stat().st_mode & 0o077 for log in (root / "logs").glob("*.log")} == {0}

        examples = Path(__file__).resolve().parents[2] / "examples"
        own = env | {"PRESSROOM_DATABASE_URL": info["database_url"]}
        for command in (
            ["apply", "-f", str(examples)],
            ["overview", "home-coffee"],
            ["estimate", "home-coffee"],
        ):
            done = subprocess.run([*COMMAND, *command], env=own, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
    finally:
        runner.send_signal(signal.SIGINT)
        output, _ = runner.communicate(timeout=60)
    assert info["airflow_url"] in output
    assert info["airflow_password"] in output
    assert "sk-secret" not in output
    assert processes_of(root) == []
    assert not (root / "local.json").exists()
    for log in (root / "logs").rglob("*.log"):
        assert "sk-secret" not in log.read_text("utf-8", errors="replace"), log


def test_a_database_that_does_not_answer_gives_one_clear_message(tmp_path: Path) -> None:
    env = os.environ | {"PRESSROOM_DATABASE_URL": "postgresql://u:pw-secret@127.0.0.1:9/pressroom"}
    done = subprocess.run(
        [*COMMAND, "get", "sites"], env=env, text=True, capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "error: Pressroom's database at 127.0.0.1:9/pressroom does not answer"
    ]
