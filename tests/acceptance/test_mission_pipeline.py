"""The mission pipeline through a real Airflow, against the simulator in Metricool's place."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.acceptance.caller import Caller
from tests.acceptance.campaign import Campaign

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(420)]


@pytest.mark.site("learning")
def test_two_cycles_and_the_second_one_goes_by_what_the_first_one_taught(campaign: Campaign) -> None:
    first = campaign.trigger()
    assert campaign.finish_cycle(first) == "success", campaign.events()[-12:]
    assert campaign.run_status(first) == "completed"
    made = campaign.outputs(first)
    assert list(made) == ["intake", "strategy", "content", "publish", "analytics", "optimize"]
    planned = made["intake"]["cycle_context"]["posts_planned"]
    slots = [slot for day in made["strategy"]["content_calendar"] for slot in day["slots"]]
    assert len(slots) == planned == made["content"]["total_items"] == made["publish"]["total_scheduled"] >= 36
    assert sum(Decimal(str(pillar["weight"])) for pillar in made["strategy"]["content_pillars"]) == 1
    posted = campaign.posted()
    assert len(posted) == planned
    assert {str(entry["metricool_post_id"]) for entry in made["publish"]["scheduled"]} == {
        str(post["id"]) for post in posted
    }
    assert made["analytics"]["metrics"]["total_impressions"] > 0
    assert (
        campaign.number("posts", "status = 'published'") >= planned - 6
    )  # the last day's may be a little late
    # Three or more looks, of which the last one ended it.
    looks = campaign.sql(
        "SELECT status FROM snapshots JOIN cycles ON cycles.id = cycle_id WHERE mission_id = %(site)s"
        " ORDER BY at"
    )
    assert [status for (status,) in looks[-2:]] == ["running", "completed"]
    assert campaign.number("strategy_changes") > 0
    assert campaign.sql("SELECT parameters FROM cycles WHERE mission_id = %(site)s AND number = 1") == [({},)]

    second = campaign.trigger()
    assert campaign.finish_cycle(second) == "success", campaign.events()[-12:]
    learned = campaign.sql("SELECT parameters FROM cycles WHERE mission_id = %(site)s AND number = 2")[0][0]
    changed = campaign.sql(
        "SELECT platform, factor, after FROM strategy_changes JOIN cycles ON cycles.id = cycle_id"
        " WHERE cycles.mission_id = %(site)s AND cycles.number = 1"
    )
    assert changed
    assert all(learned[platform][factor] == after for platform, factor, after in changed)
    again = [
        slot for day in campaign.outputs(second)["strategy"]["content_calendar"] for slot in day["slots"]
    ]
    assert Counter(slot["time"] for slot in again) != Counter(slot["time"] for slot in slots)
    assert len(again) == 42  # a whole week: the first one began in the middle of a day
    assert len(campaign.posted()) == planned + len(again)
    # Paid for once: two calendars and every post.
    assert campaign.charged() == 2 * 2 + planned + len(again)


@pytest.mark.site("struck")
def test_killed_components_double_nothing_and_the_run_completes(campaign: Campaign) -> None:
    campaign.faults({"action": "slow", "delay_seconds": 1.0, "method": "POST", "path": "/v2/scheduler/posts"})
    run = campaign.trigger()
    campaign.until(lambda: len(campaign.posted()) >= 3, "the first posts")
    assert campaign.kill_tasks(run, "publish.work") > 0
    campaign.services.replace("scheduler")
    campaign.faults()
    campaign.until(
        lambda: "deferred" in campaign.state_of(run, "analytics") or _failed(campaign, run), "publish to end"
    )
    if _failed(campaign, run):  # the scheduler gave the dead task up; a person clears it
        campaign.clear(run, "publish.plan")
        campaign.until(lambda: "deferred" in campaign.state_of(run, "analytics"), "analytics to wait")
    campaign.services.replace("triggerer")
    campaign.advance(timedelta(hours=30))
    campaign.services.replace("scheduler")
    assert campaign.finish_cycle(run) == "success", campaign.events()[-12:]

    posted = campaign.posted()
    assert len(posted) == campaign.number("posts") == 28
    assert len({str(post["id"]) for post in posted}) == len(
        {(post["parts"][0], post["at"]) for post in posted}
    )
    assert campaign.sql("SELECT DISTINCT status FROM publications WHERE workflow_id = %(site)s") == [
        ("confirmed",)
    ]
    assert campaign.charged() == 2 + 28
    assert campaign.number("cycles", "optimized_at IS NOT NULL") == 1


def _failed(campaign: Campaign, run: str) -> bool:
    return campaign.api.run_state(campaign.dag_id, run) == "failed"


@pytest.mark.site("undone")
def test_a_failing_content_stage_with_rollback_leaves_everything_as_it_was(campaign: Campaign) -> None:
    # The slots are written one after another, and the model's credentials are refused in the middle.
    campaign.model.script.update({"rules": [{"call": 8, "action": "status", "status": 401}]})
    before = campaign.posted()
    run = campaign.trigger()
    assert campaign.finish(run) == "failed"
    assert campaign.run_status(run) == "failed"
    assert campaign.state_of(run, "rollback") == ["success"]
    assert campaign.posted() == before == []
    assert campaign.number("slots", "status <> 'withdrawn'") == 0
    assert campaign.number("posts", "status <> 'archived'") == 0
    assert campaign.number("cycles", "withdrawn_at IS NULL") == 0
    assert campaign.sql("SELECT started_at, completed_at FROM missions WHERE id = %(site)s") == [(None, None)]
    assert campaign.sql("SELECT balance, reserved FROM accounts WHERE id = %(account)s") == [(1000, 0)]
    report = campaign.sql("SELECT report FROM rollbacks JOIN runs ON runs.id = run_id"
                          " WHERE workflow_id = %(site)s")[0][0]  # fmt: skip
    undone = {entry["stage"]: entry["undone"] for entry in report["stages"]}
    assert undone["content"] > 0
    assert undone["strategy"] > 0

    # Rolled back twice is the same as once.
    campaign.clear(run, "rollback")
    campaign.until(lambda: campaign.state_of(run, "close_run") not in (["failed"], ["success"]), "the clear")
    assert campaign.finish(run) == "failed"
    assert campaign.state_of(run, "rollback") == ["success"]
    assert campaign.sql("SELECT balance, reserved FROM accounts WHERE id = %(account)s") == [(1000, 0)]

    # And the next run begins anew, as if this one had not been.
    campaign.model.script.clear()
    again = campaign.trigger()
    campaign.until(
        lambda: "deferred" in campaign.state_of(again, "analytics"), "the new run to wait for results"
    )
    assert campaign.sql("SELECT number FROM cycles WHERE mission_id = %(site)s AND withdrawn_at IS NULL") == [
        (1,)
    ]
    campaign.steer("cancel")
    campaign.until(lambda: campaign.run_status(again) == "cancelled", "the end")


@pytest.mark.site("regretted")
def test_a_completed_run_is_undone_because_somebody_asks_for_it(campaign: Campaign, call: Caller) -> None:
    run = campaign.trigger()
    assert campaign.finish_cycle(run) == "success", campaign.events()[-12:]
    assert campaign.state_of(run, "rollback") == ["skipped"]
    assert campaign.run_status(run) == "completed"
    assert campaign.charged() > 0
    [(number,)] = campaign.sql("SELECT id FROM runs WHERE workflow_id = %(site)s")

    job = f"/pipeline/jobs/job_{number}"
    call("POST", f"{job}/rollback", 202)
    campaign.until(lambda: campaign.run_status(run) == "cancelled", "the rollback")
    assert campaign.api.wait(campaign.dag_id, run, timeout=60) == "success"
    assert campaign.state_of(run, "rollback") == ["success"]
    assert campaign.number("cycles", "withdrawn_at IS NULL") == 0
    assert campaign.number("posts", "status NOT IN ('archived', 'published')") == 0
    assert campaign.sql("SELECT balance, reserved FROM accounts WHERE id = %(account)s") == [(1000, 0)]
    report = call("GET", job)["rollback"]
    kept = {entry["stage"]: len(entry["kept"]) for entry in report["stages"]}
    assert kept["publish"] == campaign.number("posts", "status = 'published'") > 0

    # It was asked for once: the next time that the run is taken up, nobody wants it undone.
    campaign.clear(run, "rollback")
    campaign.until(lambda: campaign.state_of(run, "rollback") == ["skipped"], "nothing to be undone")
    campaign.finish(run)
    campaign.until(lambda: campaign.run_status(run) not in ("running", "paused"), "the end")

    # Taken up again from its content, it first makes again what was undone.
    assert call("POST", f"{job}/retry", 202, json={"from_stage": "content"})["from_stage"] == "intake"
    campaign.until(
        lambda: campaign.state_of(run, "analytics") == ["deferred"], "the second cycle to be measured"
    )
    assert campaign.number("posts", "status = 'scheduled'") > 0
    again = call("GET", job)
    assert again["rollback"] is None
    assert [stage["status"] for stage in again["stages"]] == [*["completed"] * 4, "running", "pending"]
    campaign.steer("cancel")
    campaign.until(lambda: campaign.run_status(run) == "cancelled", "the end")


@pytest.mark.site("reviewed")
def test_approved_posts_go_out_while_one_waits_for_review_without_a_worker(campaign: Campaign) -> None:
    from pressroom.pipelines.mission import review

    run = campaign.trigger()
    campaign.until(lambda: "deferred" in campaign.state_of(run, "publish.plan"), "publish to wait")
    assert campaign.number("posts", "status = 'pending_review'") == campaign.number("posts") == 14
    assert campaign.posted() == []
    with campaign.store.transaction(campaign.row.account_id) as tx:
        first, late, *others = review.list_posts(tx, campaign.row.workflow_id, "pending_review")
        for post in others:
            review.approve(tx, campaign.row.workflow_id, post.id, post.content_hash, "ann")
    campaign.until(lambda: len(campaign.posted()) == 12, "the approved posts to be scheduled")
    campaign.until(lambda: campaign.state_of(run, "publish.plan") == ["deferred"], "publish to wait again")
    assert campaign.number("posts", "status = 'scheduled'") == 12
    with campaign.store.transaction(campaign.row.account_id) as tx:
        review.reject(tx, campaign.row.workflow_id, first.id, "off topic", "ann")
        review.approve(tx, campaign.row.workflow_id, late.id, late.content_hash, "ann")
    campaign.until(lambda: "deferred" in campaign.state_of(run, "analytics"), "analytics to wait")
    assert len(campaign.posted()) == 13
    assert first.parts[0] not in {post["parts"][0] for post in campaign.posted()}
    assert campaign.outputs(run)["publish"]["total_scheduled"] == 13
    campaign.steer("cancel")
    campaign.until(lambda: campaign.run_status(run) == "cancelled", "the end")


@pytest.mark.site("faulty")
def test_lost_answers_and_refusals_of_the_scheduler_are_survived(campaign: Campaign) -> None:
    path = "/v2/scheduler/posts"
    campaign.faults(
        {"action": "lost", "share": 0.2, "seed": 1, "path": path, "method": "POST"},
        {"action": "429", "share": 0.1, "seed": 2, "path": path, "method": "POST", "retry_after": 1},
        {"action": "500", "share": 0.1, "seed": 3, "path": path, "method": "POST"},
    )
    run = campaign.trigger()
    campaign.until(lambda: "deferred" in campaign.state_of(run, "analytics"), "analytics to wait")
    posted = campaign.posted()
    assert len(posted) == campaign.number("posts") == 70
    assert len({str(post["id"]) for post in posted}) == 70
    assert campaign.sql(
        "SELECT count(*) FROM publications WHERE workflow_id = %(site)s AND status = 'accepted'"
    ) == [(70,)]
    campaign.steer("cancel")
    campaign.until(lambda: campaign.run_status(run) == "cancelled", "the end")


@pytest.mark.site("short-lived")
def test_a_mission_past_its_end_completes_and_takes_no_more_runs(campaign: Campaign) -> None:
    run = campaign.trigger()
    assert campaign.finish_cycle(run) == "success", campaign.events()[-12:]
    completed, why = campaign.sql("SELECT completed_at, completed_why FROM missions WHERE id = %(site)s")[0]
    assert isinstance(completed, datetime)
    assert why.startswith("it ended at")
    refused = campaign.trigger()
    assert campaign.finish(refused) == "failed"
    assert campaign.sql(
        "SELECT error_message FROM runs WHERE workflow_id = %(site)s AND dag_run_id = %(run)s", run=refused
    )[0][0].startswith("the mission short-lived is completed: it ended at")


@pytest.mark.site("too-dear")
def test_a_budget_that_does_not_cover_the_cycle_fails_at_intake_and_names_the_field(
    campaign: Campaign,
) -> None:
    run = campaign.trigger()
    assert campaign.finish(run) == "failed"
    assert "constraints.budget_cents" in campaign.log(run, "intake.work")
    assert campaign.sql("SELECT error_message FROM runs WHERE workflow_id = %(site)s")[0][0].startswith(
        "intake: constraints.budget_cents: "
    )
    assert campaign.number("cycles") == 0
    assert campaign.state_of(run, "strategy.plan") == ["upstream_failed"]
