"""Every decision is on record, whatever door it comes by: who, what, before and after, in a bounded size."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.main import get_group

from pressroom import cli
from pressroom.domain.flows import GateStep
from pressroom.engine import audit, gates
from pressroom.engine.gates import Handed, PageAnswer
from pressroom.store.database import Store
from tests.integration.test_site_publish import Press
from tests.support.control_world import Control
from tests.support.definition_bodies import SITE, make
from tests.support.flow_world import AUTO, FETCH, FlowWorld, entries, make_flow
from tests.support.world import make_world

pytestmark = pytest.mark.integration

GATE = {"name": "look", "type": "gate", "by": "approval"}
TASK = {"dag_id": "flow__news", "run_id": "manual__1", "task_id": "item.look", "map_index": 0}

READS = {
    "migrate", "get", "estimate", "overview", "status", "history", "logs", "preview", "check", "prices",
    "output", "insights", "posts", "publications", "articles", "items", "packets", "gates", "show", "grants",
    "list", "open", "diff", "links",
}  # fmt: skip
"""Commands that decide nothing: they show, or bring the schema up to date, which belongs to no account."""

THROUGH_THE_API = {"unpublish"}
RECORDS = {"changing", "change_grants", "note", "start", "apply", "handed_over", "import_keywords"}


def commands(app: typer.Typer) -> dict[str, Callable[..., Any]]:
    """Every command of the command line, those of groups too."""
    found: dict[str, Callable[..., Any]] = {}
    waiting = [get_group(app)]
    while waiting:
        for name, command in waiting.pop().commands.items():
            if hasattr(command, "commands"):
                waiting.append(command)  # type: ignore[arg-type]
            else:
                assert command.callback is not None
                found[name] = inspect.unwrap(command.callback)
    return found


def called(function: Callable[..., Any]) -> set[str]:
    """The names of the functions that it calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }


def test_every_command_that_changes_something_puts_it_on_record() -> None:
    every = commands(cli.app)
    assert set(every) >= READS
    changing = {
        name: called(command) for name, command in every.items() if name not in READS | THROUGH_THE_API
    }
    assert len(changing) >= 19
    assert [name for name, names in changing.items() if not names & RECORDS] == []


# What the doors leave -----------------------------------------------------------------------------------


def at_gate(url: str, store: Store) -> tuple[FlowWorld, int]:
    """A flow whose item waits at a gate for approval, and the gate."""
    world = make_flow(url, store, FETCH, GATE, AUTO)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    step = world.flow.steps[1]
    assert isinstance(step, GateStep)
    with store.transaction(world.account_id) as tx:
        gates.open_gate(tx, run, item, step, "Is it good?", TASK)
        return world, gates.gate_of(tx, item, "look").id


def rows(world: Any) -> list[tuple[str, str, str, dict[str, Any]]]:
    found: list[tuple[str, str, str, dict[str, Any]]] = world.sql(
        "SELECT actor, action, target, details FROM audit_log ORDER BY id"
    )
    return found


def page(by: str | None) -> PageAnswer:
    return PageAnswer("approve", by, {"text": "better"}, datetime.now(UTC))


def test_an_answer_on_airflows_page_is_on_record(database_url: str, store: Store) -> None:
    world, gate = at_gate(database_url, store)
    world.member("bob", "approver")
    [(item,)] = world.sql("SELECT item_id FROM gates")
    with store.transaction(world.account_id) as tx:
        gates.page_answer(tx, item, "look", page("bob"))
    [(actor, action, target, details)] = rows(world)
    assert (actor, action, target) == ("airflow:bob", "gate.answer", f"gat_{gate}")
    assert (details["before"], details["after"], details["by"], details["edited"]) == (
        "open",
        "approve",
        "bob",
        True,
    )


def _taken(tx: Any, number: int, item: int) -> None:
    assert gates.page_answer(tx, item, "look", page("pressroom"))


def _told(tx: Any, number: int, item: int) -> None:
    gates.handed_over(tx, number)


@pytest.mark.parametrize(("faster", "slower"), [(_taken, _told), (_told, _taken)], ids=["task", "door"])
@pytest.mark.parametrize("actor", ["link", "user:ann", "key:3", "cli:root"])
def test_who_answered_through_pressroom_is_on_record_once_and_is_not_airflows_user(
    database_url: str, store: Store, actor: str, faster: Any, slower: Any
) -> None:
    world, gate = at_gate(database_url, store)
    [(item,)] = world.sql("SELECT item_id FROM gates")
    with store.transaction(world.account_id) as tx:
        number = gates.hand_over(tx, Handed(gate, actor, "approve", "better"), "pressroom")
    for step in (faster, slower):
        with store.transaction(world.account_id) as tx:
            step(tx, number, item)
    assert world.sql("SELECT answered_by FROM gates") == [(actor,)]
    [(by, action, target, details)] = rows(world)
    assert (by, action, target, details["before"], details["after"]) == (
        actor, "gate.answer", f"gat_{gate}", "open", "approve",
    )  # fmt: skip


def test_the_times_own_answer_is_on_record(database_url: str, store: Store) -> None:
    world, gate = at_gate(database_url, store)
    world.sql("UPDATE gates SET due_at = now() - interval '1 s'")
    [(item,)] = world.sql("SELECT item_id FROM gates")
    for _ in range(2):
        with store.transaction(world.account_id) as tx:
            gates.gate_of(tx, item, "look")
    assert [row[:3] for row in rows(world)] == [("time", "gate.answer", f"gat_{gate}")]


async def test_a_change_of_a_definition_says_what_it_was(control: Control) -> None:
    made = await make(control, "/sites", SITE)
    patch = {"name": "Gardens", "article": {"target_words": 800}}
    await control("PATCH", f"/sites/{made['id']}", json=patch, expect=200)
    actor, action, target, details = rows(control.world)[-1]
    assert (actor, action, target) == ("user:ed", "site.update", f"site:{made['id']}")
    assert details["before"] == {"article.target_words": 1200, "name": "Garden"}
    assert details["after"] == {"article.target_words": 800, "name": "Gardens"}


def test_a_row_is_bounded_whatever_is_sent(database_url: str, store: Store, tmp_path: Any) -> None:
    world = Press(make_world(database_url, store), tmp_path).world
    huge: Any = {"x" * 9999: "y" * 10**6, "list": ["z" * 9999] * 9999, "nul": "a\x00\ud800b"}
    for _ in range(50):
        huge = {"deeper": huge}
    with store.transaction(world.account_id) as tx:
        audit.note(
            tx,
            "user:" + "u" * 9999,
            "job.start",
            "t" * 9999,
            before=huge,
            after=huge,
            params=huge,
            flat={str(n): "v" * 999 for n in range(9999)},
        )
    assert world.sql(
        "SELECT pg_column_size(audit_log.*) < 32000, length(details::text) < 32000 FROM audit_log"
    ) == [(True, True)]
