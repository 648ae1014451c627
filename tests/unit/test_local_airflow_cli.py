"""Airflow's own command line on the services that run here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pressroom_dev.__main__ import app


def test_airflows_commands_run_in_the_environment_of_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def execve(_: str, words: list[str], environment: dict[str, str]) -> Any:
        calls.append((words, environment))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    below = tmp_path / "dags"
    below.mkdir()
    monkeypatch.chdir(below)
    nothing = CliRunner().invoke(app, ["airflow", "dags", "list"])
    assert (nothing.exit_code, calls) == (1, [])
    assert "make up" in nothing.stderr

    (tmp_path / ".pressroom").mkdir()
    (tmp_path / ".pressroom" / "environment.json").write_text(json.dumps({"AIRFLOW_HOME": "/there"}))
    CliRunner().invoke(app, ["airflow", "dags", "list", "--output", "json", "--help"])
    [(words, environment)] = calls
    assert words[1:] == ["-m", "airflow", "dags", "list", "--output", "json", "--help"]
    assert environment["AIRFLOW_HOME"] == "/there"
    assert environment["PATH"] == os.environ["PATH"]
