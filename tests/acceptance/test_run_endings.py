"""Runs that end otherwise than by their last task: marked, deleted, never opened. Both systems agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError
from tests.acceptance.caller import Caller
from tests.acceptance.campaign import Campaign
from tests.acceptance.desk import Desk
from tests.acceptance.newsroom import Newsroom
from tests.acceptance.outside import Entry

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MARKED = "marked as failed in Airflow"


def ended(room: Newsroom, dag_run_id: str, status: str, reason: str, *, airflow: str) -> None:
    """Wait until both systems say how the run ended, and that nothing of it is left."""
    room.until(lambda: room.run_status(dag_run_id) == status, f"the run to be {status}", 60)
    room.until(lambda: room.api.run_state(room.dag_id, dag_run_id) == airflow, f"a DAG run {airflow}", 60)
    assert reason in str(error(room, dag_run_id))
    line = f"Pressroom: run {number(room, dag_run_id)} {status}"
    room.until(lambda: line in room.api.note(room.dag_id, dag_run_id), "the note", 30)
    assert reason in room.api.note(room.dag_id, dag_run_id)
    nothing_is_held(room)


def nothing_is_held(room: Newsroom) -> None:
    """No lock, no reservation."""
    assert (
        room.sql("SELECT id FROM runs WHERE workflow_id = %(site)s AND status IN ('running', 'paused')") == []
    )
    assert room.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]


def error(room: Newsroom, dag_run_id: str) -> Any:
    return row(room, dag_run_id, "error_message")


def number(room: Newsroom, dag_run_id: str) -> Any:
    return row(room, dag_run_id, "id")


def row(room: Newsroom, dag_run_id: str, column: str) -> Any:
    statement = f"SELECT {column} FROM runs WHERE workflow_id = %(site)s AND dag_run_id = %(run)s"  # noqa: S608
    return room.sql(statement, run=dag_run_id)[0][0]


@pytest.mark.site("marked")
def test_a_site_marked_as_failed_stops_its_calls_and_is_red(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Marked article {number}" for number in range(12)))
    newsroom.model.script.latency = 1.5
    run = newsroom.trigger()
    newsroom.until(lambda: newsroom.count("contents") >= 2, "the first articles")
    newsroom.api.mark(newsroom.dag_id, run, "failed")
    ended(newsroom, run, "failed", MARKED, airflow="failed")
    kinds = [event.partition(":")[0] for event in newsroom.events()]
    assert kinds[kinds.index("run_finished") + 1 :] == []
    assert newsroom.charged() == 5 * newsroom.count("contents")
    newsroom.until(lambda: newsroom.model.script.in_flight == 0, "the calls to end", 10)
    calls = len(newsroom.model.script.journal)

    newsroom.model.script.latency = 0
    again = newsroom.trigger()
    assert newsroom.finish(again) == "success", newsroom.events()[-8:]
    assert newsroom.run_status(again) == "completed"
    assert newsroom.count("contents") == 12
    assert newsroom.charged() == newsroom.owed()
    assert len(newsroom.model.script.journal) > calls


@pytest.mark.site("unconnected")
def test_a_job_that_cannot_be_opened_has_failed_and_frees_the_lock(campaign: Campaign, call: Caller) -> None:
    body = {"mission_id": f"msn_{campaign.row.workflow_id}"}
    for _ in range(2):  # the second is refused by nobody: the first holds no lock
        job = f"/pipeline/jobs/{call('POST', '/pipeline/jobs', 202, json=body)['id']}"
        campaign.until(partial(_has_failed, call, job), "the job to fail", 60)
        assert "'pressroom_nowhere' does not exist" in call("GET", job)["error_message"]
        nothing_is_held(campaign)


def _has_failed(call: Caller, job: str) -> bool:
    return bool(call("GET", job)["state"] == "failed")


@pytest.mark.site("halfway")
def test_a_run_marked_as_success_in_the_middle_is_partial_and_says_what_is_left(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Halfway article {number}" for number in range(10)))
    newsroom.model.script.latency = 1
    run = newsroom.trigger()
    newsroom.until(lambda: newsroom.count("contents") >= 2, "the first articles")
    newsroom.api.mark(newsroom.dag_id, run, "success")
    ended(newsroom, run, "partial", "review was not run", airflow="success")
    assert newsroom.count("tasks", "status = 'queued'") > 0
    assert newsroom.charged() == 5 * newsroom.count("contents")


@pytest.mark.site("abandoned")
def test_a_flow_marked_as_failed_at_its_gate_gives_its_items_to_the_next_run(desk: Desk) -> None:
    desk.outside.web.feeds[desk.slug] = [Entry("Abandoned roast")]
    run = desk.trigger()
    desk.until(lambda: desk.items() and desk.parked(run, **{"Abandoned roast": "look"}), "the item to wait")
    assert len(desk.api.asked(desk.dag_id, run)) == 1
    desk.api.mark(desk.dag_id, run, "failed")
    ended(desk, run, "failed", MARKED, airflow="failed")
    assert desk.items() == {"Abandoned roast": "failed"}
    assert desk.api.asked(desk.dag_id, run) == []

    again = desk.trigger()
    desk.until(lambda: desk.parked(again, **{"Abandoned roast": "look"}), "the next run to have taken it up")
    desk.steer("cancel")
    desk.api.mark(desk.dag_id, again, "success")
    ended(desk, again, "cancelled", "", airflow="success")


@pytest.mark.site("strict")
def test_what_a_run_does_not_take_is_refused_and_a_paused_dag_is_said(
    newsroom: Newsroom, call: Caller
) -> None:
    with pytest.raises(PermanentError, match="backfill"):
        newsroom.api.backfill(newsroom.dag_id, LONG_AGO, LONG_AGO + timedelta(days=2000))
    run = newsroom.trigger(artciles=2)
    reason = "a run of strict has no parameter 'artciles'. Did you mean 'articles'?"
    ended(newsroom, run, "failed", reason, airflow="failed")
    assert newsroom.state_of(run, "content.plan") == ["upstream_failed"]

    newsroom.api.pause_dag(newsroom.dag_id, paused=True)
    job = call("POST", "/pipeline/jobs", 202, json={"site_id": newsroom.row.workflow_id})
    assert "site__strict is paused in Airflow" in job["notice"]
    assert newsroom.api.run_state(newsroom.dag_id, job["dag_run_id"]) == "queued"
    call("POST", f"/pipeline/jobs/{job['id']}/cancel")
    ended(newsroom, job["dag_run_id"], "cancelled", "", airflow="success")
    newsroom.api.pause_dag(newsroom.dag_id, paused=False)
