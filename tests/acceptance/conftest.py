"""One real Airflow for all tests of a group: scheduler, dag processor, triggerer, API server, Postgres.

The model is the scripted OpenAI-compatible server. Every test has a site, a mission or a flow and an account
of its own, which its marker names, all applied before Airflow starts, so that no test waits for a DAG.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pressroom.store.database import Store
from pressroom.store.migrate import migrate
from pressroom_dev.local.services import LocalServices
from pressroom_dev.local.simulator_server import connection as simulator_connection
from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.metricool import build_app
from pressroom_dev.simulator.scheduler import SimulatedScheduler
from tests.acceptance.bad_definitions import ACCOUNT, write_by_hand
from tests.acceptance.caller import Caller
from tests.acceptance.campaign import Campaign, apply_mission
from tests.acceptance.desk import STRANGER, Desk, apply_flow, pattern
from tests.acceptance.newsroom import Newsroom, apply_documents, apply_site
from tests.acceptance.outside import Outside
from tests.acceptance.outside import outside as running_outside
from tests.acceptance.walk.shapes import PATIENT, account, connection_of, definition
from tests.acceptance.walk.table import MISSION, to_walk
from tests.support.groups import slugs_of
from tests.support.roots import throwaway_root
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.served import served
from tests.support.strict_batches import StrictBatches
from tests.support.whole_runs import PRICES

KEYWORDS = [
    "pour over coffee", "pour over ratio", "pour over kettle", "cold brew coffee", "cold brew ratio",
    "cold brew concentrate", "espresso grind size", "espresso tamping", "espresso machine descaling",
    "french press time", "french press grind", "french press sediment",
]  # fmt: skip


def some_minutes_from_now() -> str:
    """A cron expression of a few runs: two of them come after the start of Airflow, also where it is slow."""
    now = datetime.now(UTC).minute
    return f"{','.join(str((now + each) % 60) for each in (2, 3, 5, 7, 9))} * * * *"


SITES: dict[str, dict[str, Any]] = {
    "whole": {"articles_per_run": 3},
    "killed": {"batch": 12},
    "steered": {},
    "cancelled": {},
    "mended": {"batch": 1},
    "twice": {},
    "poor": {"opening_credits": 10},
    "faults": {"concurrency": 16},
    "limited": {},
    "capped": {"run_cents": 3},
    "disconnected": {"connection": "pressroom_nowhere"},
    "noticed": {"connection": "pressroom_nowhere"},
    "unopened": {"connection": "pressroom_nowhere"},
    "halted": {"connection": "pressroom_patient"},
    "explained": {},
    "delayed": {"within_stage_delay": 4},
    "unreachable": {"connection": "pressroom_unreachable"},
    "scheduled": {"cron": some_minutes_from_now},
    "decided": {"publish": {"targets": [{"to": "static_site"}, {"to": "wordpress"}]}},
    "remote": {},
    "streamed": {},
    "marked": {"concurrency": 4},
    "halfway": {"concurrency": 2},
    "strict": {"cron": "0 0 29 2 *"},
    "batched": {"connection": "pressroom_batches", "batch_requests": True, "batch": 12},
    "paged": {},
    "watched-page": {},
    "left": {"connection": "pressroom_batches", "batch_requests": True, "batch": 12},
    "halved": {"connection": "pressroom_batches", "batch_requests": True, "batch": 12},
    "backed": {"connection": "pressroom_backed", "batch_requests": True, "batch": 12},
    "unattended": {"publish": {"targets": [{"to": "static_site"}], "auto_publish": True}},
}

PROVIDERS = ("anthropic", "gemini", "vllm")
"""Whose dialects a site and a mission meet, each at a server of its own."""
SITES |= {name: {"connection": f"pressroom_{name}", "articles_per_run": 2} for name in PROVIDERS}

MISSIONS: dict[str, dict[str, Any]] = {
    "learning": {"constraints": {"posts_per_day": 6}},
    "struck": {"constraints": {"posts_per_day": 4}, "work": {"concurrency": 2}},
    "undone": {"rollback": True, "work": {"concurrency": 1}},
    "regretted": {"constraints": {"posts_per_day": 2}},
    "reviewed": {"constraints": {"posts_per_day": 2, "require_approval": True}},
    "faulty": {"constraints": {"posts_per_day": 10}},
    "retried": {"constraints": {"posts_per_day": 2}, "work": {"concurrency": 1}},
    "short-lived": {"duration_days": 3},
    "unconnected": {"connection": "pressroom_nowhere"},
    "too-dear": {"constraints": {"budget_cents": 0.01}},
    **{
        f"{name}-mission": {
            "text": {"connection": f"pressroom_{name}"},
            "platforms": ["twitter"],
            "cycle_days": 2,
            "duration_days": 2,
            "constraints": {"posts_per_day": 1},
        }
        for name in PROVIDERS
    },
}

PAGE = {"name": "page", "type": "publish", "to": "static_site", "mode": "auto"}
READ = {"name": "read", "type": "fetch"}
GATE = {"type": "gate", "notify": "pressroom_desk", "timeout_hours": 1}
LOOK = {"name": "look", "by": "approval", **GATE}
BLOG = {"name": "blog", "type": "publish", "to": "wordpress", "mode": "auto"}

SAY = {"name": "say", "type": "route", "rules": [{"when": "true", "to": "next"}]}
EDITED = ["edited-removed", "edited-inserted", "edited-renamed", "edited-reordered", "edited-ungated"]

FLOWS: dict[str, dict[str, Any]] = {
    "content-pinterest": pattern("content-pinterest"),
    "content-review-pinterest": pattern("content-review-pinterest"),
    "content-multi-platform": pattern("content-multi-platform"),
    "picture-route": pattern("picture-route"),
    "edited": {"steps": [
        READ,
        {"name": "write", "type": "ai", "prompt": "Retell this. Title: {{ item.title | data }}"},
        {"name": "look", "by": "approval", "subject": "Is {{ item.title }} good?", **GATE},
        PAGE,
    ]},
    "late": {"steps": [
        READ, {"name": "look", "by": "webhook", **GATE, "timeout_hours": 0.001, "on_timeout": "reject"}, PAGE,
    ]},
    "restarted": {"steps": [
        READ,
        {"name": "service", "by": "webhook", "when": "item.title.contains('service')", **GATE},
        {"name": "person", "by": "approval", "when": "item.title.contains('person')", **GATE},
        PAGE,
    ]},
    "uneven": {"steps": [
        READ,
        {"name": "write", "type": "ai", "tools": ["page"],
         "prompt": "Publish it. Title: {{ item.title | data }}"},
        {"name": "look", "by": "webhook", "when": "item.title.contains('slow')", **GATE},
        {**PAGE, "mode": "ai"},
    ]},
    "pair-a": {"account": "pair", "feed": "pair", "steps": [READ, BLOG]},
    "pair-b": {"account": "pair", "feed": "pair", "steps": [READ, BLOG]},
    "wordless": {
        "text": {"connection": "pressroom_nowhere"},
        "images": {"provider": "openai", "connection": "pressroom_nowhere"},
        "steps": [READ, {"name": "look", "by": "webhook", **GATE}, PAGE],
    },
    "incomplete": {
        "text": {"connection": "pressroom_nowhere"},
        "steps": [
            READ,
            {"name": "write", "type": "ai", "prompt": "Retell this. Title: {{ item.title | data }}"},
            {**BLOG, "connection": "pressroom_wrong_password"},
            {"name": "tell", "type": "ping", "connection": "pressroom_nobody"},
        ],
    },
    "abandoned": {"steps": [READ, LOOK, PAGE]},
    **{slug: {"steps": [READ, SAY, LOOK, PAGE]} for slug in EDITED},
    "edited-before": {"steps": [READ, PAGE]},
    "beside-bad": {"steps": [PAGE]},
    "awaited": {"steps": [READ, LOOK, PAGE]},
    "crowded": {"steps": [{"name": "look", "by": "webhook", **GATE}]},
    "inbound": {"trigger": {"webhook": "pressroom_inbound"}, "steps": [PAGE]},
}  # fmt: skip


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test's time is its own, if it does not say otherwise: the first one would pay for the start of
    Airflow, which has time-outs of its own.
    """
    marker = item.get_closest_marker("timeout")
    if marker and "func_only" not in marker.kwargs:
        item.add_marker(pytest.mark.timeout(*marker.args, func_only=True), append=False)


