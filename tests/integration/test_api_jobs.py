"""Jobs over HTTP: started, watched, retried from a stage, steered, rolled back, and their log as a stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pressroom.api.app import build_control_app
from pressroom.domain.errors import PermanentError
from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.runs import control as runs
from pressroom.engine.runs.control import Level
from tests.support.control_seen import Event, log_events
from tests.support.control_world import Control
from tests.support.flow_world import FETCH, PING, make_flow
from tests.support.mission_world import MissionWorld, make_mission
from tests.support.served import served

JOBS = "/pipeline/jobs"


@pytest.fixture
def mission(control: Control) -> MissionWorld:
    """A mission of the account demo: workflow 3."""
    return make_mission(control.world.url, control.world.store, slug="launch")


def failed_run(world: MissionWorld, *done: str, at: str = "content") -> Run:
    """A run that got through some stages and failed in the next one."""
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        for stage in (*done, at):
            tx.run("plan_stage", run=run.id, stage=stage, planned=2, skipped=None)
        for stage in done:
            tx.run("add_to_stage", run=run.id, stage=stage, processed=2, created=2, words=0, credits=0)
            tx.run("finish_batch", run=run.id, stage=stage, batches=1, partial=None)
        tx.run(
            "record_item_failure", workflow=world.mission_id, stage=at, item="1", run=run.id, error_class="E",
            error="broken",
        )  # fmt: skip
        runs.close_run(tx, run.id, failed="content.work failed")
    return run


async def test_a_job_of_a_mission_is_pending_until_airflow_begins_it(
    control: Control, mission: MissionWorld
) -> None:
    answer = await control("POST", JOBS, json={"mission_id": f"msn_{mission.mission_id}"}, expect=202)
    job = answer.json()
    assert (job["id"], job["state"], job["kind"], job["workflow"]) == (
        "job_1",
        "pending",
        "mission",
        "launch",
    )
    assert [stage["stage"] for stage in job["stages"]] == [
        "intake", "strategy", "content", "publish", "analytics", "optimize",
    ]  # fmt: skip
    assert control.plane.triggered == [("mission__launch", job["dag_run_id"], {})]
    assert await control.get(f"{JOBS}/job_1") == job
    refused = await control("POST", JOBS, json={"mission_id": f"msn_{mission.mission_id}"}, expect=409)
    assert "started by ed at 20" in refused.json()["detail"]


async def test_a_job_of_a_flow_takes_an_item_and_several_run_at_once(control: Control) -> None:
    flow = make_flow(control.world.url, control.world.store, PING)
    body = {"flow_id": f"flw_{flow.flow_id}", "item": {"title": "New"}, "cap_cents": 5}
    for number in (1, 2):
        answer = await control("POST", JOBS, json=body, expect=202)
        assert answer.json()["id"] == f"job_{number}"
    assert control.plane.triggered[0][2] == {"item": {"title": "New"}, "cap_cents": 5}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"mission_id": "msn_1", "site_id": 1}, {"site_id": 1, "item": {}}, {"site_id": 0},
        {"mission_id": "msn_1", "articles": 1}, {"site_id": 1, "articles": 0}, {"site_id": "x"},
        {"site_id": 1, "cap_cents": -1}, {"site": 1},
    ],
)  # fmt: skip
async def test_a_job_is_of_one_workflow(control: Control, body: dict[str, Any]) -> None:
    await control("POST", JOBS, json=body, expect=422)
    assert control.plane.triggered == []


@pytest.mark.parametrize(
    "body",
    [{"site_id": 2}, {"site_id": 10**30}, {"mission_id": "msn_1"}, {"flow_id": "msn_1"}, {"flow_id": "\0"}],
)
async def test_a_job_is_of_a_workflow_of_ones_own(control: Control, body: dict[str, Any]) -> None:
    await control("POST", JOBS, json=body, expect=404)


async def test_jobs_are_listed_by_state_kind_and_workflow(control: Control, mission: MissionWorld) -> None:
    failed = failed_run(mission, "intake")
    site = control.world.run()
    control.other.run()
    listed = await control.get(JOBS)
    assert [(one["id"], one["kind"], one["state"]) for one in listed["items"]] == [
        (f"job_{site.id}", "site", "pending"), (f"job_{failed.id}", "mission", "failed"),
    ]  # fmt: skip
    for params, found in (
        ({"state": "failed"}, [failed.id]), ({"state": "pending"}, [site.id]),
        ({"kind": "site"}, [site.id]),
        ({"mission": f"msn_{mission.mission_id}"}, [failed.id]), ({"site": 1}, [site.id]),
        ({"flow": "x"}, []),
        ({"limit": 1}, [site.id]), ({"trigger": "scheduled"}, []), ({"site": 2}, []),
    ):  # fmt: skip
        items = (await control.get(JOBS, **params))["items"]
        assert [one["id"] for one in items] == [f"job_{number}" for number in found], params
    first = await control.get(JOBS, limit=1)
    second = await control.get(JOBS, limit=1, cursor=first["next_cursor"])
    assert [one["id"] for one in second["items"]] == [f"job_{failed.id}"]
    both = await control.get(JOBS, expect=422, site=1, mission=f"msn_{mission.mission_id}")
    assert both["remedy"] == "name a site or a mission"
    assert (await control.get(JOBS, user="nobody"))["items"] == []


async def test_the_state_of_a_list_is_that_of_the_job(control: Control) -> None:
    run = control.world.run()

    def change(statement: str) -> None:
        control.world.sql(f"UPDATE runs SET {statement} WHERE id = %s", run.id)  # noqa: S608  # ours

    for statement, state in (
        ("current_stage = 'content'", "running"), ("lease_until = now() - interval '1 h'", "retrying"),
        ("lease_until = now() + interval '1 h', status = 'paused'", "paused"),
        ("status = 'partial'", "completed"), ("status = 'cancelled'", "cancelled"),
        ("status = 'failed'", "failed"),
    ):  # fmt: skip
        change(statement)
        assert (await control.get(f"{JOBS}/job_{run.id}"))["state"] == state
        assert [one["state"] for one in (await control.get(JOBS, state=state))["items"]] == [state]


async def test_a_job_shows_its_progress(control: Control, mission: MissionWorld) -> None:
    run = failed_run(mission, "intake", "strategy")
    found = await control.get(f"{JOBS}/job_{run.id}")
    assert found["progress"] == {
        "stages_done": 2, "stages": 6, "items_done": 4, "items_planned": 6, "percent": 33.3,
    }  # fmt: skip
    assert [stage["status"] for stage in found["stages"]][:4] == [
        "completed",
        "completed",
        "failed",
        "pending",
    ]
    assert found["error_message"] == "content.work failed"


async def test_a_retry_clears_the_stage_and_forgives_what_failed(
    control: Control, mission: MissionWorld
) -> None:
    run = failed_run(mission, "intake", "strategy")
    answer = await control("POST", f"{JOBS}/job_{run.id}/retry", json={"from_stage": "content"}, expect=202)
    assert answer.json() == {
        "id": f"job_{run.id}", "from_stage": "content",
        "stages": ["content", "publish", "analytics", "optimize"],
    }  # fmt: skip
    assert control.plane.cleared == [("mission__launch", "manual__1", ["content.plan"])]
    assert mission.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert (await control.get(f"{JOBS}/job_{run.id}"))["state"] in ("pending", "running")
    again = await control("POST", f"{JOBS}/job_{run.id}/retry", json={}, expect=409)
    assert "started by ed" in again.json()["detail"]


@pytest.mark.parametrize(
    ("stage", "task"), [("intake", "intake.plan"), ("analytics", "analytics"), (None, "content.plan")]
)
async def test_a_retry_begins_with_the_stages_first_task(
    control: Control, mission: MissionWorld, stage: str | None, task: str
) -> None:
    run = failed_run(mission, "intake", "strategy")
    mission.cycle(run)
    mission.sql("UPDATE cycles SET strategy = '{}'")
    await control("POST", f"{JOBS}/job_{run.id}/retry", json={"from_stage": stage}, expect=202)
    assert [tasks for _, _, tasks in control.plane.cleared] == [[task]]


async def test_a_retry_of_a_flow_begins_with_the_steps_of_its_items(control: Control) -> None:
    flow = make_flow(control.world.url, control.world.store, FETCH, PING)
    run = flow.run()
    with control.world.store.transaction(flow.account_id) as tx:
        runs.close_run(tx, run.id, failed="x")
    await control("POST", f"{JOBS}/job_{run.id}/retry", json={"from_stage": "tell"}, expect=202)
    assert [tasks for _, _, tasks in control.plane.cleared] == [["item.tell"]]


async def test_a_retry_of_an_unknown_stage_names_the_nearest(control: Control, mission: MissionWorld) -> None:
    run = failed_run(mission)
    answer = await control("POST", f"{JOBS}/job_{run.id}/retry", json={"from_stage": "contant"}, expect=422)
    assert "content" in answer.json()["detail"]
    assert control.plane.cleared == []


@pytest.mark.parametrize("before", ["failed", "completed"])
async def test_a_retry_that_airflow_does_not_take_leaves_the_job_as_it_was(
    control: Control, mission: MissionWorld, before: str
) -> None:
    run = failed_run(mission)
    mission.sql("UPDATE runs SET status = %s WHERE id = %s", before, run.id)
    control.plane.error = PermanentError("Airflow refuses that: 404")
    await control("POST", f"{JOBS}/job_{run.id}/retry", json={}, expect=400)
    found = await control.get(f"{JOBS}/job_{run.id}")
    assert (found["state"], found["error_message"]) == (
        before, "Airflow refused the run: Airflow refuses that: 404",
    )  # fmt: skip


async def test_a_live_job_is_steered_and_another_one_of_its_flow_is_not(control: Control) -> None:
    flow = make_flow(control.world.url, control.world.store, FETCH)
    first, second = flow.run("one"), flow.run("two")
    for action, state in (("pause", "paused"), ("resume", "pending")):
        answer = await control("POST", f"{JOBS}/job_{first.id}/{action}", expect=200)
        assert answer.json()["state"] == state
        assert (await control.get(f"{JOBS}/job_{second.id}"))["state"] == "pending"
    cancelled = await control("POST", f"{JOBS}/job_{first.id}/cancel", expect=200)
    assert cancelled.json()["cancel_requested"]
    assert not (await control.get(f"{JOBS}/job_{second.id}"))["cancel_requested"]
    await control("POST", f"{JOBS}/job_{first.id}/cancel", expect=409)


@pytest.mark.parametrize("path", [f"{JOBS}/{{}}/cancel", "/automation/cancel?run_id={}"])
async def test_a_job_is_cancelled_at_once_on_request(control: Control, path: str) -> None:
    run = f"job_{control.world.run().id}"
    await control("POST", path.format(run), json={"now": False}, expect=200)
    await control("POST", path.format(run), expect=409)
    await control("POST", path.format(run), json={"now": True}, expect=200)
    await control("POST", path.format(run), json={"soon": True}, expect=422)
    assert control.world.sql("SELECT cancel_requested, cancel_now FROM runs") == [(True, True)]
    assert [action for _, action, _ in control.audit()] == ["job.cancel", "job.cancel_now"]


async def test_a_rollback_needs_an_approver_an_ended_job_and_a_mission(
    control: Control, mission: MissionWorld
) -> None:
    site = control.world.run()
    live = mission.run("live")
    await control("POST", f"{JOBS}/job_{live.id}/rollback", expect=403)
    await control("POST", f"{JOBS}/job_{live.id}/rollback", user="ann", expect=409)
    mission.close(live)
    refused = await control("POST", f"{JOBS}/job_{site.id}/rollback", user="ann", expect=409)
    assert "site cannot be rolled back" in refused.json()["detail"]
    await control("POST", f"{JOBS}/job_{live.id}/rollback", user="ann", expect=202)
    assert control.plane.cleared == [("mission__launch", "live", ["rollback"])]
    assert mission.sql("SELECT rollback_requested_by FROM runs WHERE id = %s", live.id) == [("ann",)]


async def test_a_rollback_asks_for_no_credits(control: Control, mission: MissionWorld) -> None:
    run = failed_run(mission, "intake")
    mission.cycle(run)
    with control.world.store.transaction(mission.account_id) as tx:
        have, _ = ledger.balance(tx)
    control.world.sql(
        "INSERT INTO ledger (account_id, kind, credits, entry_key) VALUES (1, 'adjustment', %s, 'x')", -have
    )
    await control("POST", f"{JOBS}/job_{run.id}/retry", json={}, expect=402)
    await control("POST", f"{JOBS}/job_{run.id}/rollback", user="ann", expect=202)


# The log ----------------------------------------------------------------------------------------------


def write(control: Control, run: Run, *messages: str) -> None:
    """Lines of a run's log, each in a transaction of its own."""
    for message in messages:
        with control.world.store.transaction(run.account_id) as tx:
            runs.event(tx, run.id, "note", message)


