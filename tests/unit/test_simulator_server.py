"""The simulator as a process of its own, over real connections."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import pressroom
from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.domain.errors import UnknownOutcome
from pressroom_dev.local.ports import PortReservations
from pressroom_dev.local.processes import kill, spawn, stop, wait_until
from tests.support.metricool_world import post

INCLUDE = Path(pressroom.__file__).parent.parent
MINE = post("Hello", at=datetime.now(UTC) + timedelta(days=2))


class Server:
    """A running simulator."""

    def __init__(self, port: int, state: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        options = ["--port", str(port), "--state", str(state), "--strength", "0"]
        self._child = spawn(
            "simulator", [sys.executable, "-m", "pressroom_dev.simulator", *options],
            env={"PYTHONPATH": str(INCLUDE)}, log=state.with_suffix(".log"), cwd=state.parent, port=port,
        )  # fmt: skip
        wait_until(
            lambda: self._child.serves(self._is_up), children=[self._child], timeout=60, what="The simulator"
        )

    def _is_up(self) -> bool:
        try:
            return bool(httpx.get(f"{self.url}/simulator").json()["simulator"])
        except httpx.TransportError:
            return False

    def stop(self) -> str:
        """End it, and return what it had to say."""
        stop([self._child], grace=20)
        return self._child.log.read_text("utf-8")

    def kill(self) -> None:
        """End it as a power cut would."""
        kill(self._child)

    def ask(self, path: str, body: Any = None) -> Any:
        """What a control route answers; with a body, to a POST of it."""
        url = f"{self.url}/simulator{path}"
        answer = httpx.get(url) if body is None else httpx.post(url, json=body)
        return answer.raise_for_status().json()

    def metricool(self, timeout: float = 20) -> MetricoolTarget:
        extra = {"user_id": 7, "blog_id": 42, "simulator": True, "timeout_seconds": timeout}
        return MetricoolTarget(MetricoolSettings.from_connection("social", host=self.url, extra=extra))


@pytest.fixture
def port() -> Iterator[int]:
    ports = PortReservations()
    yield ports.take(8090)
    ports.release()


async def test_lost_answers_and_a_killed_server_lose_no_post(port: int, tmp_path: Path) -> None:
    state = tmp_path / "journal.jsonl"
    server = Server(port, state)
    faults = [
        {"action": "lost", "method": "POST", "times": 1},
        {"action": "lost", "method": "POST", "hang_seconds": 30},
    ]
    server.ask("/faults", faults)
    async with server.metricool() as metricool:
        with pytest.raises(UnknownOutcome, match="RemoteProtocolError"):
            await metricool.publish(MINE)
    async with server.metricool(timeout=0.5) as metricool:
        with pytest.raises(UnknownOutcome, match="ReadTimeout"):
            await metricool.publish(MINE)
    server.ask("/clock", {"advance_seconds": 3600})
    server.kill()

    server = Server(port, state)
    async with server.metricool() as metricool:
        found = await metricool.find(MINE)
        now = await metricool.metrics.now()
    records = server.ask("/posts")["data"]
    # Dropping a connection on purpose is no error of the server's.
    assert server.stop() == ""
    assert found is not None
    assert found.external_id == str(records[0]["id"])
    assert len(records) == 2
    assert now > datetime.now(UTC) + timedelta(minutes=59)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--timezone", "Mars/Base"], "unknown time zone"), (["--state", "broken.jsonl"], "line 1")],
)
def test_what_it_cannot_start_with_is_said(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("no journal\n")
    done = subprocess.run(
        [sys.executable, "-m", "pressroom_dev.simulator", *arguments],
        env={"PYTHONPATH": str(INCLUDE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
