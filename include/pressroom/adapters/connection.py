"""What connections have in common: an address, a secret, the rest in extra, and all checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypedDict, TypeVar, Unpack
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

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

    Raises ConfigurationError when it is not a URL, or holds credentials; ``secrets`` says where those belong.
    """
    host, port = (fields.get("host") or "").strip(), fields.get("port")
    wrong = ConfigurationError(
        f"connection {connection_id!r}: its host is not a web address: put one such as https://example.org"
    )
    try:
        parts = urlsplit(host if "://" in host else f"{fields.get('schema') or 'https'}://{host}")
        port_in_host = parts.port
        httpx.URL(parts.geturl())
    except (ValueError, httpx.InvalidURL):
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in host):
        raise wrong
    if parts.username or parts.password:
        raise ConfigurationError(f"connection {connection_id!r}: {secrets}, not in the host")
    place = parts.netloc if port_in_host or not port else f"{parts.netloc}:{port}"
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
            f"connection {connection_id!r}: its host is not a folder: put an absolute path, or file:///…"
        )
    return Path(text)


def _is_sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text:
        raise ValueError("is empty")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("holds a character that no header carries")
    return secret


HeaderSecret = Annotated[SecretStr, AfterValidator(_is_sendable)]
"""A secret that goes into a header: not empty, printable ASCII without blanks."""


class ApiSettings(BaseModel):
    """One connection to one service. Subclasses say what is special about theirs.

    ``home``: the service's own base URL, for a connection without a host; its path is also that of a bare
    host below the service's domain. Fields named ``login`` and ``password`` are those of the connection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    home: ClassVar[str]

    connection: str
    base_url: str
    timeout_seconds: float = Field(default=30, gt=0)
    settle_seconds: float = Field(
        default=10, ge=0, description="how long a publication that was not answered may still turn up"
    )

    @classmethod
    def from_connection(cls, connection_id: str, **fields: Unpack[ConnectionFields]) -> Self:
        """Settings from the fields of an HTTP connection.

        ``host``: a base URL, or a host name that ``schema`` and ``port`` complete; empty: the service's own.
        Raises ConfigurationError that names the connection and the place at fault, and never a secret.
        """
        own = {"login": (fields.get("login") or "").strip(), "password": secret_of(fields)}
        own = {name: value for name, value in own.items() if name in cls.model_fields}
        base_url = _base_url(connection_id, cls.home, fields)
        return settings_of(cls, connection_id, fields.get("extra"), base_url=base_url, **own)

    @property
    def secrets(self) -> list[str]:
        """All values that no message may show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _base_url(connection_id: str, home: str, fields: ConnectionFields) -> str:
    if not (fields.get("host") or "").strip():
        return home
    parts = urlsplit(web_address(connection_id, fields))
    own = urlsplit(home)
    domain = ".".join((own.hostname or "").split(".")[-2:])
    same = parts.hostname == domain or (parts.hostname or "").endswith(f".{domain}")
    path = parts.path.rstrip("/") or (own.path if same else "")
    return f"{parts.scheme}://{parts.netloc}{path}"
