"""The upgrade that brings grants, for an agency: nothing stops, and nobody gets anything of others."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from pressroom.definitions.applying import write
from pressroom.definitions.loading import load
from pressroom.domain.definitions import BrandContext
from pressroom.domain.grants.access import GrantKind, Name
from pressroom.domain.grants.named import grantable, refused
from pressroom.domain.kinds import KINDS, Workflow
from pressroom.store import grants
from pressroom.store.database import Store
from pressroom.store.workflows import all_workflows
from tests.security.test_grants import NAMING
from tests.support.postgres import open_connection

pytestmark = pytest.mark.integration

CLIENTS = 40
EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = (GrantKind.CONNECTION, "pressroom_text")
"""Granted to everybody who has a workflow: whether its model is asked, is in no definition for certain."""


def of_client(client: int) -> list[Workflow]:
    """Every way to name something, each in a definition of the client's with names of its own."""
    definitions: list[Workflow] = []
    for number, (kind, body, _) in enumerate(NAMING.values()):
        text = json.dumps(body).replace("demo", f"client{client}").replace("own", f"of{client}")
        status = {"status": "active"} if kind == "Mission" else {}
        data = {
            "account": f"client{client}", "slug": f"c{client}-{number}", "name": "Of a client", **status,
            **json.loads(text),
        }  # fmt: skip
        definitions.append(KINDS[kind].model.model_validate(data))
    return definitions


def run(url: str, account: int, workflow: int, status: str, definition: Any) -> int:
    with open_connection(url) as connection:
        [number] = connection.execute(
            "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status,"
            " lease_until, definition)"
            " VALUES (%s, %s, 'd', gen_random_uuid(), 'manual', 'ann', %s, now(), %s) RETURNING id",
            [account, workflow, status, json.dumps({"workflow": definition})],
        ).fetchone() or [0]
    return int(number)


def traces(url: str, account: int, client: int, workflow: int) -> set[Name]:
    """What an account uses and its definitions do not name any more, or never did."""

    def flow(name: str) -> dict[str, Any]:
        return {"steps": [{"name": "tell", "type": "ping", "connection": name}]}

    live = run(url, account, workflow, "running", flow(f"live{client}"))
    run(url, account, workflow, "completed", flow(f"over{client}"))
    with open_connection(url) as connection:
        connection.execute(
            "INSERT INTO ai_calls (account_id, run_id, stage, item, connection, model, kind, outcome)"
            " VALUES (%s, %s, 'write', '1', %s, 'm', 'text', 'ok')",
            [account, live, f"fallback{client}"],
        )
        connection.execute(
            "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status,"
            " content_hash, scheduled_for, external_id)"
            " VALUES (%s, %s, %s, 'post:1', %s, 'accepted', 'h', now(), '7')",
            [account, workflow, live, f"outside{client}/twitter"],
        )
    names = ("live", "fallback", "outside")
    return {(GrantKind.CONNECTION, f"{name}{client}") for name in names}


def upgrade(url: str) -> None:
    """The statement of the migration."""
    [file] = (Path(grants.__file__).parent / "migrations").glob("*_grants.sql")
    statement = file.read_text("utf-8").partition("INSERT INTO")[2].partition(";")[0]
    with open_connection(url) as connection:
        connection.execute("DELETE FROM grants")
        connection.execute(f"INSERT INTO{statement}")  # our own file


def test_after_the_upgrade_every_workflow_goes_on_and_no_account_has_more_than_it_used(
    database_url: str, store: Store
) -> None:
    expected: dict[int, set[Name]] = defaultdict(set)
    with open_connection(database_url) as connection:
        accounts = [
            connection.execute(
                "INSERT INTO accounts (slug, name, definition) VALUES (%s, 'Client', %s) RETURNING id",
                [f"client{client}", json.dumps({"slug": f"client{client}", "name": "Client"})],
            ).fetchone()[0]  # type: ignore[index]
            for client in range(CLIENTS)
        ]
    for client, account in enumerate(accounts):
        for definition in of_client(client):
            with store.transaction(account) as tx:
                write(tx, definition)
            expected[account] |= grantable(definition)
        with store.transaction() as tx:
            first = next(row for row in all_workflows(tx, "flow") if row.account_id == account)
        expected[account] |= traces(database_url, account, client, first.workflow_id)
    upgrade(database_url)
    with store.transaction() as tx:
        granted = {account: grants.access(tx, account).names - {TEXT} for account in accounts}
    assert {account: sorted(names) for account, names in granted.items()} == {
        account: sorted(names - {TEXT}) for account, names in expected.items()
    }
    assert len(expected[accounts[0]]) > 12
    assert all(len(expected[account]) == len(expected[accounts[0]]) for account in accounts)
    assert (GrantKind.CONNECTION, "pressroom_db") not in set().union(*granted.values())
    assert not any(name.startswith("over") for names in granted.values() for _, name in names)


def test_after_the_upgrade_the_examples_are_accepted_as_they_are(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    """Their targets, models and pictures have the names that are implied."""
    with open_connection(database_url) as connection:
        for slug in ("demo", "other"):
            connection.execute(
                "INSERT INTO accounts (slug, name, definition) VALUES (%s, %s, %s)",
                [slug, slug, json.dumps({"slug": slug, "name": slug})],
            )
        numbers = connection.execute("SELECT id FROM accounts ORDER BY slug").fetchall()
        account, other = (number for (number,) in numbers)
    loaded = load(EXAMPLES)
    for each in sorted(loaded, key=lambda each: not isinstance(each.definition, BrandContext)):
        definition = each.definition
        if isinstance(definition, BrandContext | Workflow):
            own = definition.model_copy(update={"account": "demo"})
            with store.transaction(account) as tx:
                write(tx, own)
    upgrade(database_url)
    with store.transaction() as tx:
        access = grants.access(tx, account)
        others = grants.access(tx, other)
        rows = [row for kind in ("site", "mission", "flow") for row in all_workflows(tx, kind)]
    assert len(rows) > 5
    assert {row.name: list(refused(access, row.workflow)) for row in rows} == {row.name: [] for row in rows}
    assert not others.permits(*TEXT)
