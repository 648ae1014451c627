"""Items of flows, their packets and gates, and failures over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.storage.media import MediaFiles
from pressroom.domain.errors import RunConflict, TransientError
from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from tests.support.control_world import Control
from tests.support.flow_world import FETCH, PING, FlowWorld, entries, make_flow


async def waiting(control: Control, by: str) -> tuple[FlowWorld, int]:
    """A flow with an item at an open gate. Returns the item."""
    return await asyncio.to_thread(_waiting, control, by)


def _waiting(control: Control, by: str) -> tuple[FlowWorld, int]:
    world = make_flow(
        control.world.url, control.world.store, FETCH, {"name": "look", "type": "gate", "by": by}, PING
    )
    world.sources = entries("one", "two")
    run = world.run()
    item, _ = world.take(run)
    step = world.flow.steps[1]
    assert isinstance(step, GateStep)
    with world.store.transaction(world.account_id) as tx:
        gates.open_gate(tx, run, item, step, "Is it good?", {"task_id": "item.look", "map_index": 0})
    return world, item


async def test_items_are_listed_with_the_step_that_they_are_at(control: Control) -> None:
    world, item = await waiting(control, "webhook")
    listed = (await control.get("/flow-items"))["items"]
    assert [(one["id"], one["title"], one["step"], one["status"]) for one in listed] == [
        (f"itm_{item + 1}", "Two", "look", "active"), (f"itm_{item}", "One", "look", "active"),
    ]  # fmt: skip
    for params, count in (
        ({"flow": f"flw_{world.flow_id}"}, 2), ({"flow": "flw_99"}, 0), ({"flow": "x"}, 0),
        ({"job": "job_1"}, 2),
        ({"job": "job_2"}, 0), ({"status": "failed"}, 0), ({"limit": 1}, 1),
    ):  # fmt: skip
        assert len((await control.get("/flow-items", **params))["items"]) == count, params
    first = await control.get("/flow-items", limit=1)
    second = await control.get("/flow-items", limit=1, cursor=first["next_cursor"])
    assert second["items"][0]["id"] == f"itm_{item}"


async def test_an_item_shows_all_that_it_went_through(control: Control) -> None:
    _, item = await waiting(control, "webhook")
    found = await control.get(f"/flow-items/itm_{item}")
    assert [(one["step"], one["kind"], one["data"]["title"]) for one in found["packets"]] == [
        ("read", "source", "One")
    ]


async def test_the_pictures_of_an_item_have_urls_of_the_api(control: Control, tmp_path: Path) -> None:
    world, item = await waiting(control, "webhook")
    stored = MediaFiles(tmp_path).put(b"drawn", "image/png")
    forged = MediaFiles(tmp_path).put(b"not ours", "image/png")

    def add(kind: str, **data: Any) -> int:
        [(packet,)] = world.sql(
            "INSERT INTO packets (account_id, item_id, id, step, kind, data)"
            " SELECT account_id, item_id, max(id) + 1, 'draw', %s, %s FROM packets WHERE item_id = %s"
            " GROUP BY account_id, item_id RETURNING id",
            kind, json.dumps(data), item,
        )  # fmt: skip
        return int(packet)

    drawn = add("media", url=stored, media_type="image/png", alt="A leaf")
    add("tool_call", step="site", arguments={"images": [stored]})
    said = add("output", url=forged, media_type="image/png")
    found = await control.get(f"/flow-items/itm_{item}")
    url = f"/flow-items/itm_{item}/pictures/{drawn}"
    _, picture, call, _ = found["packets"]
    assert (picture["data"]["url"], call["data"]["arguments"]["images"]) == (url, [url])
    assert str(tmp_path) not in json.dumps(found["packets"][:3])
    answer = await control("GET", url, user="vera", expect=200)
    assert (answer.content, answer.headers["content-type"]) == (b"drawn", "image/png")
    await control("GET", url, user="stella", expect=404)
    await control("GET", f"/flow-items/itm_{item}/pictures/{said}", user="vera", expect=404)
    await control("GET", f"/flow-items/itm_{item + 1}/pictures/{drawn}", user="vera", expect=404)


async def test_a_gate_is_answered_once_by_its_name(control: Control) -> None:
    await waiting(control, "webhook")
    [gate] = (await control.get("/gates"))["items"]
    assert (gate["subject"], gate["title"], gate["outcome"]) == ("Is it good?", "One", None)
    assert "token" not in str(gate)
    await control("POST", f"/gates/{gate['id']}/answer", json={"decision": "approve"}, expect=403)
    body = {"decision": "approve", "text": "Better."}
    await control("POST", f"/gates/{gate['id']}/answer", user="ann", json=body, expect=200)
    again = await control(
        "POST", f"/gates/{gate['id']}/answer", user="ann", json={"decision": "reject"}, expect=409
    )
    assert "approve, by ann" in again.json()["detail"]
    found = await control.get(f"/gates/{gate['id']}")
    assert (found["outcome"], found["answer"], found["answered_by"]) == (
        "approve",
        {"text": "Better."},
        "ann",
    )
    assert (await control.get("/gates"))["items"] == []
    assert len((await control.get("/gates", all=True))["items"]) == 1
    assert control.plane.answered == []
    assert control.audit() == [("user:ann", "gate.answer", gate["id"])]


async def test_a_gate_on_airflows_page_is_answered_there(control: Control) -> None:
    await waiting(control, "approval")
    [gate] = (await control.get("/gates"))["items"]
    path = f"/gates/{gate['id']}/answer"
    control.plane.error = RunConflict("this was answered already")
    await control("POST", path, user="ann", json={"decision": "reject"}, expect=409)
    assert control.audit() == []
    control.plane.error = None
    await control("POST", path, user="ann", json={"decision": "reject"}, expect=200)
    assert control.plane.answered == [({"task_id": "item.look", "map_index": 0}, "Reject", {"text": ""})]
    assert control.audit() == [("user:ann", "gate.answer", gate["id"])]


@pytest.mark.parametrize(
    "body", [{}, {"decision": "maybe"}, {"decision": "approve", "text": 5}, {"decide": "x"}]
)
async def test_an_answer_says_approve_or_reject(control: Control, body: dict[str, Any]) -> None:
    await waiting(control, "webhook")
    await control("POST", "/gates/gat_1/answer", user="ann", json=body, expect=422)


async def test_failures_are_listed_latest_first_and_forgiven(control: Control) -> None:
    run = control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        for item, stage in (("1", "ideas"), ("2", "content"), ("3", "content")):
            tx.run(
                "record_item_failure", workflow=1, stage=stage, item=item, run=run.id,
                error_class="InvalidAnswer", error="no good",
            )  # fmt: skip
    page = await control.get("/failures", limit=2)
    rest = await control.get("/failures", limit=2, cursor=page["next_cursor"])
    found = [
        (one["stage"], one["item"], one["workflow"], one["job_id"]) for one in page["items"] + rest["items"]
    ]
    assert sorted(found) == [
        ("content", "2", "brew", "job_1"), ("content", "3", "brew", "job_1"), ("ideas", "1", "brew", "job_1"),
    ]  # fmt: skip
    assert rest["next_cursor"] is None
    assert len((await control.get("/failures", stage="ideas", workflow=1))["items"]) == 1
    assert (await control.get("/failures", workflow=2))["items"] == []
    for bad in ("WzFd", "WyJ4IiwxLCJhIiwiYiJd"):
        await control.get("/failures", cursor=bad, expect=422)
    wrong = await control("POST", "/sites/1/retry-failed", json={"stage": "contents"}, expect=422)
    assert "content" in wrong.json()["detail"]
    forgiven = await control("POST", "/sites/1/retry-failed", json={"stage": "content"}, expect=200)
    assert forgiven.json() == {"items": 2}
    assert (await control("POST", "/sites/1/retry-failed", expect=200)).json() == {"items": 1}
    assert control.audit() == [("user:ed", "failures.forgive", "site/brew")] * 2


async def test_who_cancels_a_job_ends_its_waits_for_a_person(control: Control) -> None:
    await waiting(control, "approval")
    [gate] = (await control.get("/gates"))["items"]
    job = (await control.get("/flow-items"))["items"][0]["job_id"]
    cancelled = await control("POST", f"/pipeline/jobs/{job}/cancel", expect=200)
    assert cancelled.json()["cancel_requested"]
    assert control.plane.answered == [({"task_id": "item.look", "map_index": 0}, "Reject", {"text": ""})]
    assert (await control.get("/gates"))["items"] == []
    assert [one["open"] for one in (await control.get("/gates", all=True))["items"]] == [False]
    late = {"decision": "approve"}
    refused = await control("POST", f"/gates/{gate['id']}/answer", user="ann", json=late, expect=409)
    assert "was cancelled" in refused.json()["detail"]


async def test_a_job_is_cancelled_although_airflow_does_not_answer(control: Control) -> None:
    await waiting(control, "approval")
    control.plane.error = TransientError("Airflow is away")
    job = (await control.get("/flow-items"))["items"][0]["job_id"]
    assert (await control("POST", f"/pipeline/jobs/{job}/cancel", expect=200)).json()["cancel_requested"]
