"""Reads airflow_settings.yaml, the Astro CLI's file of connections, pools and variables.

The local runner and its bootstrap read it through here, so the format is known in one place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pressroom_dev.local.processes import LocalServiceError

_CONNECTION_FIELDS = ("conn_type", "host", "schema", "login", "password", "port")


@dataclass(frozen=True)
class Pool:
    """An Airflow pool."""

    slots: int
    description: str
    include_deferred: bool


@dataclass(frozen=True)
class AstroSettings:
    """What the file defines. A connection has the keys of Airflow's JSON format, empty ones left out."""

    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def filled(self, conn_id: str) -> Mapping[str, Any] | None:
        """The connection if it says where to connect to or with which key, else None."""
        connection = self.connections.get(conn_id, {})
        return connection if any(connection.get(name) for name in ("uri", "host", "password")) else None

    def options(self, conn_id: str) -> dict[str, Any]:
        """A connection's extra options."""
        return dict(self.connections.get(conn_id, {}).get("extra") or {})


def read(path: Path) -> AstroSettings:
    """Read the file; one that is missing defines nothing.

    Raises LocalServiceError with the entry at fault when the content is not in the Astro CLI's format.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return AstroSettings()
    except yaml.YAMLError as error:
        raise LocalServiceError(f"{path} is not YAML: {error}") from error
    try:
        section = content.get("airflow") or {}
        return AstroSettings(
            connections={
                entry["conn_id"]: _connection(entry)
                for entry in section.get("connections") or []
                if entry.get("conn_id")
            },
            pools={
                entry["pool_name"]: _pool(entry)
                for entry in section.get("pools") or []
                if entry.get("pool_name")
            },
            variables={
                entry["variable_name"]: _text(entry.get("variable_value"))
                for entry in section.get("variables") or []
                if entry.get("variable_name")
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LocalServiceError(f"{path} is not in the format of the Astro CLI: {error!r}") from error


def _connection(entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry.get("conn_uri"):
        return {"uri": str(entry["conn_uri"])}
    connection: dict[str, Any] = {"conn_type": entry["conn_type"]}
    for name in _CONNECTION_FIELDS[1:]:
        value = entry.get(f"conn_{name}")
        if value not in (None, ""):
            connection[name] = int(value) if name == "port" else str(value)
    extra = entry.get("conn_extra")
    if extra:
        # The Astro CLI takes a mapping or a string of JSON.
        connection["extra"] = json.loads(extra) if isinstance(extra, str) else dict(extra)
    return connection


def _pool(entry: Mapping[str, Any]) -> Pool:
    return Pool(
        slots=int(entry["pool_slot"]),
        description=_text(entry.get("pool_description")),
        include_deferred=bool(entry.get("pool_include_deferred", False)),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
