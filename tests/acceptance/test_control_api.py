"""The control API inside a real API server: what its clients count on, and runs that are steered by it."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.acceptance.caller import Caller
from tests.acceptance.campaign import Campaign
from tests.acceptance.newsroom import Newsroom
from tests.support.control_seen import STAGE_FIELDS, Event, log_events

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(420)]

CONFIG = {
    "is_enabled", "frequency", "scheduled_time", "stage_1_batch_size", "stage_2_batch_size",
    "stage_3_batch_size", "stage_4_batch_size", "stage_5_batch_size", "stage_6_batch_size",
    "within_stage_delay", "between_stage_delay", "last_run_at", "next_run_at",
}  # fmt: skip
RUN = {
    "run_id", "status", "trigger_type", "current_stage", "started_at", "paused_at", "resumed_at",
    "cancelled_at", "completed_at", "total_credits_used", "error_message",
    *(f"stage_{number}_result" for number in range(1, 8)),
}  # fmt: skip


@pytest.mark.site("remote")
def test_a_sites_automation_from_configuration_to_history(newsroom: Newsroom, call: Caller) -> None:
    site = {"site_id": newsroom.row.workflow_id}
    for method, name in (
        ("GET", "config"), ("PUT", "update_config"), ("POST", "run_now"), ("GET", "current_run"),
        ("GET", "pipeline_overview"), ("GET", "current_processing"), ("GET", "history"), ("GET", "estimate"),
    ):  # fmt: skip
        body: dict[str, Any] = {"json": {}} if method == "PUT" else {}
        call(method, f"/automation/{name}/", 400, **body)
        call(method, f"/automation/{name}", 404, params={"site_id": 10**9}, **body)
        assert httpx.request(method, f"{call.url}/automation/{name}", params=site).status_code == 401
    for method, name in (("POST", "pause"), ("POST", "resume"), ("POST", "cancel"), ("GET", "logs")):
        call(method, f"/automation/{name}/", 400)
        call(method, f"/automation/{name}", 404, params={"run_id": "job_999999999"})

    assert set(call("GET", "/automation/config/", params=site)) >= CONFIG
    config = {"frequency": "weekly", "scheduled_time": "03:15", "is_enabled": True, "within_stage_delay": 1,
            "stage_4_batch_size": 2}  # fmt: skip
    changed = call("PUT", "/automation/update_config/", params=site, json=config)
    assert changed == call("GET", "/automation/config", params=site)
    assert {name: changed[name] for name in config} == config
    assert changed["next_run_at"] is not None

    newsroom.queue("One", "Two", "Three", "Four")
    estimate = call("GET", "/automation/estimate/", params=site)
    assert estimate["estimated_credits"] > 0
    assert (estimate["current_balance"], estimate["sufficient"]) == (1000, True)
    overview = call("GET", "/automation/pipeline_overview/", params=site)
    assert [stage["pending"] for stage in overview["stages"]] == [0, 0, 0, 4, 0, 0, 0]
    assert overview["stages"][3]["counts"] == {"queued": 4}
    assert call("GET", "/automation/current_run/", params=site) is None
    assert call("GET", "/automation/current_processing/", params=site) is None

    newsroom.model.script.update({"latency": 2.0})
    started = call("POST", "/automation/run_now/", 202, params=site)
    run = {"run_id": started["run_id"]}
    refused = call("POST", "/automation/run_now", 400, params=site)
    assert "started by admin at 20" in refused["detail"]
    current = call("GET", "/automation/current_run/", params=site)
    assert set(current) >= RUN
    assert (current["status"], current["trigger_type"]) == ("running", "manual")
    newsroom.until(
        lambda: (call("GET", "/automation/current_processing", params=site) or {}).get("current_stage") == 4,
        "stage 4",
    )
    assert call("POST", "/automation/pause/", params={**run, **site})["status"] == "paused"
    newsroom.until(
        lambda: "deferred" in newsroom.state_of(started["dag_run_id"], "content.work"), "no worker held"
    )
    assert call("POST", "/automation/resume/", params={**run, **site})["status"] == "running"
    newsroom.model.script.update({"latency": 0.0})
    assert newsroom.finish(started["dag_run_id"]) == "success"

    history = call("GET", "/automation/history/", params=site)["items"]
    assert [(one["run_id"], one["status"]) for one in history] == [(started["run_id"], "completed")]
    assert history[0]["total_credits_used"] == newsroom.charged() > 0
    job = call("GET", f"/pipeline/jobs/{started['run_id']}")
    results = {number: stage["output"] for number, stage in enumerate(job["stages"], 1)}
    for number in (4, 5, 6, 7):
        assert set(results[number] or {}) >= STAGE_FIELDS[number], number
    assert (job["state"], job["progress"]["percent"]) == ("completed", 100.0)
    tail = call("GET", "/automation/logs/", params={**run, "lines": 5})["lines"]
    assert len(tail) == 5
    assert tail[-1]["message"] == "Run completed"

    again = call("POST", "/automation/run_now", 202, params=site)
    cancelled = call("POST", "/automation/cancel/", params={"run_id": again["run_id"], **site})
    assert cancelled["cancelled_at"] is not None
    newsroom.finish(again["dag_run_id"])
    last = call("GET", f"/pipeline/jobs/{again['run_id']}")
    assert (last["state"], bool(last["completed_at"])) == ("cancelled", True)


@pytest.mark.site("streamed")
def test_a_reader_of_the_log_who_is_cut_off_misses_nothing(newsroom: Newsroom, call: Caller) -> None:
    newsroom.queue(*(f"Topic {number}" for number in range(6)))
    job = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    seen: list[Event] = []
    cuts = iter([1, 2, 3, 5, 8])
    while not seen or seen[-1][0] != "end":
        after = seen[-1][1] if seen else None
        seen += log_events(call.http, job["id"], after=after, most=next(cuts, None))
    written = call("GET", f"/pipeline/jobs/{job['id']}/logs", params={"lines": 5000})["lines"]
    assert [data for _, _, data in seen[:-1]] == written
    assert [int(number) for _, number, _ in seen[:-1]] == list(range(1, len(written) + 1))
    assert len(written) > 20


@pytest.mark.site("halted")
def test_a_run_that_is_cancelled_at_once_stops_calls_in_flight(newsroom: Newsroom, call: Caller) -> None:
    newsroom.queue("One", "Two", "Three")
    newsroom.model.script.update({"rules": [{"action": "hang"}]})
    job = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    newsroom.until(lambda: newsroom.model.script.in_flight > 0, "a call in flight")
    began = time.monotonic()
    call("POST", f"/pipeline/jobs/{job['id']}/cancel", json={"now": True})
    newsroom.until(lambda: newsroom.model.script.in_flight == 0, "the end of the calls", 15)
    newsroom.finish(job["dag_run_id"])
    assert time.monotonic() - began < 60
    ended = call("GET", f"/pipeline/jobs/{job['id']}")
    assert (ended["state"], ended["current_stage"]) == ("cancelled", "content")
    lines = call("GET", f"/pipeline/jobs/{job['id']}/logs", params={"stage": "content", "level": "warning"})
    stopped = sum(line["kind"] == "item_stopped" for line in lines["lines"])
    assert stopped in (1, 2)
    assert newsroom.count("tasks", "status = 'queued'") == 3
    assert newsroom.sql("SELECT count(*) FROM item_failures WHERE workflow_id = %(site)s") == [(0,)]
    assert newsroom.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]
    calls = newsroom.sql("SELECT outcome, count(*) FROM ai_calls WHERE account_id = %(account)s GROUP BY 1")
    assert calls == [("CancelledError", stopped)]

    newsroom.model.script.clear()
    again = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    assert newsroom.finish(again["dag_run_id"]) == "success"
    assert newsroom.count("contents", "status = 'review'") == 3


@pytest.mark.site("explained")
def test_why_a_step_failed_is_in_the_job_its_history_and_its_log(newsroom: Newsroom, call: Caller) -> None:
    newsroom.queue("One", "Two")
    newsroom.model.script.update({"rules": [{"action": "status", "status": 401}]})
    job = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    assert newsroom.finish(job["dag_run_id"]) == "failed"
    failed = call("GET", f"/pipeline/jobs/{job['id']}")
    assert failed["error_message"].startswith("content: ")
    [row] = call("GET", "/automation/history", params={"site_id": newsroom.row.workflow_id})["items"]
    assert (row["error_message"], row["current_stage"]) == (failed["error_message"], 4)
    lines = [data for kind, _, data in log_events(call.http, job["id"], level="error") if kind == "log"]
    [line] = [line for line in lines if line["kind"] == "task_failed"]
    assert line["stage"] == "content"
    assert line["message"] == f"Failed: {failed['error_message'].removeprefix('content: ')}"


@pytest.mark.site("unopened")
def test_why_a_run_was_not_opened_is_in_the_job_and_its_log(newsroom: Newsroom, call: Caller) -> None:
    job = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    assert newsroom.finish(job["dag_run_id"]) == "failed"
    failed = call("GET", f"/pipeline/jobs/{job['id']}")
    assert failed["state"] == "failed"
    assert "'pressroom_nowhere' does not exist" in failed["error_message"]
    lines = call("GET", f"/pipeline/jobs/{job['id']}/logs", params={"level": "error"})["lines"]
    assert any("'pressroom_nowhere' does not exist" in line["message"] for line in lines)


@pytest.mark.site("retried")
def test_a_failed_mission_is_retried_from_content_without_a_call_for_what_is_done(
    campaign: Campaign, call: Caller
) -> None:
    # One post after another, and the model's credentials are refused in the middle.
    campaign.model.script.update({"rules": [{"call": 6, "action": "status", "status": 401}]})
    key = {"Idempotency-Key": "the-first-cycle"}
    body = {"mission_id": f"msn_{campaign.row.workflow_id}"}
    job = call("POST", "/pipeline/jobs", 202, json=body, headers=key)
    assert call("POST", "/pipeline/jobs/", 202, json=body, headers=key)["id"] == job["id"]
    assert campaign.finish(job["dag_run_id"]) == "failed"
    failed = call("GET", f"/pipeline/jobs/{job['id']}")
    assert failed["state"] == "failed"
    assert [stage["status"] for stage in failed["stages"][:3]] == ["completed", "completed", "failed"]
    planned = failed["stages"][0]["output"]["cycle_context"]["posts_planned"]
    done = campaign.number("posts")
    assert 0 < done < planned
    began = {task: starts(campaign, job["dag_run_id"], task) for task in ("intake.plan", "strategy.plan")}

    campaign.model.script.clear()
    answer = call("POST", f"/pipeline/jobs/{job['id']}/retry", 202, json={"from_stage": "content"})
    assert answer["stages"] == ["content", "publish", "analytics", "optimize"]
    assert campaign.finish_cycle(job["dag_run_id"]) == "success", campaign.events()[-12:]
    asked = [entry for entry in campaign.model.script.journal if "chat" in entry["path"]]
    assert len(asked) == planned - done  # one for each post that was missing, and no other
    assert {task: starts(campaign, job["dag_run_id"], task) for task in began} == began
    assert campaign.charged() == 2 + planned
    ended = call("GET", f"/pipeline/jobs/{job['id']}")
    assert (ended["state"], ended["dag_run_id"]) == ("completed", job["dag_run_id"])
    assert ended["stages"][2]["output"]["total_items"] == planned


def starts(campaign: Campaign, dag_run_id: str, task: str) -> list[Any]:
    """When the task's instances began."""
    return [
        one["start_date"]
        for one in campaign.api.task_instances(campaign.dag_id, dag_run_id)
        if one["task_id"] == task
    ]


