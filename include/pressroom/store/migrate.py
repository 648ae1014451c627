"""Brings the database to the current schema. Run by command (``pressroom migrate``), never at import."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import psycopg
from psycopg import sql

from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.store.database import CONNECT_SECONDS, address

_LOCK = 7_305_118  # any constant: the same for all processes, so that one migrates at a time


def migrate(url: str) -> list[str]:
    """Create the database if it is missing, apply what is new, and return the names of what was applied.

    Each migration is one transaction. Raises ConfigurationError when an applied migration was edited since.
    """
    _create_database(url)
    applied: list[str] = []
    with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
        )
        done: dict[str, str] = dict(
            connection.execute("SELECT name, sha256 FROM schema_migrations").fetchall()
        )
        for path in sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda p: p.name):
            if not path.name.endswith(".sql"):
                continue
            text = path.read_text("utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if path.name in done:
                if done[path.name] != digest:
                    raise ConfigurationError(
                        f"{path.name} was changed after it was applied: add a new migration instead"
                    )
                continue
            connection.execute(sql.SQL(text))  # our own file, not input
            connection.execute(
                "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", [path.name, digest]
            )
            applied.append(path.name)
    return applied


def _create_database(url: str) -> None:
    address(url)  # refuses a wrong URL before psycopg can quote it
    parts = psycopg.conninfo.conninfo_to_dict(url)
    name = str(parts.get("dbname") or "pressroom")
    try:
        psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
        return
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise TransientError(
                f"Pressroom's database at {address(url)} does not answer: {str(error).splitlines()[0]}"
            ) from None
    maintenance = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(maintenance, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
