"""Decides which database, which language model and which media folder a local run uses.

For each: an AIRFLOW_CONN_* or AIRFLOW_VAR_* variable wins, then the shorter environment variables, then what
airflow_settings.yaml fills in; what is left comes from the local services.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pressroom.local.astro_settings import AstroSettings
from pressroom.local.processes import LocalServiceError

DATABASE = "pressroom_db"
TEXT = "pressroom_text"
MEDIA_ROOT = "pressroom_media_root"
OPENAI_BASE_URL = "https://api.openai.com/v1"

# The local model answers one or two requests at a time at some 60 tokens a second, and a batch asks for many
# at once: the last of them waits for all the others.
LOCAL_TEXT_OPTIONS = {"requests_per_minute": 6000, "tokens_per_minute": 6000000, "timeout_seconds": 600}


@dataclass(frozen=True)
class TextModel:
    """Which model writes: its name and base URL, and whether it is the one that this runner serves."""

    name: str
    base_url: str
    local: bool


def conn_variable(conn_id: str) -> str:
    """The environment variable of an Airflow connection."""
    return f"AIRFLOW_CONN_{conn_id.upper()}"


def outside_text(
    environ: Mapping[str, str], settings: AstroSettings
) -> tuple[TextModel, dict[str, str]] | None:
    """The language model the user has set up, with the variables to export for it; None if there is none."""
    given = environ.get(conn_variable(TEXT))
    if given:
        return _text_model(_parse_connection(given)), {}
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
    connection = _parse_connection(filled["uri"]) if "uri" in filled else dict(filled)
    return _text_model(connection), {}


def local_text(name: str, base_url: str, settings: AstroSettings) -> tuple[TextModel, dict[str, str]]:
    """The language model this runner serves, with the variables to export for it."""
    extra = {**settings.options(TEXT), **LOCAL_TEXT_OPTIONS, "model": name}
    connection = _text_connection(base_url, "local", extra)
    return TextModel(name, base_url, local=True), {conn_variable(TEXT): json.dumps(connection)}


def outside_database(environ: Mapping[str, str], settings: AstroSettings) -> str | None:
    """The URL of the database the user has set up for Pressroom, or None to use the embedded one."""
    given = environ.get(conn_variable(DATABASE))
    if given:
        return _database_url(_parse_connection(given))
    if environ.get("PRESSROOM_DATABASE_URL"):
        return environ["PRESSROOM_DATABASE_URL"]
    filled = settings.filled(DATABASE)
    if filled is None:
        return None
    return _database_url(_parse_connection(filled["uri"]) if "uri" in filled else filled)


def database_variables(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What to export so that Airflow's tasks and Pressroom's command line use the same database."""
    variables = {"PRESSROOM_DATABASE_URL": url}
    if not environ.get(conn_variable(DATABASE)):
        parts = urlsplit(url)
        connection = {
            "conn_type": "postgres",
            "host": parts.hostname or "",
            "port": parts.port or 5432,
            "login": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "schema": unquote(parts.path.lstrip("/")),
            "extra": dict(parse_qsl(parts.query)),
        }
        variables[conn_variable(DATABASE)] = json.dumps(connection)
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


def _text_model(connection: Mapping[str, Any]) -> TextModel:
    extra = connection.get("extra") or {}
    options = json.loads(extra) if isinstance(extra, str) else extra
    host = connection.get("host") or OPENAI_BASE_URL
    return TextModel(str(options.get("model", "")), str(host), local=False)


def _parse_connection(value: str) -> dict[str, Any]:
    """A connection in one of the two formats Airflow reads from the environment: JSON, or a URI."""
    if value.lstrip().startswith("{"):
        try:
            parsed: dict[str, Any] = json.loads(value)
        except ValueError as error:
            # The text itself may hold a password and stays out of the message.
            raise LocalServiceError(f"An AIRFLOW_CONN_* variable is not valid JSON: {error}") from None
        return parsed
    parts = urlsplit(value)
    host = unquote(parts.hostname or "")
    extra = dict(parse_qsl(parts.query))
    return {
        "conn_type": parts.scheme,
        "host": host,
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path.lstrip("/")),
        "extra": json.loads(extra["__extra__"]) if "__extra__" in extra else extra,
    }


def _database_url(connection: Mapping[str, Any]) -> str:
    extra = connection.get("extra") or {}
    options = json.loads(extra) if isinstance(extra, str) else extra
    login = quote(str(connection.get("login") or ""), safe="")
    password = quote(str(connection.get("password") or ""), safe="")
    account = f"{login}:{password}@" if password else f"{login}@" if login else ""
    query = f"?{urlencode(options)}" if options else ""
    host = connection.get("host") or "localhost"
    port = connection.get("port") or 5432
    return f"postgresql://{account}{host}:{port}/{connection.get('schema') or ''}{query}"
