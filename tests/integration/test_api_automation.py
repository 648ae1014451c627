"""The automation of sites over HTTP: the payloads, defaults and errors that its clients count on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError, TransientError
from pressroom.engine.runs import control as runs
from pressroom.pipelines.site import SITE
from tests.support.control_seen import STAGE_FIELDS
from tests.support.control_things import add, furnish
from tests.support.control_world import Control

BASE = "/automation"
BY_SITE = [
    ("GET", "config"), ("PUT", "update_config"), ("POST", "run_now"), ("GET", "current_run"),
    ("GET", "pipeline_overview"), ("GET", "current_processing"), ("GET", "history"), ("GET", "estimate"),
]  # fmt: skip
BY_RUN = [("POST", "pause"), ("POST", "resume"), ("POST", "cancel"), ("GET", "logs")]


async def call(control: Control, method: str, name: str, expect: int, **params: Any) -> Any:
    body: dict[str, Any] | None = {} if method == "PUT" else None
    answer = await control(method, f"{BASE}/{name}/", json=body, params=params, expect=expect)
    return answer.json()


@pytest.mark.parametrize(("method", "name"), BY_SITE)
@pytest.mark.parametrize(
    ("site", "status"), [(None, 400), ("", 400), ("abc", 400), (2, 404), (10**25, 404), (0, 404)]
)
async def test_a_site_must_be_named_and_be_ones_own(
    control: Control, method: str, name: str, site: Any, status: int
) -> None:
    params = {} if site is None else {"site_id": site}
    found = await call(control, method, name, status, **params)
    assert ("site_id" in found["detail"]) == (status == 400)


@pytest.mark.parametrize(("method", "name"), BY_RUN)
@pytest.mark.parametrize(
    ("run", "status"), [(None, 400), ("", 400), ("job_99", 404), ("abc", 404), ("theirs", 404)]
)
async def test_a_run_must_be_named_and_be_ones_own(
    control: Control, method: str, name: str, run: str | None, status: int
) -> None:
    theirs = control.other.run()
    params = {} if run is None else {"run_id": f"job_{theirs.id}" if run == "theirs" else run}
    await call(control, method, name, status, **params)


async def test_a_site_without_changes_has_the_defaults(control: Control) -> None:
    found = await control.get(f"{BASE}/config", site_id=1)
    assert found == {
        "site_id": 1, "is_enabled": False, "frequency": "daily", "scheduled_time": "02:00", "timezone": "UTC",
        "cron": None, "stage_1_batch_size": 20, "stage_2_batch_size": 32, "stage_3_batch_size": 200,
        "stage_4_batch_size": 32, "stage_5_batch_size": 32, "stage_6_batch_size": 32, "within_stage_delay": 0,
        "between_stage_delay": 0, "concurrency": 8, "articles_per_run": None, "last_run_at": None,
        "next_run_at": None, "next_runs": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "weekday", "day"),
    [
        ({"frequency": "daily"}, None, None),
        ({"frequency": "weekly"}, 0, None),
        ({"frequency": "monthly"}, None, 1),
    ],
)
async def test_the_schedule_says_when_it_runs_next(
    control: Control, change: dict[str, Any], weekday: int | None, day: int | None
) -> None:
    body = {"is_enabled": True, "scheduled_time": "06:30", "timezone": "Europe/Berlin", **change}
    answer = await control("PUT", f"{BASE}/update_config", params={"site_id": 1}, json=body, expect=200)
    assert answer.json() == await control.get(f"{BASE}/config", site_id=1)
    at = datetime.fromisoformat(answer.json()["next_run_at"])
    assert (at.hour, at.minute) == (6, 30)
    assert at > datetime.now(UTC)
    assert weekday is None or at.weekday() == weekday
    assert day is None or at.day == day


async def test_only_what_is_given_changes(control: Control) -> None:
    sizes = {f"stage_{number}_batch_size": 5 + number for number in range(1, 7)}
    body = {
        **sizes,
        "within_stage_delay": 3,
        "between_stage_delay": 60,
        "articles_per_run": 4,
        "cron": "5 4 * * 2",
    }
    before = await control.get(f"{BASE}/config", site_id=1)
    after = (
        await control("PUT", f"{BASE}/update_config", params={"site_id": 1}, json=body, expect=200)
    ).json()
    assert after == before | body
    back = {"articles_per_run": 0, "cron": ""}
    again = (
        await control("PUT", f"{BASE}/update_config", params={"site_id": 1}, json=back, expect=200)
    ).json()
    assert again == after | {"articles_per_run": None, "cron": None}
    assert [action for _, action, _ in control.audit()] == ["site.configure"] * 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"frequency": "hourly"}, "body.frequency"), ({"scheduled_time": "25:00"}, "body.scheduled_time"),
        ({"timezone": "Mars/Base"}, "body.timezone"), ({"cron": "every day"}, "body.cron"),
        ({"stage_1_batch_size": 4}, "body.stage_1_batch_size"),
        ({"stage_7_batch_size": 1}, "body.stage_7_batch_size"),
        ({"within_stage_delay": -1}, "body.within_stage_delay"), ({"is_enabled": "maybe"}, "body.is_enabled"),
    ],
)  # fmt: skip
async def test_a_wrong_setting_is_named(control: Control, body: dict[str, Any], field: str) -> None:
    answer = await control("PUT", f"{BASE}/update_config", params={"site_id": 1}, json=body, expect=422)
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert control.audit() == []


async def test_run_now_takes_the_lock_and_starts_the_dag(control: Control) -> None:
    answer = await control(
        "POST", f"{BASE}/run_now/", params={"site_id": 1}, json={"articles": 3}, expect=202
    )
    started = answer.json()
    assert (started["run_id"], started["dag_id"], started["status"]) == ("job_1", "site__brew", "running")
    assert control.plane.triggered == [("site__brew", started["dag_run_id"], {"articles": 3})]
    now = await control.get(f"{BASE}/current_run", site_id=1)
    assert (now["run_id"], now["state"], now["started_by"], now["trigger_type"]) == (
        "job_1",
        "pending",
        "ed",
        "manual",
    )
    assert control.audit() == [("user:ed", "job.start", "job_1")]


async def test_run_now_without_a_body_runs_as_the_site_is_set(control: Control) -> None:
    await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=202)
    assert [conf for _, _, conf in control.plane.triggered] == [{}]


async def test_a_second_run_is_refused_by_the_owner_of_the_lock_and_since_when(control: Control) -> None:
    await control("POST", f"{BASE}/run_now", params={"site_id": 1}, user="olga", expect=202)
    answer = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=400)
    assert "started by olga at 20" in answer.json()["detail"]
    assert len(control.plane.triggered) == 1


async def test_a_run_without_the_credits_is_refused(control: Control) -> None:
    control.world.clusters(400)
    answer = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=400)
    assert "credits" in answer.json()["detail"]
    assert control.plane.triggered == []
    assert await control.get(f"{BASE}/current_run", site_id=1) is None


async def test_a_disabled_site_takes_no_runs(control: Control) -> None:
    control.world.sql(
        "UPDATE sites SET status = 'disabled', definition = definition || '{\"status\": \"disabled\"}'"
    )
    answer = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=400)
    assert "disabled" in answer.json()["detail"]


async def test_what_airflow_does_not_take_holds_no_lock(control: Control) -> None:

    control.plane.error = PermanentError("Airflow refuses that: 404")
    answer = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=409)
    assert "site__brew" in answer.json()["detail"]
    control.plane.error = TransientError("Airflow answers 500")
    answer = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=503)
    assert answer.headers["Retry-After"]
    assert await control.get(f"{BASE}/current_run", site_id=1) is None
    control.plane.error = None
    await control("POST", f"{BASE}/run_now", params={"site_id": 1}, expect=202)


async def test_the_same_key_gives_the_first_answer_again(control: Control) -> None:
    key = {"Idempotency-Key": "abc"}
    first = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, headers=key, expect=202)
    again = await control("POST", f"{BASE}/run_now/", params={"site_id": 1}, headers=key, expect=202)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert len(control.plane.triggered) == 1
    await control(
        "POST", f"{BASE}/run_now", params={"site_id": 1}, headers=key, json={"articles": 1}, expect=422
    )
    other = await control(
        "POST", f"{BASE}/run_now", params={"site_id": 1}, user="olga", headers=key, expect=400
    )
    assert "started by ed" in other.json()["detail"]  # the key is the caller's own


async def test_a_refusal_is_an_answer_too_and_a_breakdown_is_not(control: Control) -> None:

    control.plane.error = TransientError("Airflow answers 500")
    key = {"Idempotency-Key": "one"}
    await control("POST", f"{BASE}/run_now", params={"site_id": 1}, headers=key, expect=503)
    control.plane.error = None
    started = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, headers=key, expect=202)
    refused = {"Idempotency-Key": "two"}
    first = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, headers=refused, expect=400)
    await control("POST", f"{BASE}/cancel", params={"run_id": started.json()["run_id"]}, expect=200)
    again = await control("POST", f"{BASE}/run_now", params={"site_id": 1}, headers=refused, expect=400)
    assert again.json() == first.json()


async def test_the_current_run_has_a_result_for_each_stage_begun(control: Control) -> None:
    run = control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        for stage in SITE.stages:
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=2, skipped=None)
            tx.run("add_to_stage", run=run.id, stage=stage.name, processed=2, created=1, words=70, credits=4)
        tx.run(
            "finish_stage", run=run.id, stage="review", output={"ready_for_review": 2, "content_ids": [1, 2]}
        )
        tx.run("set_current_stage", run=run.id, stage="content")
    found = await control.get(f"{BASE}/current_run", site_id=1)
    assert (found["current_stage"], found["current_stage_name"]) == (4, "content")
    for number, fields in STAGE_FIELDS.items():
        assert fields <= set(found[f"stage_{number}_result"]), number
    assert found["stage_4_result"]["total_words"] == 70
    assert found["stage_7_result"]["ready_for_review"] == 2


async def test_pause_resume_and_cancel_steer_that_run(control: Control) -> None:
    run = f"job_{control.world.run().id}"
    paused = await control("POST", f"{BASE}/pause/", params={"run_id": run, "site_id": 1}, expect=200)
    assert (paused.json()["status"], bool(paused.json()["paused_at"])) == ("paused", True)
    conflict = await control("POST", f"{BASE}/pause", params={"run_id": run}, expect=409)
    assert "paused" in conflict.json()["detail"]
    resumed = await control("POST", f"{BASE}/resume", params={"run_id": run}, expect=200)
    assert (resumed.json()["status"], bool(resumed.json()["resumed_at"])) == ("running", True)
    cancelled = await control("POST", f"{BASE}/cancel", params={"run_id": run}, expect=200)
    assert (cancelled.json()["cancel_requested"], bool(cancelled.json()["cancelled_at"])) == (True, True)
    with control.world.store.transaction(control.world.account_id) as tx:
        control_close(tx, int(run.removeprefix("job_")))
    ended = await control("POST", f"{BASE}/resume", params={"run_id": run}, expect=409)
    assert "cancelled" in ended.json()["detail"]
    assert [action for _, action, _ in control.audit()] == ["job.pause", "job.resume", "job.cancel"]


def control_close(tx: Any, run: int) -> None:
    runs.close_run(tx, run, failed=None)


async def test_the_overview_counts_what_waits_and_how_all_stands(control: Control) -> None:
    world = control.world
    world.sql(
        "INSERT INTO keywords (account_id, site_id, text, normalized, disabled)"
        " SELECT %s, %s, 'k' || n, 'k' || n, n > 5 FROM generate_series(1, 7) AS n",
        world.account_id, world.site_id,
    )  # fmt: skip
    world.clusters(2)
    found = await control.get(f"{BASE}/pipeline_overview", site_id=1)
    assert [stage["number"] for stage in found["stages"]] == [1, 2, 3, 4, 5, 6, 7]
    first, second, *rest = found["stages"]
    assert (first["pending"], first["counts"]) == (5, {"new": 5, "disabled": 2})
    assert (second["pending"], second["counts"]) == (2, {"new": 2})
    assert all((stage["pending"], stage["counts"]) == (0, {}) for stage in rest)


async def test_the_live_snapshot_is_null_when_nothing_runs(control: Control) -> None:
    assert await control.get(f"{BASE}/current_processing", site_id=1) is None
    run = control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        tx.run("plan_stage", run=run.id, stage="content", planned=8, skipped=None)
        tx.run("add_to_stage", run=run.id, stage="content", processed=2, created=2, words=9, credits=4)
        tx.run("set_current_stage", run=run.id, stage="content")
        tx.run("reserve_credits", workflow=1, run=run.id, stage="content", item="7", credits=5)
        control_event(tx, run.id)
    found = await control.get(f"{BASE}/current_processing", site_id=1, run_id=f"job_{run.id}")
    assert (found["processed"], found["planned"], found["remaining"], found["percent"]) == (2, 8, 6, 25.0)
    assert [(one["stage"], one["item"]) for one in found["in_work"]] == [("content", "7")]
    assert [one["label"] for one in found["done_last"]] == ["Pour over"]
    await control.get(f"{BASE}/current_processing", site_id=1, run_id="job_99", expect=404)
    with control.world.store.transaction(run.account_id) as tx:
        control_close(tx, run.id)
    assert await control.get(f"{BASE}/current_processing", site_id=1, run_id=f"job_{run.id}") is None
    assert await control.get(f"{BASE}/current_run", site_id=1) is None


def control_event(tx: Any, run: int) -> None:
    runs.event(tx, run, "item_done", "Pour over", stage="content")


async def test_history_shows_the_last_twenty_and_goes_on_by_cursor(control: Control) -> None:
    for number in range(23):
        run = control.world.run(f"manual__{number}", trigger="scheduled" if number == 3 else "manual")
        with control.world.store.transaction(run.account_id) as tx:
            control_close(tx, run.id)
    first = await control.get(f"{BASE}/history", site_id=1)
    assert [one["run_id"] for one in first["items"]] == [f"job_{number}" for number in range(23, 3, -1)]
    assert set(first["items"][0]) >= {
        "run_id", "status", "trigger_type", "started_at", "completed_at", "total_credits_used",
        "current_stage",
    }  # fmt: skip
    rest = await control.get(f"{BASE}/history", site_id=1, cursor=first["next_cursor"])
    assert [one["run_id"] for one in rest["items"]] == ["job_3", "job_2", "job_1"]
    assert rest["next_cursor"] is None
    scheduled = await control.get(f"{BASE}/history", site_id=1, trigger_type="scheduled")
    assert [one["run_id"] for one in scheduled["items"]] == ["job_4"]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await control.get(f"{BASE}/history", site_id=1, since=tomorrow))["items"] == []
    assert (
        len((await control.get(f"{BASE}/history", site_id=1, until=tomorrow, status="completed"))["items"])
        == 20
    )
    for bad in ("x", "W10", "WyJhIl0", "WzEsMl0", "bnVsbA"):
        await control.get(f"{BASE}/history", site_id=1, cursor=bad, expect=422)


async def test_history_tells_runs_that_publish_from_those_of_the_pipeline(control: Control) -> None:
    for number, dag in enumerate((control.world.site.dag_id, f"{control.world.site.dag_id}__publish")):
        run = control.world.run(f"manual__{number}")
        control.world.sql("UPDATE runs SET dag_id = %s WHERE id = %s", dag, run.id)
        with control.world.store.transaction(run.account_id) as tx:
            control_close(tx, run.id)
    every = await control.get(f"{BASE}/history", site_id=1)
    assert [(one["run_id"], one["part"]) for one in every["items"]] == [("job_2", "publish"), ("job_1", "")]
    for part, run_id in (("pipeline", "job_1"), ("publish", "job_2")):
        chosen = await control.get(f"{BASE}/history", site_id=1, part=part)
        assert [one["run_id"] for one in chosen["items"]] == [run_id]


async def test_what_is_in_work_has_a_title_and_a_place_in_the_api(control: Control) -> None:
    things = furnish(control.world)
    run, article = int(things["run"].removeprefix("job_")), int(things["article"].removeprefix("art_"))
    image = add(
        control.world, "images", site_id=1, content_id=article, role="featured", position=0, prompt="p",
        alt="",
    )  # fmt: skip
    keys = {
        "clusters": "a1b2", "ideas": things["cluster"], "content": "1", "image_prompts": str(article),
        "images": str(image),
    }  # fmt: skip
    with control.world.store.transaction(control.world.account_id) as tx:
        for stage, item in keys.items():
            tx.run("reserve_credits", workflow=1, run=run, stage=stage, item=item, credits=1)
        held = tx.rows("items_in_work", run=run)
    assert {row["stage"]: (row["title"], row["path"]) for row in held} == {
        "clusters": ("a group of keywords", None), "ideas": ("C", f"clusters/{things['cluster']}"),
        "content": ("S", "ideas/2"), "image_prompts": ("A", f"content/{things['article']}"),
        "images": ("A, picture 1", f"content/{things['article']}"),
    }  # fmt: skip
    for row in held:
        if row["path"]:
            await control.get(f"/{row['path']}")


async def test_logs_are_the_tail_of_the_activity(control: Control) -> None:
    run = control.world.run()
    with control.world.store.transaction(run.account_id) as tx:
        for number in range(150):
            tx.run(
                "insert_event",
                run=run.id,
                kind="x",
                message=f"line {number}",
                stage=None,
                level="info",
                data={},
            )
    usual = await control.get(f"{BASE}/logs", run_id=f"job_{run.id}")
    assert [line["message"] for line in usual["lines"]] == [f"line {number}" for number in range(50, 150)]
    few = await control.get(f"{BASE}/logs", run_id=f"job_{run.id}", lines=2)
    assert [line["message"] for line in few["lines"]] == ["line 148", "line 149"]
    for lines in (0, 10**9, "many"):
        await control.get(f"{BASE}/logs", run_id=f"job_{run.id}", lines=lines, expect=422)


async def test_the_estimate_has_a_buffer_of_a_fifth(control: Control) -> None:
    control.world.clusters(3)
    found = await control.get(f"{BASE}/estimate", site_id=1)
    total = sum(found["stages"].values())
    assert found["estimated_credits"] == total > 0
    assert found["required_credits"] == pytest.approx(total * 1.2)
    assert (found["current_balance"], found["sufficient"]) == (1000, True)
    control.world.sql(
        "INSERT INTO ledger (account_id, kind, credits, entry_key) VALUES (1, 'adjustment', -990, 'x')"
    )
    assert (await control.get(f"{BASE}/estimate", site_id=1))["sufficient"] is False
