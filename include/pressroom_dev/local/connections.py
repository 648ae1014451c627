"""Decides which database, which language model and which media folder a local run uses.

For each an environment variable wins, then what airflow_settings.yaml fills in; what is left comes from the
local services.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pressroom.settings import (
    DATABASE_CONNECTION,
    DATABASE_VARIABLE,
    SETTINGS_FILE,
    connection_url,
    database_in_environment,
    read_connection,
)
from pressroom_dev.local.astro_settings import AstroSettings

TEXT = "pressroom_text"
MEDIA_ROOT = "pressroom_media_root"
METRICOOL = "pressroom_metricool"
STATIC_SITE = "pressroom_static_site"
OPENAI_BASE_URL = "https://api.openai.com/v1"

# The local model answers one or two requests at a time at some 60 tokens a second, and a batch asks for many
# at once: the last of them waits for all the others.
LOCAL_TEXT_OPTIONS = {"requests_per_minute": 6000, "tokens_per_minute": 6000000, "timeout_seconds": 600}


@dataclass(frozen=True)
class LocalTextModel:
    """Which model writes: its name and base URL, and whether it is the one that this runner serves."""

    name: str
    base_url: str
    local: bool


def conn_variable(conn_id: str) -> str:
    """The environment variable of an Airflow connection."""
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def outside_text(
    environ: Mapping[str, str], settings: AstroSettings
) -> tuple[LocalTextModel, dict[str, str]] | None:
    """The language model the user has set up, with the variables to export for it; None if there is none."""
    variable = environ.get(conn_variable(TEXT))
    if variable:
        return _text_model(read_connection(variable, f"the variable {conn_variable(TEXT)}")), {}
    if environ.get("OPENAI_BASE_URL") or environ.get("OPENAI_API_KEY"):
        extra = settings.options(TEXT)
        if environ.get("OPENAI_MODEL"):
            extra["model"] = environ["OPENAI_MODEL"]
        connection = _text_connection(
            environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL, environ.get("OPENAI_API_KEY", ""), extra
        )
        return _text_model(connection), {conn_variable(TEXT): json.dumps(connection)}
    filled = settings.filled(TEXT)
    if filled is None:
        return None
    return _text_model(_fields(TEXT, filled)), {}


def local_text(name: str, base_url: str, settings: AstroSettings) -> tuple[LocalTextModel, dict[str, str]]:
    """The language model this runner serves, with the variables to export for it."""
    extra = {**settings.options(TEXT), **LOCAL_TEXT_OPTIONS, "model": name}
    connection = _text_connection(base_url, "local", extra)
    return LocalTextModel(name, base_url, local=True), {conn_variable(TEXT): json.dumps(connection)}


def outside_metricool(environ: Mapping[str, str], settings: AstroSettings) -> bool:
    """Whether the user has set Metricool up, so that no simulator is needed."""
    return bool(environ.get(conn_variable(METRICOOL))) or settings.filled(METRICOOL) is not None


def simulator_variables(connection: Mapping[str, Any], base_url: str) -> dict[str, str]:
    """What to export so that missions post to the simulator, which also serves the media to itself."""
    return {
        conn_variable(METRICOOL): json.dumps(connection),
        "PRESSROOM_MEDIA_PUBLIC_URL": f"{base_url}/media",
    }


def static_site_variables(
    environ: Mapping[str, str], settings: AstroSettings, folder: Path
) -> dict[str, str]:
    """What to export so that flows publish to a local site when none is set up; nothing when one is."""
    if environ.get(conn_variable(STATIC_SITE)) or settings.filled(STATIC_SITE) is not None:
        return {}
    connection = {"conn_type": "generic", "host": folder.absolute().as_uri()}
    return {conn_variable(STATIC_SITE): json.dumps(connection)}


def outside_database(environ: Mapping[str, str], settings: AstroSettings) -> str | None:
    """The URL of the database the user has set up for Pressroom, or None to use the embedded one."""
    filled = settings.filled(DATABASE_CONNECTION)
    if (url := database_in_environment(environ)) or filled is None:
        return url
    return connection_url(_fields(DATABASE_CONNECTION, filled), _where(DATABASE_CONNECTION))


def database_variables(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What to export so that Airflow's tasks and Pressroom's command line use the same database."""
    variables = {DATABASE_VARIABLE: url}
    name = conn_variable(DATABASE_CONNECTION)
    # A connection string of the form "host=… dbname=…" is understood by Postgres' own clients only.
    if not environ.get(name) and "://" in url:
        connection = read_connection(url, "Pressroom's database URL") | {"conn_type": "postgres"}
        variables[name] = json.dumps({key: value for key, value in connection.items() if value})
    return variables


def media_variables(environ: Mapping[str, str], settings: AstroSettings, default: Path) -> dict[str, str]:
    """What to export so that everyone keeps media in the same place: a folder or an object storage URL."""
    variable = f"AIRFLOW_VAR_{MEDIA_ROOT.upper()}"
    root = (
        environ.get(variable)
        or environ.get("PRESSROOM_MEDIA_ROOT")
        or settings.variables.get(MEDIA_ROOT)
        or default.absolute().as_uri()
    )
    return {"PRESSROOM_MEDIA_ROOT": root, variable: root}


def _text_connection(base_url: str, key: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"conn_type": "generic", "host": base_url, "password": key, "extra": dict(extra)}


def _text_model(connection: Mapping[str, Any]) -> LocalTextModel:
    options = connection.get("extra") or {}
    host = connection.get("host") or OPENAI_BASE_URL
    return LocalTextModel(str(options.get("model", "")), str(host), local=False)


def _fields(conn_id: str, filled: Mapping[str, Any]) -> Mapping[str, Any]:
    """Airflow's fields of an entry of airflow_settings.yaml, which may give a URI in their place."""
    return read_connection(filled["uri"], _where(conn_id)) if "uri" in filled else filled


def _where(conn_id: str) -> str:
    return f"the connection {conn_id} in {SETTINGS_FILE}"
