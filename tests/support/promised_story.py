"""One pass over the product through its control API, whose answers the table of promises is checked against.

The app and the database are real; Airflow and the outside services are stand-ins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.strategy import Finding, Learned
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control as runs
from pressroom.pipelines.mission import analytics, content, intake, optimize, publish, strategy
from pressroom.pipelines.site import SITE, review
from pressroom.pipelines.tools import Social
from pressroom.store.database import Tx
from pressroom.testing import FakeText
from pressroom.testing_flows import FakeNetworks
from tests.support.control_things import add
from tests.support.control_world import Control
from tests.support.ledger_outside import LedgerOutside
from tests.support.mission_world import START, MissionWorld, make_mission
from tests.support.results_world import Outside, reading

Answers = dict[str, Any]

FETCH = {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}}
WRITE = {"name": "write", "type": "ai", "prompt": "Write about {{ item.title | data }}"}
BLOG = {"name": "blog", "type": "publish", "to": "wordpress"}
PIN = {"name": "pin", "type": "publish", "to": "pinterest", "settings": {"board": "7"}}
DRAW = {"name": "draw", "type": "media", "prompt": "A picture of {{ item.title | data }}"}
PIN_COPY = {"name": "copy", "type": "ai", "prompt": "A pin for {{ item.title | data }}"}
PING = {"name": "tell", "type": "ping", "connection": "hook"}
GATE = {"name": "look", "type": "gate", "by": "webhook"}
ROUTE = {"name": "way", "type": "route", "rules": [{"when": "size(item.images) > 0", "to": "tell"}]}


async def tell(control: Control) -> Answers:
    """Every answer, by name. ``status …``: the status of a call that is refused."""
    answers: Answers = {}
    await _site(control, answers)
    await _jobs(control, answers)
    await _mission(control, answers)
    await _flows(control, answers)
    return answers


# A site's automation --------------------------------------------------------------------------------------


async def _site(control: Control, answers: Answers) -> None:
    get = control.get
    answers["config"] = await get("/automation/config", site_id=1)
    for frequency in ("daily", "weekly", "monthly"):
        body = {
            "is_enabled": True,
            "frequency": frequency,
            "scheduled_time": "06:30",
            "within_stage_delay": 2,
        }
        changed = await control("PUT", "/automation/update_config?site_id=1", json=body, expect=200)
        answers[frequency] = changed.json()
    for name, path in (
        ("no site", "/automation/config"), ("no run", "/automation/logs"),
        ("another account's site", "/automation/config?site_id=2"),
        ("another account's run", "/automation/logs?run_id=job_99"),
    ):  # fmt: skip
        answers[f"status {name}"] = (await control("GET", path, user="vera")).status_code
    with control.world.store.transaction(control.world.account_id) as tx:
        skip = SITE.stage("clusters").pending(tx, _of(control, 0))
    answers["a stage without items"] = str(skip)
    twice = {"cron": "0 6,18 * * *"}
    answers["twice a day"] = (
        await control("PUT", "/automation/update_config?site_id=1", json=twice, expect=200)
    ).json()
    _items(control)
    answers["overview"] = await get("/automation/pipeline_overview", site_id=1)
    answers["estimate"] = await get("/automation/estimate", site_id=1)
    answers["keywords"] = await get("/keywords", site=1)
    answers["clusters"] = await get("/clusters", site=1)
    answers["ideas"] = await get("/ideas", site=1)
    answers["content"] = await get("/content", site=1)
    answers["nothing runs"] = await get("/automation/current_run", site_id=1)
    answers["nothing is in work"] = await get("/automation/current_processing", site_id=1)
    started = await control("POST", "/automation/run_now?site_id=1", expect=202)
    answers["run_now"] = started.json()
    run = answers["run_now"]["run_id"]
    refused = await control("POST", "/automation/run_now?site_id=1", expect=400)
    answers["status a second run"], answers["a second run"] = refused.status_code, refused.json()
    _work(control, int(run.removeprefix("job_")))
    answers["current_run"] = await get("/automation/current_run", site_id=1)
    answers["current_processing"] = await get("/automation/current_processing", site_id=1, run_id=run)
    answers["logs"] = await get("/automation/logs", run_id=run, lines=100)
    answers["stage 4's log"] = await get("/automation/logs", run_id=run, stage=4)
    answers["errors of the log"] = await get("/automation/logs", run_id=run, level="error")
    for action in ("pause", "resume", "cancel"):
        steered = await control("POST", f"/automation/{action}?site_id=1&run_id={run}", expect=200)
        answers[action] = steered.json()
    now = await control("POST", f"/automation/cancel?run_id={run}", json={"now": True}, expect=200)
    answers["cancel now"] = now.json()
    _close(control, int(run.removeprefix("job_")))
    failing = control.world.run("scheduled__1", trigger="scheduled")
    _fail(control, failing.id)
    answers["history"] = await get("/automation/history", site_id=1)
    answers["job that failed"] = await get(f"/pipeline/jobs/job_{failing.id}")


def _items(control: Control) -> None:
    """Of each kind one that waits, and others that do not."""
    world = control.world
    world.sql(
        "INSERT INTO keywords (account_id, site_id, text, normalized, disabled)"
        " SELECT %s, %s, 'k' || n, 'k' || n, n > 10 FROM generate_series(1, 12) AS n",
        world.account_id, world.site_id,
    )  # fmt: skip
    _, planned = world.clusters(2)
    world.sql("UPDATE clusters SET status = 'planned' WHERE id = %s", planned)
    own: dict[str, Any] = {"site_id": world.site_id}
    ideas = [
        add(
            world, "ideas", cluster_id=planned, title=f"I{n}", normalized=f"i{n}", type="guide",
            status="queued" if n else "new", **own,
        )
        for n in range(5)
    ]  # fmt: skip
    add(world, "tasks", idea_id=ideas[1], status="queued", **own)
    for idea, status in zip(ideas[2:], ("draft", "draft", "review"), strict=True):
        task = add(world, "tasks", idea_id=idea, status="completed", **own)
        article = add(
            world, "contents", task_id=task, title=f"A{idea}", slug=f"a{idea}", meta_description="", html="",
            excerpt="", word_count=1, status=status, model="m", **own,
        )  # fmt: skip
        if idea == ideas[3]:
            add(world, "images", content_id=article, role="featured", position=0, prompt="p", alt="", **own)


def _work(control: Control, run: int) -> None:
    """What the stages of a run leave behind, as its tasks write it."""
    with control.world.store.transaction(control.world.account_id) as tx:
        for stage in SITE.stages:
            tx.run("plan_stage", run=run, stage=stage.name, planned=4, skipped=None)
            runs.event(tx, run, "stage_started", f"{stage.title}: 4 waiting", stage=stage.name)
            tx.run("add_to_stage", run=run, stage=stage.name, processed=2, created=1, words=70, credits=1.6)
            tx.run("finish_batch", run=run, stage=stage.name, batches=1, partial="paused")
        tx.run(
            "finish_stage",
            run=run,
            stage="review",
            output=dict(review.summarize(tx, _of(control, run))),
        )
        tx.run("set_current_stage", run=run, stage="content")
        runs.event(tx, run, "item_done", "An article", stage="content")
        runs.event(tx, run, "item_failed", "7 failed", stage="content", level="error")
        tx.run("reserve_credits", workflow=1, run=run, stage="content", item="1", credits=5)


def _of(control: Control, run: int) -> Run:
    world = control.world
    return Run(world.account, world.site, None, run, world.account_id, world.site_id)


def _close(control: Control, run: int) -> None:
    with control.world.store.transaction(control.world.account_id) as tx:
        runs.close_run(tx, run, failed=None)


def _fail(control: Control, run: int) -> None:
    """A run whose images fail: what the task records, and what the run's end makes of it."""
    with control.world.store.transaction(control.world.account_id) as tx:
        tx.run("plan_stage", run=run, stage="images", planned=4, skipped=None)
        tx.run("set_current_stage", run=run, stage="images")
        wrong = ConfigurationError("the key of the images is refused")
        runs.record_reason(tx, run, "images", wrong, str(wrong))
        runs.close_run(tx, run, failed=runs.reason_of(tx, run))


