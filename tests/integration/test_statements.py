"""Every named statement is valid on the migrated schema, and keeps to its account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pressroom.store import database
from pressroom.store.database import Store, statements

FOLDER = Path(database.__file__).with_name("sql")
# Statements that run as the system: what dag files and commands read, and what finds out whose a thing is.
SYSTEM_FILES = ("system.sql", "access.sql", "system_notices.sql")


def names_by_file() -> Iterator[tuple[str, str]]:
    for path in sorted(FOLDER.glob("*.sql")):
        for name in re.findall(r"^-- name: (\w+)", path.read_text("utf-8"), re.MULTILINE):
            yield path.name, name


STATEMENTS = list(names_by_file())
# Where null alone would leave Postgres the choice between two operators.
TYPED: dict[str, object] = {"gap": timedelta(hours=1), "lease": timedelta(hours=1)}


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection[tuple[str]]]:
    with psycopg.connect(database_url) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for _, name in STATEMENTS])
def test_a_statement_is_valid(connection: psycopg.Connection[tuple[str]], name: str) -> None:
    text = statements()[name]
    parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", text)) | TYPED
    with connection.transaction(force_rollback=True):
        connection.execute(f"EXPLAIN {text}", parameters)


@pytest.mark.parametrize(("file", "name"), [pair for pair in STATEMENTS if pair[0] not in SYSTEM_FILES])
def test_a_statement_keeps_to_its_account(
    connection: psycopg.Connection[tuple[str]], file: str, name: str
) -> None:
    text = re.sub(r"--.*", "", statements()[name])
    rows = connection.execute(
        "SELECT table_name FROM information_schema.columns"
        " WHERE column_name = 'account_id' AND table_schema = 'public'"
    ).fetchall()
    touched = [
        table for (table,) in rows if re.search(rf"\b(FROM|JOIN|INTO|(?<!DO )UPDATE)\s+{table}\b", text)
    ]
    if touched:
        filtered = re.search(r"account_id\s*=\s*%\(account\)s", text)
        inserted = re.search(r"INSERT INTO \w+( AS \w+)?\s+\(\s*account_id\b", text) and "%(account)s" in text
        assert filtered or inserted, f"{file}: {name} touches {touched} of every account"
    if re.search(r"\b(FROM|JOIN|UPDATE)\s+accounts\b", text):
        assert re.search(r"\b(accounts\.)?id\s*=\s*%\(account\)s", text), (
            f"{file}: {name} touches every account"
        )


def test_without_an_account_nothing_matches(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.rows("account_balance") == []
        assert tx.run("clear_members") == 0


def test_names_are_unique_and_files_are_read() -> None:
    assert sorted(name for _, name in STATEMENTS) == sorted(statements())


@pytest.mark.parametrize(("file", "name"), STATEMENTS)
def test_a_statement_says_what_it_returns_or_changes(file: str, name: str) -> None:
    """``Returns …``, ``Inserts …``, ``Sets …``: a sentence that begins with its verb, under the name."""
    text = (FOLDER / file).read_text("utf-8").partition(f"-- name: {name}\n")[2]
    sentence = re.match(r"-- ([A-Z][a-z]+s .*)\n", text)
    assert sentence, f"{file}: {name} begins without a line that says what it returns or changes"