async def test_a_log_goes_on_after_a_line(control: Control) -> None:
    run = control.world.run()
    write(control, run, *"abc")
    found = await control.get(f"{JOBS}/job_{run.id}/logs", lines=2)
    assert ([line["message"] for line in found["lines"]], found["last"]) == (["b", "c"], 4)
    after = await control.get(f"{JOBS}/job_{run.id}/logs", after=2)
    assert [line["message"] for line in after["lines"]] == ["b", "c"]
    assert await control.get(f"{JOBS}/job_{run.id}/logs", after=4) == {
        "id": f"job_{run.id}", "lines": [], "last": 4,
    }  # fmt: skip
    for wrong in ("-1", "x", str(2**70)):
        headers = {"Last-Event-ID": wrong}
        await control("GET", f"{JOBS}/job_{run.id}/logs?stream=true", headers=headers, expect=422)


def say(control: Control, run: Run, stage: str, level: Level) -> None:
    with control.world.store.transaction(run.account_id) as tx:
        runs.event(tx, run.id, "note", f"{stage} {level}", stage=stage, level=level)


async def test_a_log_is_read_by_stage_and_level(control: Control) -> None:
    run = control.world.run()
    for stage in ("ideas", "content"):
        for level in ("info", "warning", "error"):
            say(control, run, stage, level)

    async def shown(path: str = f"{JOBS}/job_{run.id}/logs", **params: Any) -> list[str]:
        named: dict[str, Any] = {"run_id": f"job_{run.id}"} if path.startswith("/automation") else {}
        found = await control.get(path, **named, **params)
        return [line["message"] for line in found["lines"]]

    assert await shown(stage="content") == ["content info", "content warning", "content error"]
    assert await shown(level="error") == ["ideas error", "content error"]
    assert await shown(stage="ideas", level="warning", lines=1) == ["ideas error"]
    assert await shown(stage="ideas", after=2) == ["ideas warning", "ideas error"]
    await control.get(f"{JOBS}/job_{run.id}/logs", level="debug", expect=422)
    assert await shown("/automation/logs", stage="4", level="warning") == ["content warning", "content error"]
    assert await shown("/automation/logs", stage="content", level="error") == ["content error"]
    wrong = await control.get("/automation/logs", run_id=f"job_{run.id}", stage="contnet", expect=422)
    assert "content" in wrong["detail"]