# The states of jobs ---------------------------------------------------------------------------------------


def _at_content(tx: Tx, run: int) -> None:
    tx.run("set_current_stage", run=run, stage="content")


def _retrying(tx: Tx, run: int) -> None:
    _at_content(tx, run)
    runs.event(tx, run, "batch_done", "0 finished", stage="content", data={"waiting": 2})


def _paused(tx: Tx, run: int) -> None:
    _at_content(tx, run)
    runs.pause(tx, 1, run)


def _completed(tx: Tx, run: int) -> None:
    runs.close_run(tx, run, failed=None)


def _failed(tx: Tx, run: int) -> None:
    runs.close_run(tx, run, failed="no room")


def _cancelled(tx: Tx, run: int) -> None:
    runs.cancel(tx, 1, run)
    runs.close_run(tx, run, failed=None)


STATES: Mapping[str, Callable[[Tx, int], None]] = {
    "pending": lambda tx, run: None, "running": _at_content, "retrying": _retrying, "paused": _paused,
    "completed": _completed, "failed": _failed, "cancelled": _cancelled,
}  # fmt: skip


async def _jobs(control: Control, answers: Answers) -> None:
    """A job in each of its states, one after the other: a site has one live run."""
    for state, reach in STATES.items():
        run = control.world.run(f"manual__{state}").id
        with control.world.store.transaction(control.world.account_id) as tx:
            reach(tx, run)
        answers[f"a job that is {state}"] = await control.get(f"/pipeline/jobs/job_{run}")
        _close(control, run)
    retried = await control(
        "POST", f"/pipeline/jobs/job_{run}/retry", json={"from_stage": "content"}, expect=202
    )
    answers["retry"] = retried.json()
    answers["a job's log"] = await control.get(f"/pipeline/jobs/job_{run}/logs")
    async with control.client.stream(
        "GET", f"/pipeline/jobs/{answers['history']['items'][0]['run_id']}/logs?stream=true",
        headers={"X-User": "vera"},
    ) as stream:  # fmt: skip
        answers["a stream"] = {
            "type": stream.headers["content-type"],
            "lines": [line async for line in stream.aiter_lines() if line],
        }
    _close(control, run)


