"""Checks of a set-up, over HTTP and on the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.definitions.applying import apply
from pressroom.definitions.loading import Located
from pressroom.domain.definitions import Account, ImageSettings, Site
from pressroom.domain.errors import TransientError
from pressroom.engine.runs.verifying import CheckResult, ModelFacts
from pressroom.store.database import Store
from pressroom.store.workflows import workflow
from tests.support.control_world import Control
from tests.support.flow_world import FETCH, PING, make_flow
from tests.support.mission_world import make_mission

pytestmark = pytest.mark.integration

WRONG = CheckResult("content", "connection 'pressroom_text': the server has no model 'x'", problem=True)
TERRA = ModelFacts("pressroom_text", "terra", "free", "JSON by json_object, system role", "no tool calls")
STANDS_IN = ModelFacts("elsewhere", "luna", "unknown", "", "nothing yet; its first call learns what it takes")
USED = CheckResult("text", str(TERRA), problem=False, model=TERRA)
MAYBE = CheckResult("tell", "connection 'hook' does not exist", problem=False)


async def test_problems_and_warnings_are_told_apart(control: Control) -> None:
    control.plane.findings = [WRONG, MAYBE, USED]
    site = f"/sites/{control.world.site_id}/check"
    assert (await control("POST", site, expect=200)).json() == {
        "problems": [{"where": WRONG.where, "text": WRONG.text}],
        "warnings": [{"where": MAYBE.where, "text": MAYBE.text}],
        "models": [
            {
                "where": "text",
                "connection": "pressroom_text",
                "model": "terra",
                "price": "free",
                "asked": "JSON by json_object, system role",
                "learned": "no tool calls",
            }
        ],
    }


async def test_every_part_of_every_kind_is_checked(control: Control) -> None:
    world = control.world
    mission = make_mission(world.url, world.store, slug="launch")
    flow = make_flow(world.url, world.store, FETCH, PING)
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE sites SET definition = jsonb_set(definition, '{publish}', %s) WHERE id = %s",
            [json.dumps({"targets": [{"to": "static_site"}]}), world.site_id],
        )
    for path in (
        f"/sites/{world.site_id}", f"/missions/msn_{mission.mission_id}", f"/flows/flw_{flow.flow_id}",
    ):  # fmt: skip
        assert (await control("POST", f"{path}/check", expect=200)).json() == {
            "problems": [],
            "warnings": [],
            "models": [],
        }
    names = [name.partition("/")[0] + (f"/{part}" if part else "") for name, part in control.plane.checked]
    assert names == ["site", "site/publish", "mission", "flow"]


async def test_checks_that_wait_for_services_leave_threads_to_the_others(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.BoundedSemaphore(1)
    monkeypatch.setattr("pressroom.api.resources.checks._free", free)
    site = f"/sites/{control.world.site_id}/check"
    with free:
        refused = await control("POST", site, expect=429)
        assert refused.headers["Retry-After"] == "30"
    await control("POST", site, expect=200)
    with monkeypatch.context() as patch:
        patch.setattr(type(control.plane), "check", broken)
        await control("POST", site, expect=503)
    await control("POST", site, expect=200)


def broken(*_: object) -> list[CheckResult]:
    raise TransientError("Airflow's database is away")


@pytest.mark.parametrize(
    ("problems", "warnings", "code", "said"),
    [
        ([], [], 0, ["site/garden: ready to run"]),
        ([], [MAYBE], 0, [f"warning: {MAYBE}", "site/garden: ready to run"]),
        ([WRONG], [MAYBE], 1, [f"problem: {WRONG}", f"warning: {MAYBE}"]),
    ],
)
def test_the_command_asks_the_api_server_and_exits_with_1_for_problems(
    store: Store,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    problems: list[CheckResult],
    warnings: list[CheckResult],
    code: int,
    said: list[str],
) -> None:
    asked = api_server(store, database_url, monkeypatch, problems, warnings)
    result = CliRunner().invoke(app, ["check", "garden"])
    assert (result.exit_code, result.output.splitlines()) == (code, said)
    with store.transaction() as tx:
        site = workflow(tx, "site/garden").workflow_id
    assert asked == ["/auth/token", f"/pressroom/api/v1/sites/{site}/check"]


def test_the_command_shows_what_was_learned_of_the_model_and_forgets_it(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = ImageSettings(provider="openai", connection="pressroom_pictures")
    api_server(store, database_url, monkeypatch, [], [], images=drawn)
    with store.transaction() as tx:
        for connection, model, learned in (
            ("pressroom_text", "claude", {"temperature": False, "head_room": 4096}),
            ("pressroom_text", "plain", {}),
            ("pressroom_pictures", "grok-imagine", {"size": False}),
        ):
            tx.run(
                "learn_dialect", connection=connection, server="https://x/v1", model=model, learned=learned
            )
    shown = CliRunner().invoke(app, ["check", "garden"]).output.splitlines()
    other, where = "learned of another model", "connection 'pressroom_text'"
    assert sorted(shown) == [
        f"{other}: claude, {where}: no temperature; 4096 tokens more for thoughts",
        f"{other}: grok-imagine, connection 'pressroom_pictures': no size of pictures",
        f"{other}: plain, {where}: nothing that differs from OpenAI's API",
        "site/garden: ready to run",
    ]
    for options in (["--forget"], []):
        shown = CliRunner().invoke(app, ["check", "garden", *options]).output.splitlines()
        assert shown == ["site/garden: ready to run"]


def test_the_command_shows_what_the_models_cost_and_that_the_check_is_free(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_server(store, database_url, monkeypatch, [], [], used_models=[TERRA, STANDS_IN])
    with store.transaction() as tx:
        for model, learned in (("terra", {"native_tools": False}), ("old", {"temperature": False})):
            tx.run(
                "learn_dialect", connection="pressroom_text", server="https://x/v1", model=model,
                learned=learned,
            )  # fmt: skip
    assert CliRunner().invoke(app, ["check", "garden"]).output.splitlines() == [
        "text: terra, connection 'pressroom_text'",
        "  price: free",
        "  asked with: JSON by json_object, system role",
        "  learned: no tool calls",
        "text: luna, connection 'elsewhere'",
        "  price: unknown",
        "  learned: nothing yet; its first call learns what it takes",
        "learned of another model: old, connection 'pressroom_text': no temperature",
        "cost of this check: 0 cents",
        "site/garden: ready to run",
    ]


def test_what_was_learned_of_a_fallback_is_forgotten_too(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = api_server(store, database_url, monkeypatch, [], [], used_models=[TERRA, STANDS_IN])
    with store.transaction() as tx:
        for connection, model in (("pressroom_text", "terra"), ("elsewhere", "luna"), ("theirs", "sol")):
            tx.run(
                "learn_dialect", connection=connection, server="https://x/v1", model=model,
                learned={"temperature": False},
            )  # fmt: skip
            tx.run("connection_away", connection=connection, lasts=timedelta(hours=1))
    assert CliRunner().invoke(app, ["check", "garden", "--forget"]).exit_code == 0
    with store.transaction() as tx:
        named = ("pressroom_text", "elsewhere", "theirs")
        kept = [len(tx.rows("learned_dialects", connection=connection)) for connection in named]
        assert kept == [0, 0, 1]
        assert tx.values("connections_away", connections=list(named)) == ["theirs"]
    # What is shown is what is known after it.
    assert [path.rpartition("/")[2] for path in asked].count("check") == 2


def api_server(
    store: Store,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    problems: list[CheckResult],
    warnings: list[CheckResult],
    images: ImageSettings | None = None,
    used_models: list[ModelFacts] | None = None,
) -> list[str]:
    """A site, and an API server that finds this of it. Returns the paths that it is asked, as they come."""
    site = Site(account="acme", slug="garden", name="Garden", images=images or ImageSettings())
    apply(store, [Located(Account(slug="acme", name="Acme"), "a.yaml", 1, {}),
                  Located(site, "a.yaml", 2, {})])  # fmt: skip
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        views = {
            name: [{"where": one.where, "text": one.text} for one in found]
            for name, found in (("problems", problems), ("warnings", warnings))
        }
        models = [{"where": "text", **vars(used)} for used in used_models or []]
        return httpx.Response(200, json=views | {"models": models})

    plain: Callable[..., httpx.Client] = httpx.Client

    def client(**options: object) -> httpx.Client:
        return plain(**{**options, "transport": httpx.MockTransport(answer)})

    monkeypatch.setattr(httpx, "Client", client)
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)
    monkeypatch.setenv("PRESSROOM_AIRFLOW_URL", "http://airflow.example")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_USER", "ann")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_PASSWORD", "p")
    return asked