@pytest.fixture(scope="package")
def model() -> Iterator[ScriptedOpenAI]:
    """The scripted model server."""
    with ScriptedOpenAI() as server:
        yield server


@pytest.fixture(scope="package")
def providers() -> Iterator[Mapping[str, ScriptedOpenAI]]:
    """A server in the dialect of each provider."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(ScriptedOpenAI()) for name in PROVIDERS}
        for name, server in servers.items():
            server.script.update({"dialect": name})
        yield servers


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    """What flows fetch from, publish to and tell things."""
    with running_outside() as found:
        yield found


@pytest.fixture(scope="package")
def simulators() -> Iterator[dict[str, str]]:
    """A simulator for each mission of the walk, which moves its clock: slug → URL."""
    with ExitStack() as stack:
        yield {
            route.slug: stack.enter_context(served(build_app(SimulatedScheduler(), Audience(1))))
            for route in to_walk()
            if route.kind == MISSION
        }


@pytest.fixture(scope="package")
def provider_of_batches() -> Iterator[tuple[StrictBatches, str]]:
    """A provider with a batch endpoint, and its base URL."""
    server = StrictBatches()
    with served(server.app) as url:
        yield server, f"{url}/v1"


@pytest.fixture(scope="package")
def services(
    request: pytest.FixtureRequest,
    model: ScriptedOpenAI,
    providers: Mapping[str, ScriptedOpenAI],
    outside: Outside,
    simulators: dict[str, str],
    provider_of_batches: tuple[StrictBatches, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalServices]:
    """The running services, with the sites, missions and flows of all tests that share them applied."""
    slugs = slugs_of(request.session.items)
    walk = {route.slug for route in to_walk()}
    assert slugs <= SITES.keys() | MISSIONS.keys() | FLOWS.keys() | walk | {ACCOUNT}
    connection: dict[str, Any] = {
        "conn_type": "generic", "host": model.base_url, "password": "not-a-secret",
        "extra": {"model": "scripted-1", "timeout_seconds": 3,
                  "prices": {"input_cents_per_million": 1000, "output_cents_per_million": 1000}},
    }  # fmt: skip

    def prepare(url: str) -> None:
        migrate(url)
        for slug in sorted(slugs & SITES.keys()):
            apply_site(url, slug, **SITES[slug])
        for slug in sorted(slugs & MISSIONS.keys()):
            apply_mission(url, slug, **MISSIONS[slug])
        for slug in sorted(slugs & FLOWS.keys()):
            settings = {key: value for key, value in FLOWS[slug].items() if key != "slug"}
            apply_flow(url, outside.web, slug, **settings)
        walked = [route for route in to_walk() if route.slug in slugs]
        with Store(url) as store:
            apply_documents(store, *(account(route.slug) for route in walked), *map(definition, walked))
        if ACCOUNT in slugs:
            write_by_hand(url, tmp_path_factory.mktemp("hostile"))

    patient = {**connection, "extra": {**connection["extra"], "timeout_seconds": 600}}
    nobody = {**connection, "host": "http://127.0.0.1:9/v1"}
    halved = {"input_cents_per_million": 1000, "output_cents_per_million": 1000, "batch_share": 0.5}
    provider = {
        **connection, "host": provider_of_batches[1],
        "extra": {"model": "m", "timeout_seconds": 3, "prices": halved},
    }  # fmt: skip
    env = {
        "AIRFLOW_CONN_PRESSROOM_BATCHES": json.dumps(provider),
        "AIRFLOW_CONN_PRESSROOM_BACKED": json.dumps(
            {**provider, "extra": {**provider["extra"], "fallback": "pressroom_text"}}
        ),
        "AIRFLOW_CONN_PRESSROOM_TEXT": json.dumps(connection),
        "AIRFLOW_CONN_PRESSROOM_UNREACHABLE": json.dumps(nobody),
        f"AIRFLOW_CONN_{PATIENT.upper()}": json.dumps(patient),
        **{
            f"AIRFLOW_CONN_{connection_of(slug).upper()}": json.dumps(simulator_connection(simulator))
            for slug, simulator in simulators.items()
        },
        **{
            f"AIRFLOW_CONN_PRESSROOM_{name.upper()}": json.dumps(
                {**connection, "host": server.base_url,
                 "extra": {"model": "scripted-1", "timeout_seconds": 30, "prices": PRICES}}
            )
            for name, server in providers.items()
        },
        **outside.env,
        # To Airflow an operator, and in no account a member.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"admin:admin,{STRANGER}:op",
    }  # fmt: skip
    with throwaway_root() as root:
        # No definition changes after the start, so nothing but the tests needs the processor's time.
        env["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = "120"
        # A test is a chain of short tasks, and most of its time goes into the hops between them.
        env["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"] = "0.25"
        # The walk holds a task in many runs at once.
        services = LocalServices(root, extra_env=env, model=False, prepare=prepare, parallelism=16)
        with services:
            yield services


@pytest.fixture
def newsroom(
    request: pytest.FixtureRequest, services: LocalServices, model: ScriptedOpenAI
) -> Iterator[Newsroom]:
    """The site named by the test's ``site`` marker, and a model server that answers well."""
    marker = request.node.get_closest_marker("site")
    assert marker, "name the test's site: @pytest.mark.site(…)"
    model.script.clear()
    with Newsroom(marker.args[0], services, model) as opened:
        yield opened


@pytest.fixture
def campaign(
    request: pytest.FixtureRequest, services: LocalServices, model: ScriptedOpenAI
) -> Iterator[Campaign]:
    """The mission of the test's ``site`` marker, and a model and a simulator without faults."""
    marker = request.node.get_closest_marker("site")
    assert marker
    model.script.clear()
    with Campaign(marker.args[0], services, model) as opened:
        yield opened


@pytest.fixture
def desk(
    request: pytest.FixtureRequest, services: LocalServices, model: ScriptedOpenAI, outside: Outside
) -> Iterator[Desk]:
    """The flow of the test's ``site`` marker, and a model that answers well."""
    marker = request.node.get_closest_marker("site")
    assert marker
    model.script.clear()
    with Desk(marker.args[0], services, model, outside) as opened:
        yield opened


@pytest.fixture(scope="module")
def call(services: LocalServices) -> Iterator[Caller]:
    """The administrator's client of the control API."""
    caller = Caller(services)
    with caller.http:
        yield caller


@pytest.fixture(scope="package")
def keywords_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small keyword list."""
    file = tmp_path_factory.mktemp("lists") / "keywords.csv"
    file.write_text("keyword\n" + "\n".join(KEYWORDS) + "\n", encoding="utf-8")
    return file
