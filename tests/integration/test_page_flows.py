"""The page of a flow's steps: the graph, each item's place, and the gates where items wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from pressroom.domain.definitions import dump
from pressroom.domain.flows import Flow
from tests.support.control_things import DAY, NOW, add
from tests.support.control_world import Control
from tests.support.page_world import Browser
from tests.support.world import World

STEPS: list[dict[str, Any]] = [
    {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}},
    {"name": "choose", "type": "route", "rules": [{"when": "size(item.images) > 0", "to": "tell"}]},
    {"name": "draw", "type": "media", "prompt": "A cup", "on_failure": "go to tell"},
    {"name": "look", "type": "gate", "by": "approval", "subject": "Good?"},
    {"name": "tell", "type": "ping", "connection": "hook", "when": "true"},
]


@dataclass
class FlowPage:
    """A flow with six items: two at its gate, of which one waits for an answer; one at each of two steps; one
    failed; one at a step that was taken out.
    """

    number: int
    run: int
    gate: int

    @property
    def path(self) -> str:
        return f"/flows/flw_{self.number}"


@pytest.fixture
def made(control: Control) -> FlowPage:
    return furnished_flow(control.world)


def furnished_flow(world: World) -> FlowPage:
    """The flow with its items, by plain SQL."""
    flow = Flow.model_validate({"account": "demo", "slug": "news", "name": "News <b>", "steps": STEPS})
    number = add(world, "workflows", kind="flow", slug="news")
    add(world, "flows", id=number, slug="news", status="active", definition=dump(flow))
    run = add(
        world, "runs", workflow_id=number, dag_id="flow__news", dag_run_id="r 1", trigger="manual", owner="x",
        lease_until=NOW + DAY, exclusive=False,
    )  # fmt: skip
    items = []
    for position, (step, title) in enumerate(
        (
            ("look", "水出しコーヒー"),
            ("look", "Second"),
            ("choose", "<i>Third"),
            ("draw", "Fourth"),
            ("old", "Fifth"),
        )
    ):
        items.append(add(
            world, "flow_items", flow_id=number, run_id=run, feed="rss a.test", source_id=f"s{position}",
            position=position,
            source={"title": title}, step=step,
        ))  # fmt: skip
    add(
        world, "flow_items", flow_id=number, run_id=run, feed="rss a.test", source_id="s9", position=9,
        source={"title": "Lost"},
        step="tell", status="failed", reason="the receiver said 500", ended_at=NOW,
    )  # fmt: skip
    task = {"dag_id": "flow__news", "run_id": "r 1", "task_id": "items.look", "map_index": 3}
    gate = add(
        world, "gates", item_id=items[0], step="look", by="approval", subject="Good <?>", token_hash="h",
        task=task, due_at=NOW + DAY, on_timeout="reject",
    )  # fmt: skip
    return FlowPage(number, run, gate)


async def test_the_graph_has_every_step_and_every_way(browser: Browser, made: FlowPage) -> None:
    html = await browser.open(f"{made.path}/steps", "vera")
    assert re.findall(r'class="node-name">(\w+)<', html) == [
        "read", "choose", "draw", "look", "tell",
    ]  # fmt: skip
    assert re.findall(r"<title>(\w+ to .*?)</title>", html) == [
        "read to choose", "choose to draw: otherwise", "draw to look", "look to tell", "tell to end",
        "draw to tell: on failure", "choose to tell: size(item.images) &gt; 0",
    ]  # fmt: skip
    assert html.count('class="way failing"') == 1
    assert 'aria-label="look, gate: 2 items there, 1 of them wait, 0 failed"' in html
    assert 'aria-label="tell, ping: 0 items there, 0 of them wait, 1 failed"' in html
    assert "1 item of earlier runs is at" in html
    assert "News &lt;b&gt;" in html


async def test_a_gate_says_who_can_answer_and_leads_to_its_review_and_its_task(
    browser: Browser, made: FlowPage
) -> None:
    html = await browser.open(f"{made.path}/steps", "vera")
    assert f'href="/review?piece=gat_{made.gate}"><bdi class="clip">水出しコーヒー' in html
    assert re.search(r'data-label="Who can answer"><bdi>ann, olga</bdi>', html)
    assert 'href="/dags/flow__news/runs/r%201/tasks/items.look/mapped/3"' in html
    assert "Good &lt;?&gt;" in html
    assert "水出しコーヒー" in await browser.open(f"/review?piece=gat_{made.gate}", "ann")
    browser.control.world.sql("UPDATE gates SET by = 'webhook'")
    assert "ann, olga, and who has its signed link" in await browser.open(f"{made.path}/steps", "vera")
    browser.control.world.sql("UPDATE gates SET by = 'time'")
    assert "nobody has to: it opens by itself" in await browser.open(f"{made.path}/steps", "vera")
    browser.control.world.sql(
        "UPDATE gates SET outcome = 'approve', answered_at = now(), answered_by = 'ann'"
    )
    assert "Waiting for an answer" not in await browser.open(f"{made.path}/steps", "vera")


async def test_items_are_listed_by_step_and_state(browser: Browser, made: FlowPage) -> None:
    html = await browser.open(f"{made.path}/steps", "vera")
    assert html.count('href="/api/v1/flow-items/itm_') == 6
    assert "&lt;i&gt;Third" in html
    assert f'href="/runs/job_{made.run}"' in html
    at_gate = await browser.open(f"{made.path}/steps?step=look", "vera")
    assert at_gate.count('href="/api/v1/flow-items/itm_') == 2
    failed = await browser.open(f"{made.path}/steps?status=failed", "vera")
    assert failed.count('href="/api/v1/flow-items/itm_') == 1
    assert "the receiver said 500" in failed
    assert "No item matches" in await browser.open(f"{made.path}/steps?step=look&status=done", "vera")


async def test_many_items_are_listed_in_pages(browser: Browser, made: FlowPage) -> None:
    browser.control.world.sql(
        "INSERT INTO flow_items (account_id, flow_id, run_id, feed, source_id, position, source, step,"
        " status, ended_at) SELECT account_id, flow_id, run_id, feed, 'n' || n, n, '{}', 'tell', 'done',"
        " now()"
        " FROM (SELECT * FROM flow_items LIMIT 1) AS one, generate_series(1, 10000) AS n"
    )
    html = await browser.open(f"{made.path}/steps", "vera")
    assert html.count('href="/api/v1/flow-items/itm_') == 50
    [before] = re.findall(r"before=(\d+)#items", html.replace("&amp;", "&"))
    older = await browser.open(f"{made.path}/steps?before={before}", "vera")
    assert f"itm_{int(before) - 1}" in older
    assert f"itm_{before}" not in older


async def test_the_api_has_the_steps_and_the_items_at_one(control: Control, made: FlowPage) -> None:
    shown = await control.get(f"{made.path}/steps")
    assert shown["respondents"] == ["ann", "olga"]
    assert {step["name"]: (step["active"], step["parked"], step["failed"]) for step in shown["steps"]} == {
        "read": (0, 0, 0), "choose": (1, 0, 0), "draw": (1, 0, 0), "look": (2, 1, 0), "tell": (0, 0, 1),
        "old": (1, 0, 0),
    }  # fmt: skip
    assert [step["name"] for step in shown["steps"] if step["gone"]] == ["old"]
    items = await control.get("/flow-items", account="demo", step="look")
    assert sorted(item["title"] for item in items["items"]) == ["Second", "水出しコーヒー"]


async def test_a_flow_that_never_ran_says_so(browser: Browser, made: FlowPage) -> None:
    browser.control.world.sql("DELETE FROM runs")
    html = await browser.open(f"{made.path}/steps", "vera")
    assert "Nothing has come in yet" in html
    assert 'aria-label="look, gate: 0 items there, 0 of them wait, 0 failed"' in html
