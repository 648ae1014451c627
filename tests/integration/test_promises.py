"""What the product promises to those who use its pipelines and its API, row by row: endpoints, fields,
states, errors, numbers. Each row is checked against an answer of the real app on a real Postgres.

Rules that need no answer to be seen have tables of their own: result fields and prices in
``unit/test_site_tables.py``, classes of errors in ``unit/test_mission_tables.py``, job states with the events
that lead to them in ``test_reports.py``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pytest

from pressroom.store.database import Store
from tests.support.control_seen import STAGE_FIELDS
from tests.support.control_world import control_world
from tests.support.postgres import empty
from tests.support.promised_story import STATES, Answers, tell

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def answers(database_url: str, emptying: psycopg.Connection[Any]) -> Iterator[Answers]:
    """The answers of one pass: the rows only read them."""
    empty(emptying)

    async def listen(store: Store) -> Answers:
        async with control_world(database_url, store) as control:
            return await tell(control)

    with Store(database_url) as store:
        yield asyncio.run(listen(store))


Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Promise:
    """One row. ``where``: the answer's name and the path in it, ``[]`` for each of a list, which has some.

    ``differs``: why a name or a number is another one than in products of this kind.
    """

    what: str
    where: str
    holds: Check
    differs: str = ""


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def is_time(value: Any) -> bool:
    return is_text(value) and datetime.fromisoformat(value).tzinfo is not None


def is_day(value: Any) -> bool:
    return is_text(value) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


def equals(expected: Any) -> Check:
    return lambda value: bool(value == expected)


def one_of(*expected: Any) -> Check:
    return lambda value: value in expected


def like(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def contains(part: Any) -> Check:
    return lambda value: part in value


def has(*names: str) -> Check:
    return lambda value: set(names) <= set(value)


def shares_of_one(value: Any) -> bool:
    return bool(abs(sum(pillar["weight"] for pillar in value) - 1) < 1e-9)


LARGER = "a task works through many items at once, which costs less than a task an item"

CONFIG = [
    Promise("a site that nobody configured has a configuration", "config.is_enabled", equals(False)),
    *(Promise(f"the schedule can be {name}", f"{name}.frequency", equals(name))
      for name in ("daily", "weekly", "monthly")),
    Promise("a time of day", "daily.scheduled_time", equals("06:30")),
    Promise("weekly is on Mondays", "weekly.next_run_at",
            lambda at: datetime.fromisoformat(at).weekday() == 0),
    Promise("monthly is on the 1st", "monthly.next_run_at", lambda at: datetime.fromisoformat(at).day == 1),
    Promise("or by a cron, several times a day", "twice a day.next_run_at", like(r".*T(06|18):00:00Z")),
    Promise("the next run comes at that time", "daily.next_run_at", contains("T06:30")),
    Promise("when a run was last started by the schedule", "config.last_run_at", equals(None)),
    Promise("what is off has no next run", "config.next_run_at", equals(None)),
    Promise("a pause between batches", "daily.within_stage_delay", equals(2)),
    Promise("a pause between stages", "config.between_stage_delay", equals(0)),
    Promise("20 keywords in one call", "config.stage_1_batch_size", equals(20)),
    Promise("clusters of a batch", "config.stage_2_batch_size", equals(32), LARGER),
    Promise("ideas of a batch", "config.stage_3_batch_size", equals(200), LARGER),
    Promise("tasks of a batch", "config.stage_4_batch_size", equals(32), LARGER),
    Promise("articles of a batch", "config.stage_5_batch_size", equals(32), LARGER),
    Promise("pictures of a batch", "config.stage_6_batch_size", equals(32), LARGER),
]  # fmt: skip

ERRORS = [
    Promise("a call that names no site", "status no site", equals(400)),
    Promise("a call that names no run", "status no run", equals(400)),
    Promise("a site of another account", "status another account's site", equals(404)),
    Promise("a run that does not exist", "status another account's run", equals(404)),
    Promise("a run while one is live", "status a second run", equals(400)),
    Promise("the lock's owner is named", "a second run.detail", contains("started by ed at")),
]

OVERVIEW = [
    Promise("seven stages", "overview.stages.[].number", one_of(1, 2, 3, 4, 5, 6, 7)),
    *(Promise(f"stage {number} counts {what}", f"overview.stages.{number - 1}.pending", equals(count))
      for number, what, count in (
          (1, "new keywords without a cluster that are not disabled", 10),
          (2, "new clusters without ideas that are not disabled", 1), (3, "new ideas", 1),
          (4, "queued tasks", 1), (5, "drafts without pictures", 1), (6, "pictures that wait", 1),
          (7, "articles in review", 1))),
    Promise("counts by status", "overview.stages.0.counts", equals({"new": 10, "disabled": 2})),
    Promise("keywords are listed for counts of one's own", "keywords.items.[].status", equals("new")),
    Promise("clusters are listed", "clusters.items.[].status", one_of("new", "planned")),
    Promise("ideas are listed, each with its task", "ideas.items.[].status", one_of("new", "queued")),
    Promise("articles are listed, each with its pictures", "content.items.[].status",
            one_of("draft", "review")),
]  # fmt: skip

ESTIMATE = [
    Promise("one credit for five keywords", "estimate.stages.clusters", equals(2.0)),
    # 10 keywords make at least 3 clusters, and one waits.
    Promise("two credits a cluster", "estimate.stages.ideas", equals(8.0)),
    Promise("tasks are made without a model", "estimate.stages.tasks", equals(0.0)),
    # 4 clusters with 3 ideas each, an idea and a task that wait.
    Promise("five credits an article", "estimate.stages.content", equals(70.0)),
    Promise("two credits for an article's prompts", "estimate.stages.image_prompts", equals(30.0)),
    Promise("two credits a picture", "estimate.stages.images", lambda amount: amount % 2 == 0),
    Promise("a number in all", "estimate.estimated_credits", is_number),
    Promise("the account's credits", "estimate.current_balance", equals(1000.0)),
    Promise("whether they suffice", "estimate.sufficient", is_flag),
    Promise("they must cover 1.2 times the estimate", "estimate",
            lambda shown: shown["required_credits"] == round(1.2 * shown["estimated_credits"], 2)),
]  # fmt: skip

RUNS = [
    Promise("a run is started by hand", "run_now.run_id", like(r"job_\d+")),
    Promise("a stage without items says why it is skipped", "a stage without items", contains("no keyword")),
    Promise("without a run there is none", "nothing runs", equals(None)),
    Promise("a run has a status", "current_run.status", equals("running")),
    Promise("and a trigger", "current_run.trigger_type", equals("manual")),
    Promise("and a stage", "current_run.current_stage", equals(4)),
    Promise("and the credits that it used", "current_run.total_credits_used", is_number),
    Promise("and an error, once it has one", "current_run.error_message", equals(None)),
    *(Promise(f"stage {number} says {field.replace('_', ' ')}", f"current_run.stage_{number}_result.{field}",
              lambda value: value is None or is_number(value) or is_text(value))
      for number, fields in STAGE_FIELDS.items() for field in sorted(fields)),
    Promise("credits are numbers", "current_run.stage_4_result.credits_used", equals(1.6)),
    Promise("so are seconds", "current_run.stage_1_result.time_elapsed", is_number),
    Promise("a stage that stopped early says why", "current_run.stage_1_result.partial", equals("paused")),
    Promise("review lists the articles by their ids", "current_run.stage_7_result.content_ids.[]",
            like(r"art_\d+")),
    Promise("what is in work, while a run is on", "current_processing.in_work.0.title", equals("I1")),
    Promise("the state of a live run", "current_processing.state", equals("running")),
    Promise("how much of the stage is done", "current_processing",
            lambda shown: (shown["processed"], shown["planned"], shown["remaining"]) == (2, 4, 2)),
    Promise("nothing in work, while none is", "nothing is in work", equals(None)),
    Promise("a run is paused", "pause.status", equals("paused")),
    Promise("since when", "pause.paused_at", is_time),
    Promise("and resumed", "resume.status", equals("running")),
    Promise("since when it goes on", "resume.resumed_at", is_time),
    Promise("from the stage that it was at", "resume.current_stage", equals(4)),
    Promise("and cancelled after its current items", "cancel.cancel_requested", equals(True)),
    Promise("since when it is cancelled", "cancel.cancelled_at", is_time),
    Promise("or in the middle of them", "cancel now.cancel_requested", equals(True)),
]  # fmt: skip

HISTORY = [
    Promise("every run, newest first", "history.items",
            lambda items: [run["trigger_type"] for run in items] == ["scheduled", "manual"]),
    Promise("a run's id", "history.items.[].run_id", like(r"job_\d+")),
    Promise("its status", "history.items.[].status", one_of("cancelled", "failed")),
    Promise("its trigger", "history.items.[].trigger_type", one_of("manual", "scheduled")),
    Promise("when it started", "history.items.[].started_at", is_time),
    Promise("when it ended", "history.items.[].completed_at", is_time),
    Promise("its credits", "history.items.[].total_credits_used", is_number),
    Promise("the stage at which it failed", "history.items.0.current_stage", equals(6)),
    Promise("the stage at which it was cancelled", "history.items.1.current_stage", equals(4)),
    Promise("why it failed", "history.items.0.error_message",
            equals("images: the key of the images is refused")),
    Promise("whether it left something undone", "history.items.[].partial", is_flag),
    Promise("which part of the site it ran", "history.items.[].part", equals("")),
    Promise("a job says why it failed too", "job that failed.error_message", contains("key of the images")),
]  # fmt: skip

LOGS = [
    Promise("a line's time", "logs.lines.[].at", is_time),
    Promise("its level", "logs.lines.[].level", one_of("info", "warning", "error")),
    Promise("its text", "logs.lines.[].message", is_text),
    Promise("the start of the run and of stages, items done and failed", "logs.lines",
            lambda lines: {"run_started", "stage_started", "item_done", "item_failed"}
            <= {line["kind"] for line in lines}),
    Promise("a stage's own log", "stage 4's log.lines.[].stage", equals("content")),
    Promise("errors alone", "errors of the log.lines.[].level", equals("error")),
    Promise("a job's log", "a job's log.lines.[].message", is_text),
    Promise("as a stream of events", "a stream.type", contains("text/event-stream")),
    Promise("that says when it is over", "a stream.lines", contains("event: end")),
    Promise("the failed task is among its lines, with its reason", "a stream.lines", lambda lines: any(
        "task_failed" in line and "the key of the images is refused" in line for line in lines
    )),
]  # fmt: skip

JOBS = [
    *(Promise(f"a job can be {state}", f"a job that is {state}.state", equals(state)) for state in STATES),
    Promise("a retry begins with a stage", "retry.from_stage", equals("content")),
    Promise("and runs those that follow", "retry.stages",
            equals(["content", "image_prompts", "images", "review"])),
    Promise("six stages of a mission, in order", "mission.stages", lambda stages: [
        stage["stage"] for stage in stages
    ] == ["intake", "strategy", "content", "publish", "analytics", "optimize"]),
    Promise("a stage's status", "mission.stages.[].status", one_of(*STATES)),
    Promise("how far a job is", "mission.progress.percent", is_number),
]  # fmt: skip

INTAKE = [
    Promise("the mission", "stages.intake.mission_id", like(r"msn_\d+")),
    Promise("its brand context", "stages.intake", has("brand_context_id")),
    Promise("the platforms that are connected", "stages.intake.validated_platforms",
            equals(["twitter", "linkedin"])),
    Promise("the first day", "stages.intake.execution_context.start_date", equals("2026-03-01")),
    Promise("the last day of the mission", "stages.intake.execution_context.end_date", equals("2026-03-15")),
    Promise("posts of the whole mission", "stages.intake.execution_context.total_posts_planned", equals(28)),
    Promise("posts a day", "stages.intake.execution_context.daily_cadence", equals(2)),
]  # fmt: skip

STRATEGY = [
    Promise("pillars", "stages.strategy.content_pillars.[].name", is_text),
    Promise("their shares", "stages.strategy.content_pillars", shares_of_one),
    Promise("days", "stages.strategy.content_calendar.[].date", is_day),
    *(Promise(f"a slot's {name}", f"stages.strategy.content_calendar.[].slots.[].{name}", is_text)
      for name in ("time", "platform", "pillar", "topic", "format")),
    Promise("how to sound", "stages.strategy.tone_guidelines", is_text),
]  # fmt: skip

CONTENT = [
    Promise("a post's id", "stages.content.content_items.[].id", like(r"cnt_\d+")),
    Promise("its slot, in UTC", "stages.content.content_items.[].calendar_slot",
            like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")),
    Promise("its platform", "stages.content.content_items.[].platform", one_of("twitter", "linkedin")),
    Promise("its format", "stages.content.content_items.[].type", is_text),
    Promise("its parts", "stages.content.content_items.[].copy.parts.[]", is_text),
    Promise("headline, body and call to action", "stages.content.content_items.[].copy",
            has("headline", "body", "cta")),
    Promise("its hashtags", "stages.content.content_items.[].copy.hashtags", is_list),
    Promise("its mentions", "stages.content.content_items.[].copy.mentions", is_list),
    Promise("its pictures, by URLs of the web or of the API", "stages.content.content_items.[].visuals",
            lambda visuals: all(not visual["url"].startswith("file:") for visual in visuals)),
    *(Promise(f"its {name}", f"stages.content.content_items.[].metadata.{name}", check)
      for name, check in (("pillar", is_text), ("topic", is_text), ("confidence", is_number))),
    Promise("how many", "stages.content.total_items", is_count),
    Promise("what they cost", "stages.content.total_cost_cents", is_number),
]  # fmt: skip

PUBLISH = [
    Promise("the post", "stages.publish.scheduled.[].content_id", like(r"cnt_\d+")),
    Promise("where", "stages.publish.scheduled.[].platform", one_of("twitter", "linkedin")),
    Promise("when", "stages.publish.scheduled.[].scheduled_for", is_time),
    Promise("under which id of the scheduler", "stages.publish.scheduled.[].metricool_post_id", is_text),
    Promise("its preview", "stages.publish.scheduled.[]", has("preview_url")),
    Promise("how many are scheduled", "stages.publish.total_scheduled", is_count),
    Promise("the first", "stages.publish.first_publish_at", is_time),
    Promise("the last", "stages.publish.last_publish_at", is_time),
]

ANALYTICS = [
    Promise("which days", "stages.analytics.period", like(r"\d{4}-\d\d-\d\d/\d{4}-\d\d-\d\d")),
    *(Promise(name.replace("_", " "), f"stages.analytics.metrics.{name}", is_number)
      for name in ("total_impressions", "total_engagements", "engagement_rate", "link_clicks",
                   "new_followers")),
    Promise("a goal's metric", "stages.analytics.kpi_status.[].metric", equals("engagement_rate")),
    Promise("its target", "stages.analytics.kpi_status.[].target", equals(4.0)),
    Promise("where it stands", "stages.analytics.kpi_status.[].current", equals(4.2)),
    Promise("how it goes", "stages.analytics.kpi_status.[].status",
            one_of("met", "on_track", "at_risk", "behind")),
    Promise("the best posts", "stages.analytics.top_performers", is_list),
    Promise("the weakest posts", "stages.analytics.underperformers", is_list),
    Promise("a post's numbers over time", "a post over time.items.[].impressions", equals(1000)),
]  # fmt: skip

OPTIMIZE = [
    Promise("a finding's type", "stages.optimize.insights.[].type", one_of("timing", "content")),
    Promise("the finding", "stages.optimize.insights.[].finding", is_text),
    Promise("how sure it is", "stages.optimize.insights.[].confidence", lambda value: 0 < value <= 1),
    Promise("what follows", "stages.optimize.insights.[].action", is_text),
    Promise("weights of times", "stages.optimize.strategy_updates.timing_adjustments",
            has("twitter.tuesday_weight")),
    Promise("weights of contents", "stages.optimize.strategy_updates.content_adjustments", bool),
    Promise("what is expected of it", "stages.optimize.predicted_improvement.engagement_rate",
            like(r"[+-]\d+(\.\d+)? ?%.*")),
]  # fmt: skip

ACCEPTED = ("content and a pin", "content, a gate and a pin", "a pin that a model with all tools writes",
            "a post without a model", "a way on by a condition", "a type twice, in any place",
            "what a failure leads to")  # fmt: skip

FLOWS = [
    *(Promise(f"a flow of {name} is taken", f"a flow of {name}.code", equals(201)) for name in ACCEPTED),
    Promise("a model sees the tools next to it only",
            "a flow of a pin that no model writes.code", equals(422)),
    Promise("and is told of the ways out",
            "a flow of a pin that no model writes.detail", contains("mode: auto")),
    Promise("publishing needs a decision, unless it is automatic",
            "a flow of a post without a model's decision.code", equals(422)),
    Promise("a model may end an item", "status items that are agent_skipped", equals(200)),
    Promise("and no other word is taken for it", "status items that are finished", equals(422)),
]  # fmt: skip

TABLE = {
    "configuration": CONFIG, "errors": ERRORS, "overview": OVERVIEW, "estimate": ESTIMATE, "runs": RUNS,
    "history": HISTORY, "logs": LOGS, "jobs": JOBS, "intake": INTAKE, "strategy": STRATEGY,
    "content": CONTENT, "publish": PUBLISH, "analytics": ANALYTICS, "optimize": OPTIMIZE, "flows": FLOWS,
}  # fmt: skip


def found(answers: Answers, where: str) -> list[Any]:
    """The values at a path."""
    name = max((each for each in answers if where == each or where.startswith(f"{each}.")), key=len)
    values = [answers[name]]
    for step in where.removeprefix(name).strip(".").split("."):
        if step == "[]":
            values = [each for value in values for each in value]
        elif step:
            values = [
                value[int(step)] if isinstance(value, list) else _field(value, step) for value in values
            ]
    return values


def _field(value: dict[str, Any], name: str) -> Any:
    assert name in value, f"{name} is missing: there are {sorted(value)}"
    return value[name]


@pytest.mark.parametrize(
    "promise",
    [
        pytest.param(promise, id=f"{area}: {promise.what}: {promise.where}")
        for area, promises in TABLE.items()
        for promise in promises
    ],
)
def test_a_promise_is_kept(answers: Answers, promise: Promise) -> None:
    values = found(answers, promise.where)
    assert values, "there is none"
    wrong = [value for value in values if not promise.holds(value)]
    assert wrong == []


def test_no_number_of_any_answer_is_a_text(answers: Answers) -> None:
    def decimals(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, each in value.items():
                yield from decimals(each, f"{path}.{name}")
        elif isinstance(value, list):
            for each in value:
                yield from decimals(each, path)
        elif isinstance(value, str) and re.fullmatch(r"-?\d+\.\d+", value):
            yield path

    assert sorted(set(decimals(answers, ""))) == []


def test_no_answer_has_a_path_of_the_server(answers: Answers) -> None:
    assert "file://" not in str(answers)
