"""What connections have in common: an address, a secret, the rest in extra, and all checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from pressroom.domain.errors import ConfigurationError

Settings = TypeVar("Settings", bound=BaseModel)


class ConnectionFields(TypedDict, total=False):
    """The fields of an Airflow connection that settings are made of. One that is not there is empty."""

    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None
    extra: Mapping[str, Any] | None


def settings_of(
    model: type[Settings],
    connection_id: str,
    extra: Mapping[str, Any] | None,
    *,
    named: str = "connection",
    **own: Any,
) -> Settings:
    """Settings of a connection: ``own`` from its fields, its id as ``named``, all others from ``extra``.

    Raises ConfigurationError that names the connection and the key at fault, and repeats no value.
    """
    where = f"connection {connection_id!r}"
    extra = dict(extra or {})
    known = sorted(set(model.model_fields) - {*own, named})
    unknown = [key for key in extra if key not in known]
    if unknown:
        raise ConfigurationError(f"{where}: unknown key {unknown[0]!r} in extra{_hint(unknown[0], known)}")
    try:
        return model.model_validate({**extra, **own, named: connection_id})
    except ValidationError as error:
        # Only place and reason: the input in pydantic's own text could be a secret.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where}: {place}: {first['msg']}") from None


def _hint(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def secret_of(fields: ConnectionFields) -> str:
    """The password field, without blanks around it."""
    return (fields.get("password") or "").strip()


def web_address(
    connection_id: str,
    fields: ConnectionFields,
    *,
    secrets: str = "user and password belong in login and password",
) -> str:
    """The host field as an http(s) URL with its path and query, completed by schema and port.

    Raises ConfigurationError when it is none, or holds credentials; ``secrets`` says where those belong.
    """
    host, port = (fields.get("host") or "").strip(), fields.get("port")
    wrong = ConfigurationError(f"connection {connection_id!r}: its host is not a web address (https://…)")
    try:
        parts = urlsplit(host if "://" in host else f"{fields.get('schema') or 'https'}://{host}")
        given = parts.port
        httpx.URL(parts.geturl())
    except (ValueError, httpx.InvalidURL):
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in host):
        raise wrong
    if parts.username or parts.password:
        raise ConfigurationError(f"connection {connection_id!r}: {secrets}, not in the host")
    place = parts.netloc if given or not port else f"{parts.netloc}:{port}"
    return parts._replace(netloc=place, fragment="").geturl()


def folder(connection_id: str, host: str | None) -> Path:
    """The host field as a folder: a path or a ``file://`` URL. Raises ConfigurationError for others."""
    text = (host or "").strip()
    if "://" in text:
        parts = urlsplit(text)
        local = parts.scheme == "file" and parts.netloc in ("", "localhost")
        text = unquote(parts.path) if local else ""
    if not text.startswith("/"):
        raise ConfigurationError(
            f"connection {connection_id!r}: its host is no folder: an absolute path, or file:///…"
        )
    return Path(text)