# A mission, from intake to optimize -----------------------------------------------------------------------


async def _mission(control: Control, answers: Answers) -> None:
    world = make_mission(
        control.world.url, control.world.store, constraints={"posts_per_day": 2}, duration_days=14,
        pillars=["Brewing", "Beans"], kpis=[{"metric": "engagement_rate", "target": 4}],
    )  # fmt: skip
    run = world.run()
    await asyncio.to_thread(_plan_to_publish, world, run)
    await _measure(world, run)
    await asyncio.to_thread(_learn, world, run)
    answers["mission"] = await control.get(f"/pipeline/jobs/job_{run.id}")
    answers["stages"] = {stage["stage"]: stage["output"] for stage in answers["mission"]["stages"]}
    answers["a post over time"] = await control.get("/content/cnt_1/metrics")


def _plan_to_publish(world: MissionWorld, run: Any) -> None:
    made = world.tools(FakeText(), now=START - timedelta(hours=1))
    scope = CostScope(world.account_id, world.mission_id, run.id, "publish", "any")
    networks = FakeNetworks(made.social.clock)
    tools = replace(made, outside=LedgerOutside(world.store, scope, lambda _: networks))
    for stage in (intake.STAGE, strategy.STAGE, content.STAGE, publish.STAGE):
        assert world.work(stage, run, tools).failed == 0


async def _measure(world: MissionWorld, run: Any) -> None:
    outside = Outside(time=START + timedelta(days=15))
    sent = world.sql(
        "SELECT p.external_id, p.scheduled_for, posts.platform FROM publications AS p"
        " JOIN posts ON p.content = 'post:' || posts.id"
    )
    outside.measured(*(reading(name, at, 1000, 42, platform=platform) for name, at, platform in sent))
    for name, _, _ in sent:
        outside.out(name)
    tools = replace(world.tools(), social=Social(outside, outside))
    assert await analytics.STAGE.poll(world.store, run, tools) is None  # type: ignore[misc]


def _learn(world: MissionWorld, run: Any) -> None:
    """Two findings, as the statistics may make them: what becomes of them is the stage's own work."""
    findings = [
        Finding(Platform.TWITTER, "weekday", "tuesday", 2.3, 1.4, 3.7, 12, 60, 0.13),
        Finding(Platform.TWITTER, "format", "thread", 1.4, 1.1, 1.8, 30, 60, 0.09),
    ]
    weights = {Platform.TWITTER: {"weekday": {"tuesday": 1.5, "monday": 0.8}, "format": {"thread": 1.3}}}
    learned = Learned(weights, findings, 40, "a named test", {}, {Platform.TWITTER: 1.12})
    with world.store.transaction(world.account_id) as tx:
        [lesson] = optimize.load(tx, run, list(optimize.pending(tx, run)))  # type: ignore[arg-type]
        optimize.save(tx, run, lesson, learned)


# Flows: which compositions are taken ----------------------------------------------------------------------

FLOWS: Mapping[str, list[dict[str, Any]]] = {
    "content and a pin": [FETCH, DRAW, WRITE, BLOG, PIN_COPY, PIN],
    "content, a gate and a pin": [FETCH, DRAW, WRITE, BLOG, PING, GATE, PIN_COPY, PIN],
    "a pin that no model writes": [FETCH, DRAW, WRITE, BLOG, PIN],
    "a pin that a model with all tools writes": [FETCH, DRAW, WRITE | {"tools": "all"}, BLOG, PIN],
    "a post without a model": [FETCH, BLOG | {"mode": "auto"}],
    "a post without a model's decision": [FETCH, BLOG],
    "a way on by a condition": [FETCH, ROUTE, PING],
    "what a failure leads to": [
        FETCH,
        *(
            PING | {"name": f"step{n}", "on_failure": end}
            for n, end in enumerate(("stop", "continue", "skip_item", "go to tell"))
        ),
        PING,
    ],
    "a type twice, in any place": [PING, PING | {"name": "again"}],
}


async def _flows(control: Control, answers: Answers) -> None:
    for number, (name, steps) in enumerate(FLOWS.items()):
        body = {"slug": f"flow-{number}", "name": "F", "steps": steps}
        answer = await control("POST", "/flows", json=body, user="ann")  # posts without a gate
        answers[f"a flow of {name}"] = {**answer.json(), "code": answer.status_code}
    for status in ("agent_skipped", "finished"):
        found = await control("GET", f"/flow-items?status={status}", user="vera")
        answers[f"status items that are {status}"] = found.status_code
