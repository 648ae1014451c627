"""The simulator in Metricool's place, as a child process of the local runner."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pressroom_dev.local.ports import HOST
from pressroom_dev.local.processes import Child, spawn

NAME = "simulator"
START_TIMEOUT = 60.0
TOKEN = "simulator"


def base_url(port: int) -> str:
    """The base URL in place of Metricool's."""
    return f"http://{HOST}:{port}"


def start(*, port: int, state: Path, media_root: str, env: Mapping[str, str], log: Path, cwd: Path) -> Child:
    """Start it without waiting. ``state``: its journal, from which it goes on; ``media_root``: a file:// URL,
    or anything else, which it then does not serve.
    """
    command = [
        sys.executable, "-m", "pressroom_dev.simulator", "--port", str(port), "--state", str(state),
        "--timezone", env.get("PRESSROOM_SIMULATOR_TIMEZONE", "UTC"),
        "--seed", env.get("PRESSROOM_SIMULATOR_SEED", "1"),
    ]  # fmt: skip
    if media_root.startswith("file://"):
        command += ["--media-root", media_root.removeprefix("file://")]
    return spawn(NAME, command, env=env, log=log, cwd=cwd, port=port)


def healthy(port: int) -> bool:
    """Whether it answers."""
    try:
        with urllib.request.urlopen(f"{base_url(port)}/simulator/clock", timeout=2) as answer:
            return bool(json.load(answer)["now"])
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False


def connection(url: str) -> dict[str, Any]:
    """The Airflow connection that leads to it."""
    return {
        "conn_type": "http", "host": url, "password": TOKEN,
        "extra": {
            "user_id": 1, "blog_id": 1, "simulator": True, "settle_seconds": 0.5, "pinterest_board": "1",
        },
    }  # fmt: skip