def test_a_stream_shows_the_chosen_lines_only(streams: tuple[Control, httpx.Client]) -> None:
    control, client = streams
    run = control.world.run()
    for level in ("info", "error", "info"):
        say(control, run, "ideas", level)
    with control.world.store.transaction(run.account_id) as tx:
        runs.close_run(tx, run.id, failed=None)
    *shown, end = log_events(client, f"job_{run.id}", level="error")
    assert [data["message"] for _, _, data in shown] == ["ideas error"]
    assert end[0] == "end"


def test_a_client_that_is_cut_off_sees_each_line_once_in_order(
    streams: tuple[Control, httpx.Client],
) -> None:
    control, client = streams
    run = control.world.run()
    count = 120

    def writer(number: int) -> None:
        write(control, run, *(f"{number}:{each}" for each in range(count // 4)))

    writers = [threading.Thread(target=writer, args=(number,)) for number in range(4)]

    def finish() -> None:
        for each in writers:
            each.start()
        for each in writers:
            each.join()
        with control.world.store.transaction(run.account_id) as tx:
            runs.close_run(tx, run.id, failed=None)

    closing = threading.Thread(target=finish)
    closing.start()
    seen: list[Event] = []
    cuts = [1, 7, 20, 3, 40, None]
    for most in cuts:
        seen += log_events(client, f"job_{run.id}", after=seen[-1][1] if seen else None, most=most)
    closing.join()
    *lines, last = seen
    assert last[0] == "end"
    numbers = [int(number) for _, number, _ in lines]
    assert numbers == list(range(1, count + 3))  # with those of the start and the end
    assert last[2] == {"last": numbers[-1]}
    assert {kind for kind, _, _ in lines} == {"log"}
    assert [data["id"] for _, _, data in lines] == numbers
    again = list(log_events(client, f"job_{run.id}", after=str(numbers[-1])))
    assert [kind for kind, _, _ in again] == ["end"]


def test_a_line_is_sent_as_it_comes(streams: tuple[Control, httpx.Client]) -> None:
    control, client = streams
    run = control.world.run()
    stream = log_events(client, f"job_{run.id}")
    next(stream)  # the start
    began = time.monotonic()
    write(control, run, "now")
    kind, _, data = next(stream)
    assert (kind, data["message"]) == ("log", "now")
    assert time.monotonic() - began < 10  # long before the stream would end by itself
    stream.close()  # type: ignore[attr-defined]


@pytest.fixture
def streams(control: Control) -> Iterator[tuple[Control, httpx.Client]]:
    """The API behind a real port, and a client that sees answers come bit by bit."""
    with (
        served(build_control_app(control.plane)) as url,
        httpx.Client(base_url=url, headers={"X-User": "vera"}, timeout=30) as client,
    ):
        yield control, client
