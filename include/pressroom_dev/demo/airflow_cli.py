"""`airflow`: Airflow's own command line, on the Airflow that runs here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import typer

from pressroom import settings
from pressroom.domain.errors import ConfigurationError
from pressroom_dev.local.services import ENVIRONMENT_FILE


def airflow(context: typer.Context) -> None:
    """Run Airflow's own commands on the services of `make up`, such as `airflow dags list`."""
    path = next(settings.project_files(Path(".pressroom") / ENVIRONMENT_FILE, os.environ), None)
    if path is None:
        raise ConfigurationError("no services run here: start them with `make up`, in this project's folder")
    environment = {**os.environ, **json.loads(path.read_text("utf-8"))}
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *context.args], environment)  # noqa: S606
