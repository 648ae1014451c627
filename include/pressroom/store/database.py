"""Connections, transactions and named statements. Everything that talks to Postgres goes through here.

``sql/*.sql`` holds the statements, each under a line ``-- name: …`` and a comment that says what it returns
or changes. A statement on tenant data uses ``%(account)s``. A transaction fills it in with the account that
it was opened for; ``SYSTEM`` (no account) makes such statements match nothing.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb, set_json_dumps
from psycopg_pool import ConnectionPool, PoolTimeout

from pressroom.domain.errors import (
    ConfigurationError,
    InsufficientCredits,
    PermanentError,
    PressroomError,
    TransientError,
)
from pressroom.domain.text import to_json

P = ParamSpec("P")
T = TypeVar("T")
SYSTEM = -1
CONNECT_SECONDS = 5
POOL_SIZE = 8

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)

set_json_dumps(to_json)


@functools.cache
def statements() -> Mapping[str, str]:
    """All named statements. Raises ValueError when two share a name."""
    texts: dict[str, str] = {}
    for path in sorted(files(__package__).joinpath("sql").iterdir(), key=lambda p: p.name):
        parts = _NAME.split(path.read_text("utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in texts:
                raise ValueError(f"{path.name}: the statement {name!r} exists already")
            texts[name] = text.strip()
    return texts


class Tx:
    """One open transaction, for one account. Rows come back as the type that the caller names."""

    def __init__(self, connection: psycopg.Connection[Any], account: int) -> None:
        self._connection = connection
        self.account = account

    def all(self, name: str, row_type: type[T], /, **params: Any) -> list[T]:
        """Every row, each as ``row_type(**columns)``."""
        with self._connection.cursor(row_factory=class_row(row_type)) as cursor:
            return cursor.execute(self._sql(name), self._params(params)).fetchall()

    def maybe(self, name: str, row_type: type[T], /, **params: Any) -> T | None:
        """The first row, or None."""
        with self._connection.cursor(row_factory=class_row(row_type)) as cursor:
            return cursor.execute(self._sql(name), self._params(params)).fetchone()

    def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
        """Every row as a dict."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._sql(name), self._params(params)).fetchall()

    def values(self, name: str, /, **params: Any) -> list[Any]:
        """The first column of every row."""
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(self._sql(name), self._params(params)).fetchall()

    def value(self, name: str, /, **params: Any) -> Any:
        """The first column of the first row, or None."""
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(self._sql(name), self._params(params)).fetchone()

    def run(self, name: str, /, **params: Any) -> int:
        """Execute and return the number of rows touched."""
        return self._connection.execute(self._sql(name), self._params(params)).rowcount

    def many(self, name: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute once per row, in one round trip. Returns the number of rows touched."""
        with self._connection.cursor() as cursor:
            cursor.executemany(self._sql(name), [self._params(row) for row in rows])
            return cursor.rowcount

    def for_account(self, account: int) -> Tx:
        """The same transaction, for another account: for work that spans several, such as applying."""
        return Tx(self._connection, account)

    def _sql(self, name: str) -> Any:
        return statements()[name]

    def _params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        # A dict can only be meant as JSON; a list may as well be an array, so it is left to psycopg.
        plain = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in params.items()}
        return {**plain, "account": self.account}


class Store:
    """A pool of connections to Pressroom's database. It opens by itself; close it with ``close`` or ``with``.

    ``url``: where the database is, or what says so whenever a connection is opened, for a password that is
    short-lived. ``patience``: seconds to wait for a connection before the database counts as away.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        max_size: int = POOL_SIZE,
        patience: float = 2 * CONNECT_SECONDS,
    ) -> None:
        self._where = address(url() if callable(url) else url)
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            url,
            min_size=0,
            max_size=max_size,
            open=False,
            timeout=patience,
            reconnect_timeout=CONNECT_SECONDS,
            kwargs={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "pressroom",
                # A statement whose filters may be null needs a plan for its actual values. A prepared
                # statement gets one plan for all values after a few calls: lists of runs then take 300 times
                # as long, while planning each call costs a fraction of a millisecond.
                "prepare_threshold": None,
            },
        )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give every connection back."""
        self._pool.close()

    @contextmanager
    def transaction(self, account: int = SYSTEM) -> Iterator[Tx]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises TransientError when Postgres is away or asks for another try, and InsufficientCredits when
        the account's balance does not cover its reservations.
        """
        try:
            # Opening is idempotent, and doing it here keeps imports and constructors free of I/O.
            self._pool.open()
            with self._pool.connection() as connection:
                yield Tx(connection, account)
        except PressroomError:
            raise
        except (psycopg.Error, UnicodeEncodeError) as error:
            ours = self._ours(error)
            if ours is None:
                raise
            raise ours from error

    async def run(
        self, account: int, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """``work(tx, ...)`` in a transaction of the account, in a thread: how async code uses the database.

        Raises as ``transaction`` does.
        """

        def inside() -> T:
            with self.transaction(account) as tx:
                return work(tx, *args, **kwargs)

        return await asyncio.to_thread(inside)

    def _ours(self, error: Exception) -> PressroomError | None:
        """The error of our own for an error of psycopg. None for a bug, which is raised as it is."""
        kind = type(error).__name__
        match error:
            case PoolTimeout():
                return TransientError(f"Pressroom's database at {self._where} does not answer")
            case pg.CheckViolation() if error.diag.constraint_name == "reserved_is_covered":
                return InsufficientCredits("the account's available credits do not cover this")
            case pg.SerializationFailure() | pg.DeadlockDetected() | pg.LockNotAvailable():
                return TransientError(f"Postgres asks for another try: {kind}")
            case pg.UndefinedTable() | pg.UndefinedColumn():
                return ConfigurationError(
                    f"the database at {self._where} lacks the current schema: run `pressroom migrate`"
                )
            case pg.DiskFull() | pg.OutOfMemory():
                return TransientError(f"Postgres at {self._where} is out of room: {kind}")
            case psycopg.DataError() | UnicodeEncodeError():
                return PermanentError(f"the database cannot store one of the values: {kind}")
            case psycopg.OperationalError():
                return TransientError(f"lost Pressroom's database at {self._where}: {kind}")
            case psycopg.IntegrityError() if not isinstance(error, pg.CheckViolation):
                return PermanentError(f"the database refuses the row: {error.diag.constraint_name or kind}")
        return None


def without_password(url: str) -> str:
    """What the connections of one pool have in common: all but the password, which may be a new one.

    Raises ConfigurationError when it is not a Postgres URL.
    """
    return psycopg.conninfo.make_conninfo(**{**_parts(url), "password": None})


def address(url: str) -> str:
    """Host, port and database of a connection URL: all that an error may show of it."""
    parts = _parts(url)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _parts(url: str) -> dict[str, Any]:
    try:
        return dict(psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "Pressroom's database URL is not a Postgres URL (postgresql://user:password@host:port/name)"
        ) from None