@pytest.mark.site("remote")
def test_every_list_answers_in_the_running_server(call: Caller) -> None:
    document = call("GET", "/openapi.json")
    assert document["servers"] == [{"url": "/pressroom/api/v1"}]
    answers = {
        path: methods["get"]["responses"]["200"].get("content", {})
        for path, methods in document["paths"].items()
        if "get" in methods and "{" not in path
    }
    paths = [path for path, kinds in answers.items() if "application/json" in kinds]
    assert len(paths) > 20
    [site] = call("GET", "/sites", params={"account": "remote"})["items"]
    for path in paths:
        params: dict[str, Any] = {"account": "remote"}
        if path.startswith("/automation"):
            params = {"site_id": site["id"]}
        if path == "/automation/logs":
            continue  # of a run: seen above
        found = call("GET", path, params=params)
        assert not isinstance(found, dict) or isinstance(found.get("items", []), list), path
    assert httpx.get(f"{call.url}/openapi.json").status_code == 401
    page = call.http.get("/docs")
    assert "/pressroom/api/v1/docs/swagger-ui-bundle.js" in page.text
    assert call.http.get("/docs/swagger-ui-bundle.js").status_code == 200


@pytest.mark.site("remote")
def test_a_mission_from_draft_to_completed(call: Caller) -> None:
    account = {"account": "remote"}
    brand = call("POST", "/brand-contexts/", 201, params=account, json={"slug": "plain", "name": "Plain"})
    assert brand["id"].startswith("brc_")
    mission = {
        "slug": "over-http", "name": "Over HTTP", "objectives": ["be known"],
        "platforms": ["twitter", "linkedin"], "brand": "plain",
        "kpis": [{"metric": "engagement_rate", "target": 4}],
        "constraints": {"posts_per_day": 2, "budget_cents": 500},
    }  # fmt: skip
    made = call("POST", "/missions/", 201, params=account, json=mission)
    assert (made["id"][:4], made["status"]) == ("msn_", "draft")
    call("POST", "/pipeline/jobs", 409, json={"mission_id": made["id"]})  # a draft takes no runs
    changed = call("PATCH", f"/missions/{made['id']}", json={"description": "Better", "cycle_days": 14})
    assert (changed["definition"]["description"], changed["definition"]["cycle_days"]) == ("Better", 14)
    for action, status in (
        ("activate", "active"),
        ("pause", "paused"),
        ("activate", "active"),
        ("complete", "completed"),
    ):
        assert call("POST", f"/missions/{made['id']}/{action}/")["status"] == status
        assert call("GET", f"/missions/{made['id']}")["status"] == status
        listed = call("GET", "/missions/", params={**account, "status": status})["items"]
        assert [one["id"] for one in listed] == [made["id"]]
    call("POST", "/missions/", 409, params=account, json=mission)
    call("DELETE", f"/brand-contexts/{brand['id']}", 409)
    call("GET", "/missions/msn_999999999", 404)
    call("POST", "/missions", 422, params=account, json={**mission, "slug": "other", "platforms": ["fax"]})
