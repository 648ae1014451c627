"""The site pipeline through a real Airflow: whole, killed, paused, cancelled, refused, limited, capped."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from pressroom.definitions.importing import import_keywords
from pressroom.definitions.keyword_lists import read_list
from pressroom.engine import audit
from pressroom.engine.runs import reports
from pressroom.pipelines.site import SITE
from tests.acceptance.newsroom import Newsroom

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]
STAGES = ["clusters", "ideas", "tasks", "content", "image_prompts", "images", "review"]


def import_list(newsroom: Newsroom, file: Path) -> None:
    row, listed = newsroom.row, read_list(file.read_bytes())
    import_keywords(newsroom.store, row.account_id, row.workflow_id, listed, audit.by("test"))


@pytest.mark.site("whole")
def test_keywords_become_illustrated_articles_for_review(newsroom: Newsroom, keywords_file: Path) -> None:
    import_list(newsroom, keywords_file)
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success", newsroom.events()
    assert newsroom.run_status(run) == "completed"

    with newsroom.store.transaction(newsroom.row.account_id) as tx:
        status = reports.status(tx, newsroom.row.workflow_id, SITE)
        assert status
        result = {stage.name: stage.result for stage in status.stages}
    assert list(result) == STAGES
    assert newsroom.count("keywords", "status <> 'clustered'") == 0
    assert result["clusters"]["keywords_processed"] == 12
    assert result["clusters"]["clusters_created"] == newsroom.count("clusters")
    assert result["ideas"]["ideas_created"] == newsroom.count("ideas")
    assert result["tasks"]["tasks_created"] == newsroom.count("tasks")
    assert (
        result["content"]["content_created"] == newsroom.count("contents") == min(3, newsroom.count("tasks"))
    )
    assert (
        result["content"]["total_words"]
        == newsroom.sql("SELECT sum(word_count) FROM contents WHERE site_id = %(site)s")[0][0]
    )
    assert result["image_prompts"]["prompts_created"] == newsroom.count("images")
    assert result["images"]["images_generated"] == 2 * newsroom.count("contents")
    assert (
        result["review"]["ready_for_review"]
        == newsroom.count("contents", "status = 'review'")
        == newsroom.count("contents")
    )
    for (url,) in newsroom.sql("SELECT media_url FROM images WHERE site_id = %(site)s"):
        assert Path(url.removeprefix("file://")).read_bytes().startswith(b"\x89PNG")
    assert newsroom.charged() == newsroom.owed()
    assert status.run.credits_used == newsroom.charged()

    # Everything done and cleared from the first stage on: nothing is done or charged twice.
    calls = len(newsroom.model.script.journal)
    articles = newsroom.sql("SELECT id, title, html FROM contents WHERE site_id = %(site)s ORDER BY id")
    newsroom.clear(run, "clusters.plan")
    newsroom.until(
        lambda: newsroom.api.run_state(newsroom.dag_id, run) != "success", "the cleared run to start"
    )
    assert newsroom.finish(run) == "success"
    assert newsroom.run_status(run) == "completed"
    assert len(newsroom.model.script.journal) == calls
    assert (
        newsroom.sql("SELECT id, title, html FROM contents WHERE site_id = %(site)s ORDER BY id") == articles
    )
    assert newsroom.charged() == newsroom.owed()


@pytest.mark.site("killed")
def test_a_run_killed_in_the_middle_of_stage_4_and_cleared_ends_with_each_item_once(
    newsroom: Newsroom,
) -> None:
    newsroom.queue(*(f"Article {number}" for number in range(12)))
    newsroom.model.script.latency = 0.7
    run = newsroom.trigger()
    newsroom.until(lambda: newsroom.count("contents") >= 3, "the first articles")
    assert newsroom.kill_tasks(run, "content.work") > 0
    done = newsroom.count("contents")
    assert done < 12
    newsroom.until(lambda: "running" not in newsroom.state_of(run, "content.work"), "the death to be noticed")
    newsroom.clear(run, "content.work")
    assert newsroom.finish(run) == "success", newsroom.events()[-10:]

    assert newsroom.count("contents") == 12
    assert newsroom.sql("SELECT count(DISTINCT task_id) FROM contents WHERE site_id = %(site)s") == [(12,)]
    assert newsroom.count("images", "status = 'generated'") == 24
    assert newsroom.charged() == newsroom.owed() == 12 * (5 + 2 + 2 * 2)
    assert newsroom.run_status(run) == "completed"
    assert newsroom.sql("SELECT balance, reserved FROM accounts WHERE id = %(account)s") == [
        (Decimal(1000) - newsroom.owed(), 0)
    ]


@pytest.mark.site("mended")
def test_whatever_part_of_a_failed_run_is_cleared_is_done_and_both_systems_say_what_came_of_it(
    newsroom: Newsroom,
) -> None:
    newsroom.queue("Mended one", "Mended two", "Mended three")
    newsroom.model.script.update({"rules": [{"match": "Mended two", "action": "status", "status": 401}]})
    run = newsroom.trigger()
    assert newsroom.finish_again(run) == ("failed", "failed")
    assert newsroom.count("contents") == 2
    states = {
        task["map_index"]: task["state"]
        for task in newsroom.api.task_instances(newsroom.dag_id, run)
        if task["task_id"] == "content.work"
    }
    [index] = [index for index, state in states.items() if state == "failed"]
    newsroom.model.script.clear()

    # One map index and nothing else: its article is written. What follows was not cleared, and that is said.
    newsroom.clear_only(run, ("content.work", index))
    assert newsroom.finish_again(run) == ("failed", "failed")
    assert newsroom.count("contents", "status = 'draft'") == 3
    [(reason,)] = newsroom.sql("SELECT error_message FROM runs WHERE workflow_id = %(site)s")
    assert "image_prompts was not run" in reason

    # Only what failed: without open_run, and all the rest is done.
    newsroom.clear_failed(run)
    assert newsroom.finish_again(run) == ("success", "completed"), newsroom.events()[-10:]
    assert newsroom.count("contents", "status = 'review'") == 3
    assert newsroom.charged() == newsroom.owed() == 3 * (5 + 2 + 2 * 2)

    # All batches of one stage of a run that is done: there is nothing to do, and the run ends again.
    newsroom.clear_only(run, "content.work")
    assert newsroom.finish_again(run) == ("success", "completed"), newsroom.events()[-10:]
    assert sum(event.startswith("run_reopened") for event in newsroom.events()) == 3
    assert newsroom.charged() == newsroom.owed()

    # While another run is live, a cleared part is refused: by open_run, which Airflow clears with it.
    newsroom.queue("Mended four")
    newsroom.model.script.latency = 2
    other = newsroom.trigger()
    newsroom.until(lambda: newsroom.run_status(other) == "running", "the other run")
    newsroom.clear_only(run, ("content.work", 0))
    assert newsroom.finish_again(run) == ("failed", "failed")
    assert any(
        event.startswith("run_refused: run ") and f"({other})" in event for event in newsroom.events()
    ), "\n".join(newsroom.events()[-12:])
    newsroom.model.script.latency = 0
    assert newsroom.finish_again(other) == ("success", "completed")


@pytest.mark.site("steered")
def test_pause_waits_without_a_worker_and_resume_goes_on(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Paused article {number}" for number in range(10)))
    newsroom.model.script.latency = 0.5
    run = newsroom.trigger()
    newsroom.until(lambda: newsroom.count("contents") >= 2, "the first articles")
    newsroom.steer("pause")
    newsroom.until(lambda: "deferred" in newsroom.state_of(run, "content.work"), "the work to be put off")
    newsroom.until(lambda: "running" not in newsroom.state_of(run, "content.work"), "no work to be running")
    paused_at, calls = newsroom.count("contents"), len(newsroom.model.script.journal)
    assert paused_at < 10
    time.sleep(4)  # long enough for several looks of the trigger
    assert (newsroom.count("contents"), len(newsroom.model.script.journal)) == (paused_at, calls)
    assert newsroom.run_status(run) == "paused"
    newsroom.steer("resume")
    assert newsroom.finish(run) == "success"
    assert newsroom.run_status(run) == "completed"
    assert newsroom.count("contents", "status = 'review'") == 10
    assert newsroom.charged() == newsroom.owed()


@pytest.mark.site("cancelled")
def test_cancel_finishes_the_current_items_and_skips_the_rest(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Cancelled article {number}" for number in range(10)))
    newsroom.model.script.latency = 0.5
    run = newsroom.trigger()
    newsroom.until(lambda: newsroom.count("contents") >= 1, "the first article")
    newsroom.steer("cancel")
    newsroom.finish(run)
    assert newsroom.run_status(run) == "cancelled"
    written = newsroom.count("contents")
    assert 1 <= written < 10
    assert newsroom.count("tasks", "status = 'queued'") == 10 - written
    assert newsroom.count("images") == 0
    assert newsroom.state_of(run, "images.plan") == ["skipped"]
    assert newsroom.charged() == newsroom.owed()
    stamps = newsroom.sql(
        "SELECT cancelled_at IS NOT NULL, completed_at IS NOT NULL FROM runs WHERE workflow_id = %(site)s"
    )
    assert stamps == [(True, True)]

    # What was left waits for the next run.
    newsroom.model.script.latency = 0
    assert newsroom.finish(newsroom.trigger()) == "success"
    assert newsroom.count("contents", "status = 'review'") == 10


@pytest.mark.site("twice")
def test_of_two_simultaneous_triggers_one_is_refused_and_told_so(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Only once {number}" for number in range(4)))
    newsroom.model.script.latency = 0.5
    runs = [newsroom.trigger(), newsroom.trigger()]
    ends = sorted(newsroom.finish(run) for run in runs)
    assert ends == ["failed", "success"]
    refused = next(run for run in runs if newsroom.api.run_state(newsroom.dag_id, run) == "failed")
    accepted = next(run for run in runs if run != refused)
    reason = newsroom.sql(
        "SELECT error_message FROM runs WHERE dag_run_id = %(run)s AND workflow_id = %(site)s", run=refused
    )
    assert f"({accepted}) of this workflow is running" in reason[0][0]
    assert newsroom.state_of(refused, "open_run") == ["failed"]
    assert newsroom.run_status(accepted) == "completed"
    assert newsroom.count("contents") == 4
    assert newsroom.charged() == newsroom.owed()


@pytest.mark.site("poor")
def test_too_few_credits_are_refused_with_both_numbers(newsroom: Newsroom) -> None:
    newsroom.queue("One", "Two")  # 2 × (5 + 2 + 2 × 2) = 22 credits
    run = newsroom.trigger()
    assert newsroom.finish(run) == "failed"
    reason = newsroom.sql("SELECT error_message FROM runs WHERE workflow_id = %(site)s")
    assert "26.40 credits" in reason[0][0]
    assert "10.00 are available" in reason[0][0]
    assert newsroom.count("contents") == 0
    assert newsroom.model.script.journal == []


@pytest.mark.site("faults")
def test_each_answer_of_the_model_ends_as_its_error_class_says(newsroom: Newsroom) -> None:
    ends_well = {
        "Server error once": {"action": "status", "status": 500, "times": 1},
        "Time-out once": {"action": "hang", "times": 1},
        "Broken JSON once": {"action": "broken_json", "times": 1},
        "Wrong schema once": {"action": "wrong_schema", "times": 1},
    }
    ends_badly = {
        "Broken JSON always": ("broken_json", "InvalidAnswer"),
        "Wrong schema always": ("wrong_schema", "InvalidAnswer"),
        "Truncated always": ("length", "TruncatedAnswer"),
        "Filtered always": ("content_filter", "FilteredAnswer"),
        "Refused always": ("refusal", "RefusedAnswer"),
        "Empty always": ("empty", "EmptyAnswer"),
    }
    newsroom.queue(*ends_well, *ends_badly, "Nothing wrong")
    newsroom.model.script.update(
        {
            "rules": [{"match": title, **rule} for title, rule in ends_well.items()]
            + [{"match": title, "action": action} for title, (action, _) in ends_badly.items()]
        }
    )
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success", newsroom.events()[-12:]
    assert newsroom.run_status(run) == "partial"
    assert newsroom.count("contents") == len(ends_well) + 1
    failures = newsroom.sql(
        "SELECT ideas.title, error_class, attempts FROM item_failures"
        " JOIN tasks ON tasks.id::text = item JOIN ideas ON ideas.id = tasks.idea_id"
        " WHERE item_failures.workflow_id = %(site)s AND stage = 'content'"
    )
    assert {title: error for title, error, _ in failures} == {
        title: error for title, (_, error) in ends_badly.items()
    }
    assert {attempts for *_, attempts in failures} == {1}
    assert newsroom.charged() == newsroom.owed()
    spent = newsroom.sql("SELECT sum(cents) FROM ledger WHERE workflow_id = %(site)s AND kind = 'cost'")
    called = newsroom.sql("SELECT sum(cents) FROM ai_calls WHERE workflow_id = %(site)s")
    assert spent == called
    assert spent[0][0] > 0


@pytest.mark.site("limited")
def test_retry_after_is_waited_for_and_nothing_is_lost(newsroom: Newsroom) -> None:
    newsroom.queue("Limited one", "Limited two")
    rule = {"match": "Limited one", "action": "status", "status": 429, "retry_after": 7, "times": 1}
    newsroom.model.script.update({"rules": [rule]})
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success"
    assert newsroom.run_status(run) == "completed"
    calls = [call["started"] for call in newsroom.model.script.journal if "Limited one" in call["prompt"]]
    assert calls[1] - calls[0] >= 7
    assert newsroom.count("contents", "status = 'review'") == 2
    assert newsroom.charged() == newsroom.owed()


@pytest.mark.site("capped")
def test_a_cap_in_cents_stops_new_calls_and_the_run_ends_partial(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Capped article {number}" for number in range(8)))
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success"
    assert newsroom.run_status(run) == "partial"
    spent = newsroom.sql(
        "SELECT coalesce(sum(cents), 0) FROM ledger WHERE workflow_id = %(site)s AND kind = 'cost'"
    )[0][0]
    assert 0 < spent <= 3
    assert newsroom.count("contents") < 8
    assert any("run cap of 3" in event for event in newsroom.events())
    assert newsroom.charged() == newsroom.owed()


@pytest.mark.site("disconnected")
def test_a_missing_connection_fails_at_once_with_one_clear_message(newsroom: Newsroom) -> None:
    newsroom.queue("Never written")
    run = newsroom.trigger()
    assert newsroom.finish(run) == "failed"
    states = newsroom.api.task_instances(newsroom.dag_id, run)
    failed = next(one for one in states if one["task_id"] == "open_run")
    assert (failed["state"], failed["try_number"]) == ("failed", 1)
    log = newsroom.log(run, "open_run", -1)  # it is not mapped
    assert "the Airflow connection 'pressroom_nowhere' does not exist" in log
    assert newsroom.run_status(run) == "failed"
    [(reason,)] = newsroom.sql("SELECT error_message FROM runs WHERE dag_run_id = %(run)s", run=run)
    missing = "content, image_prompts: the Airflow connection 'pressroom_nowhere' does not exist: add it to"
    assert missing in reason
    assert newsroom.sql("SELECT count(*) FROM item_failures WHERE workflow_id = %(site)s") == [(0,)]
    assert newsroom.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]


@pytest.mark.site("delayed")
def test_a_delay_between_batches_holds_no_worker(newsroom: Newsroom) -> None:
    newsroom.queue(*(f"Delayed article {number}" for number in range(8)))  # two batches of four
    run = newsroom.trigger()
    newsroom.until(
        lambda: "deferred" in newsroom.state_of(run, "content.work"), "the second batch to be put off"
    )
    assert newsroom.finish(run) == "success"
    times = sorted(
        call["started"] for call in newsroom.model.script.journal if "Delayed article" in call["prompt"]
    )
    assert newsroom.count("contents", "status = 'review'") == 8
    started = [
        one["start_date"]
        for one in newsroom.api.task_instances(newsroom.dag_id, run)
        if one["task_id"] == "content.work"
    ]
    assert len(started) == 2
    assert max(after - before for before, after in pairwise(times)) > 1


@pytest.mark.site("whole")
@pytest.mark.parametrize(
    ("conf", "message"),
    [({"articles": 0}, "articles"), ({"articles": "many"}, "articles"), ({"cap_cents": -1}, "cap_cents")],
)
def test_wrong_parameters_are_refused_at_the_trigger(
    newsroom: Newsroom, conf: dict[str, object], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        newsroom.trigger(**conf)


@pytest.mark.site("unreachable")
def test_a_model_that_cannot_be_reached_is_tried_again_with_a_clear_message(newsroom: Newsroom) -> None:
    newsroom.queue("Waits for the model")
    run = newsroom.trigger()
    newsroom.until(lambda: "up_for_retry" in newsroom.state_of(run, "content.work"), "another try")
    log = newsroom.log(run, "content.work")
    assert "1 item waits for another try" in log
    assert "pressroom_unreachable" in log
    assert "not-a-secret" not in log
    newsroom.steer("cancel")
    newsroom.finish(run)
    assert newsroom.run_status(run) == "cancelled"
    assert newsroom.count("tasks", "status = 'queued'") == 1
    assert newsroom.charged() == 0
    assert newsroom.sql("SELECT reserved FROM accounts WHERE id = %(account)s") == [(0,)]


@pytest.mark.timeout(600)
@pytest.mark.site("scheduled")
def test_a_schedule_starts_at_its_next_slot_and_keeps_several_a_day(newsroom: Newsroom) -> None:
    def ended() -> int:
        counted = (
            "SELECT count(*) FROM runs WHERE workflow_id = %(site)s"
            " AND trigger = 'scheduled' AND status = 'completed'"
        )
        return int(newsroom.sql(counted)[0][0])

    newsroom.until(lambda: ended() >= 2, "the runs of two minutes", 400)
    rows = newsroom.sql(
        "SELECT runs.owner, runs.slot, runs.slot > workflows.scheduled_since FROM runs"
        " JOIN workflows ON workflows.id = runs.workflow_id WHERE workflow_id = %(site)s ORDER BY slot"
    )
    newsroom.sql("UPDATE automation_configs SET enabled = false WHERE site_id = %(site)s")
    assert {(owner, after) for owner, _, after in rows} == {("the schedule", True)}
    assert all(slot.second == slot.microsecond == 0 for _, slot, _ in rows)
