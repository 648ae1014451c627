"""An embedded Postgres for one test session, when no server is given, and connections for tests."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pressroom_dev.local import processes
from pressroom_dev.local.ports import PortReservations
from pressroom_dev.local.postgres import EmbeddedPostgres

PREFERRED_PORT = 15433
STOP_SECONDS = 20.0

# As a replica: neither the order of foreign keys nor the ledger, which only grows, stands in the way.
_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN
        SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    PERFORM setval(seqrelid, seqstart, false)
    FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
END $$
"""


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """A fresh server in a temporary folder, gone with its data at the end. Yields a superuser's URL."""
    with tempfile.TemporaryDirectory(prefix="pressroom-postgres-") as name:
        folder = Path(name)
        # The server may run as another user, who has to get through to its data.
        folder.chmod(0o711)
        ports = PortReservations()
        server = EmbeddedPostgres(
            folder / "server",
            port=ports.take(PREFERRED_PORT),
            password=secrets.token_hex(16),
            log=folder / "log",
        )
        try:
            child = server.start()
            try:
                server.wait(child, {})
                _sign_in_fast(server.url("postgres"))
                yield server.url("postgres")
            finally:
                processes.stop([child], grace=STOP_SECONDS)
        finally:
            ports.release()
            # It lies elsewhere when the server's user cannot reach the temporary folder.
            shutil.rmtree(server.home, ignore_errors=True)


def _sign_in_fast(url: str) -> None:
    """Check the password with one round of hashing instead of 4,096: tests connect ten thousand times."""
    password = psycopg.conninfo.conninfo_to_dict(url)["password"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET scram_iterations = 1")
        connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(password)))


_kept: dict[str, psycopg.Connection[Any]] = {}


@contextmanager
def open_connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement.

    The main thread's stays open, since to connect takes longer than most statements. Another thread may wait
    for a lock meanwhile, so it has one of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        with psycopg.connect(url, autocommit=True) as own:
            yield own
        return
    if url not in _kept:
        _kept[url] = psycopg.connect(url, autocommit=True)
    try:
        yield _kept[url]
    except psycopg.OperationalError:
        disconnect(url)
        raise


def disconnect(url: str) -> None:
    """Close the connection that was kept, if there is one."""
    if url in _kept:
        _kept.pop(url).close()


def empty(connection: psycopg.Connection[Any]) -> None:
    """Take every row out of a migrated database, and start its sequences again.

    DELETE, as a few rows in most tables cost less than the new file that TRUNCATE makes for each table.
    """
    connection.execute(_EMPTY)
