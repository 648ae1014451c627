"""Where things are: Pressroom's database, and Airflow's REST address. No Airflow is needed to find out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import yaml

from pressroom.domain.errors import ConfigurationError

DATABASE_CONNECTION = "pressroom_db"
DATABASE_VARIABLE = "PRESSROOM_DATABASE_URL"
CONNECTION_VARIABLE = f"AIRFLOW_CONN_{DATABASE_CONNECTION.upper()}"
SETTINGS_FILE = "airflow_settings.yaml"
# fmt: off
LIBPQ_OPTIONS = frozenset({
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "gssencmode",
    "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts",
    "options", "passfile", "require_auth", "service", "sslcert", "sslcertmode", "sslcrl", "sslkey",
    "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "ssl_max_protocol_version",
    "ssl_min_protocol_version", "target_session_attrs", "tcp_user_timeout",
})
# fmt: on
LOCAL_FILE = Path(".pressroom") / "local.json"


@dataclass(frozen=True)
class AirflowLogin:
    """Airflow's base URL, and who calls it."""

    url: str
    user: str
    password: str = field(repr=False)


def database_url(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> str:
    """Pressroom's database as a libpq URL or connection string. It may hold a password: never show it.

    Taken from PRESSROOM_DATABASE_URL, else AIRFLOW_CONN_PRESSROOM_DB (URI or JSON), else the connection
    pressroom_db of airflow_settings.yaml, else a running local runner. Raises ConfigurationError.
    """
    if url := database_in_environment(environ) or _settings_entry(environ, cwd):
        return url
    local = _local(environ, cwd).get("database_url")
    if isinstance(local, str) and local:
        return local
    raise ConfigurationError(
        f"Pressroom's database is not set up: set {DATABASE_VARIABLE}, or the Airflow connection"
        f" {DATABASE_CONNECTION} as {CONNECTION_VARIABLE}, or fill it in in {SETTINGS_FILE}"
        " (or start the local services with `make up`, and call this in the project's folder)"
    )


def database_in_environment(environ: Mapping[str, str]) -> str | None:
    """The database that a variable names, None when none does. Raises ConfigurationError."""
    if url := environ.get(DATABASE_VARIABLE):
        if not url.startswith(("postgresql://", "postgres://")) and "=" not in url:
            raise ConfigurationError(
                f"{DATABASE_VARIABLE} is not a Postgres URL (postgresql://user:password@host:port/name)"
            )
        return url
    if url := environ.get(CONNECTION_VARIABLE):
        where = f"the variable {CONNECTION_VARIABLE}"
        return connection_url(read_connection(url, where), where)
    return None


def airflow_login(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> AirflowLogin:
    """Airflow's REST address and login: PRESSROOM_AIRFLOW_URL, _USER and _PASSWORD, else the local runner's.

    They come from one place or the other, never mixed: a local password is for no other host.
    Raises ConfigurationError.
    """
    names = ("PRESSROOM_AIRFLOW_URL", "PRESSROOM_AIRFLOW_USER", "PRESSROOM_AIRFLOW_PASSWORD")
    from_environment = [environ.get(name, "") for name in names]
    if from_environment[0]:
        missing = [name for name, value in zip(names, from_environment, strict=True) if not value]
        if missing:
            raise ConfigurationError(f"PRESSROOM_AIRFLOW_URL is set, but {' and '.join(missing)} not")
        return AirflowLogin(*from_environment)
    local = _local(environ, cwd)
    from_file = [local.get(key) for key in ("airflow_url", "airflow_user", "airflow_password")]
    if all(isinstance(value, str) and value for value in from_file):
        return AirflowLogin(*map(str, from_file))
    raise ConfigurationError(
        f"Airflow's address is not known: set {', '.join(names)}, or start the local services with `make up`,"
        " and call this in the project's folder"
    )


def simulator_url(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> str:
    """The base URL of the local runner's simulator. Raises ConfigurationError when none runs."""
    url = _local(environ, cwd).get("simulator_url")
    if isinstance(url, str) and url:
        return url
    raise ConfigurationError("no simulator runs here: start the local services with `make up`")


def simulated(environ: Mapping[str, str] = os.environ, cwd: Path | None = None) -> bool:
    """Whether missions here post to the local runner's simulator."""
    return bool(_local(environ, cwd).get("simulator_url"))


def project_files(name: str | Path, environ: Mapping[str, str], cwd: Path | None = None) -> Iterator[Path]:
    """Files of that name in AIRFLOW_HOME and above, then in the working directory and above."""
    home = environ.get("AIRFLOW_HOME")
    for start in [Path(home)] if home else []:
        yield from (folder / name for folder in (start, *start.parents) if (folder / name).is_file())
    here = (cwd or Path.cwd()).absolute()
    yield from (folder / name for folder in (here, *here.parents) if (folder / name).is_file())


def _local(environ: Mapping[str, str], cwd: Path | None) -> Mapping[str, Any]:
    """What the running local runner says of itself; nothing when there is none."""
    for path in project_files(LOCAL_FILE, environ, cwd):
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue  # it is being written or removed at this moment
        if isinstance(data, dict) and _alive(data.get("pid")):
            return data
    return {}


def _alive(pid: object) -> bool:
    """Whether the process is there; a runner that was killed leaves its file behind."""
    if not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # there, but another user's
    return True


def _settings_entry(environ: Mapping[str, str], cwd: Path | None) -> str | None:
    """The connection of airflow_settings.yaml, None when it is not there or left empty."""
    path = next(project_files(SETTINGS_FILE, environ, cwd), None)
    if path is None:
        return None
    where = f"the connection {DATABASE_CONNECTION} in {path}"
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
        entries = (content.get("airflow") or {}).get("connections") or []
        entry = next((entry for entry in entries if entry.get("conn_id") == DATABASE_CONNECTION), None)
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        raise ConfigurationError(f"{path} is not in the format of the Astro CLI") from None
    if entry is None:
        return None
    if entry.get("conn_uri"):
        return connection_url(read_connection(str(entry["conn_uri"]), where), where)
    if not entry.get("conn_host"):
        return None
    fields = ("host", "port", "login", "password", "schema", "extra")
    return connection_url(
        {"conn_type": entry.get("conn_type")} | {key: entry.get(f"conn_{key}") for key in fields}, where
    )


def read_connection(text: str, where: str) -> dict[str, Any]:
    """Airflow's fields of a connection as it stands in a variable, as JSON or a URI; ``extra`` is a dict.

    Raises ConfigurationError, which names it ``where`` and shows nothing of it.
    """
    if text.lstrip().startswith("{"):
        try:
            fields: dict[str, Any] = json.loads(text)
        except ValueError:
            raise ConfigurationError(f"{where} is not JSON") from None
        return fields | {"extra": _extra(fields.get("extra"), where)}
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            f"{where} is not a URI such as postgresql://user:password@host:port/name"
        ) from None
    query = dict(parse_qsl(parts.query))
    return {
        "conn_type": parts.scheme,
        "host": unquote(parts.hostname or ""),
        "port": port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path.lstrip("/")),
        "extra": _extra(query.get("__extra__"), where) or query,
    }


def _extra(value: Any, where: str) -> dict[str, Any]:
    """A connection's extra: a mapping, or a string of JSON."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            raise ConfigurationError(f"the extra of {where} is not JSON") from None
    if value and not isinstance(value, dict):
        raise ConfigurationError(f"the extra of {where} is not a mapping")
    return value or {}


def connection_url(connection: Mapping[str, Any], where: str) -> str:
    """A libpq URL of an Airflow connection's fields; errors (ConfigurationError) name it ``where``."""
    kind = str(connection.get("conn_type") or "postgres").replace("-", "_")
    if kind not in ("postgres", "postgresql"):
        raise ConfigurationError(f"{where} is of type {kind!r}: Pressroom's database is Postgres")
    extra = _extra(connection.get("extra"), where)
    # Airflow's own options (cursor, iam …) travel in the same place; libpq would refuse them.
    options = {
        key: str(value) for key, value in extra.items() if key in LIBPQ_OPTIONS and value not in (None, "")
    }
    part = {key: quote(str(connection.get(key) or ""), safe="") for key in ("login", "password", "schema")}
    user = part["login"] + (f":{part['password']}" if part["password"] else "")
    host = str(connection.get("host") or "localhost")
    port = f":{connection['port']}" if connection.get("port") else ""
    return (
        f"postgresql://{user}{'@' if user else ''}"
        # An IPv6 address needs its brackets, a folder with a socket its slashes hidden.
        f"{f'[{host}]' if ':' in host else quote(host, safe='')}{port}/{part['schema']}"
        f"{'?' if options else ''}{urlencode(options, quote_via=quote)}"
    )
