"""Flows that are edited or cancelled while items wait, in a real Airflow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom_dev.local.services import LocalServices
from tests.acceptance.conftest import EDITED, LOOK, PAGE, READ, SAY
from tests.acceptance.desk import Desk, apply_flow
from tests.acceptance.outside import Entry, Outside
from tests.support.scripted_openai import ScriptedOpenAI

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SECOND = SAY | {"name": "second"}
EDITS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "edited-removed": ([READ, LOOK, PAGE], "rejected"),
    "edited-inserted": ([READ, SAY, SECOND, LOOK, PAGE], "rejected"),
    "edited-renamed": ([READ, SAY, LOOK, PAGE | {"name": "site"}], "rejected"),
    "edited-reordered": ([READ, PAGE, SAY, LOOK], "rejected"),
    "edited-ungated": ([READ, SAY, PAGE], "failed"),
}


@pytest.fixture
def desks(services: LocalServices, model: ScriptedOpenAI, outside: Outside) -> Iterator[dict[str, Desk]]:
    """A flow for each edit: read → say → look → page."""
    model.script.clear()
    with ExitStack() as stack:
        yield {slug: stack.enter_context(Desk(slug, services, model, outside)) for slug in EDITED}


def title(desk: Desk) -> str:
    return f"News of {desk.slug}"


@pytest.mark.site(*EDITED)
def test_whatever_was_edited_while_it_waited_a_rejected_item_is_never_published(
    desks: dict[str, Desk], outside: Outside
) -> None:
    runs = {}
    for slug, desk in desks.items():
        outside.web.feeds[slug] = [Entry(title(desk))]
        runs[slug] = desk.trigger()
    for slug, desk in desks.items():
        waits(desk, runs[slug])
    versions = {slug: version(desk, runs[slug]) for slug, desk in desks.items()}
    for slug, (steps, _) in EDITS.items():
        apply_flow(desks[slug].url, outside.web, slug, steps=[dict(step) for step in steps])
    desks["edited-removed"].api.parse_dag_files("flow:edited-removed")
    for slug, (steps, _) in EDITS.items():
        has_steps(desks[slug], {str(step["name"]) for step in steps[1:]})
    for slug, desk in desks.items():
        goes_by_another(desk, runs[slug], versions[slug])
    for slug, (_, ending) in EDITS.items():
        if ending == "rejected":
            gate = desks[slug].gate(title(desks[slug]))
            assert gate
            desks[slug].api.answer(gate["task"], "Reject", {"text": ""})
    for slug, (_, ending) in EDITS.items():
        desk = desks[slug]
        desk.finish(runs[slug])
        assert desk.items() == {title(desk): ending}, slug
        assert desk.page(title(desk)) == "", slug
        assert desk.sql("SELECT count(*) FROM publications WHERE workflow_id = %(site)s") == [(0,)], slug
    [(reason,)] = desks["edited-ungated"].sql("SELECT reason FROM flow_items WHERE flow_id = %(site)s")
    assert reason == "the step look was taken out of the flow while the item was at it"
    assert desks["edited-ungated"].run_status(runs["edited-ungated"]) == "partial"


def waits(desk: Desk, run: str) -> None:
    """Wait until the item waits at ``look``."""
    desk.until(lambda: title(desk) in desk.items(), "the item")
    desk.until(lambda: desk.parked(run, **{title(desk): "look"}), "the item to wait")


def version(desk: Desk, run: str) -> int:
    """The newest version of the DAG that the run has tasks of."""
    tasks = desk.api.task_instances(desk.dag_id, run)
    return max(int(task["dag_version"]["version_number"]) for task in tasks)


def goes_by_another(desk: Desk, run: str, before: int) -> None:
    """Wait until the scheduler has brought the live run to a newer version of its DAG."""
    desk.until(lambda: version(desk, run) > before, "the run to go by the edited DAG")


def has_steps(desk: Desk, names: set[str]) -> None:
    """Wait until Airflow has the DAG with these steps."""

    def there() -> bool:
        tasks = desk.api.task_ids(desk.dag_id)
        return {task.removeprefix("item.") for task in tasks if task.startswith("item.")} == names

    desk.until(there, "the edited DAG")


@pytest.mark.site("edited-before")
def test_a_run_that_is_started_right_after_an_edit_goes_by_the_edited_steps(
    desk: Desk, outside: Outside
) -> None:
    outside.web.feeds[desk.slug] = [Entry(title(desk))]
    apply_flow(desk.url, outside.web, desk.slug, steps=[READ, SAY, PAGE])
    run = desk.trigger()
    desk.finish(run)
    assert desk.items() == {title(desk): "done"}
    assert desk.states(run, "item.say") == {0: "success"}
    assert desk.run_status(run) == "completed"


@pytest.mark.site("awaited")
def test_cancel_ends_an_approval_and_its_gate_is_closed_in_both_systems(desk: Desk) -> None:
    news = title(desk)
    desk.outside.web.feeds[desk.slug] = [Entry(news)]
    run = desk.trigger()
    waits(desk, run)
    gate = desk.gate(news)
    assert gate
    began = time.monotonic()
    said = command(desk, "cancel", "flow/awaited")
    assert said == (0, "flow/awaited: cancelled after the current items")
    desk.finish(run)
    assert time.monotonic() - began < 60
    assert desk.run_status(run) == "cancelled"
    assert desk.items() == {news: "failed"}
    code, refusal = command(desk, "answer", "awaited", str(gate["id"]), "approve")
    assert code == 1
    assert "was cancelled" in refusal
    assert desk.gate(news) == gate
    assert not desk.page(news)


def command(desk: Desk, *words: str) -> tuple[int, str]:
    """(exit code, output) of ``pressroom`` against the running services."""
    info = desk.services.info
    env = os.environ | {
        "PRESSROOM_DATABASE_URL": info.database_url, "PRESSROOM_AIRFLOW_URL": info.airflow_url,
        "PRESSROOM_AIRFLOW_USER": info.airflow_user, "PRESSROOM_AIRFLOW_PASSWORD": info.airflow_password,
    }  # fmt: skip
    done = CliRunner().invoke(app, list(words), env=env)
    return done.exit_code, done.output.strip()
