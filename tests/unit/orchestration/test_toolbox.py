"""A run's tools are opened when they are asked for: what a run does without may be missing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.flows import Flow
from pressroom.domain.grants.access import EVERYTHING, Access
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.engine.money.ledger import CostScope
from pressroom.orchestration.tools.connections import OF_TASK, Connections, of_triggerer
from pressroom.orchestration.tools.toolbox import Toolbox

NAMED = {"account": "acme", "slug": "one", "name": "One"}
PAGE = {"name": "page", "type": "publish", "to": "static_site", "mode": "auto", "connection": "pages"}
FLOW = Flow.model_validate({**NAMED, "steps": [PAGE]})
SITE = Site.model_validate(NAMED)
MISSION = Mission.model_validate({**NAMED, "objectives": ["be known"], "platforms": ["twitter"]})
SCOPE = CostScope(1, 2, 3, "stage", "item")

STORE: Any = SimpleNamespace()


def connection(**fields: Any) -> Any:
    empty = dict.fromkeys(("host", "schema", "port", "login", "password"))
    return SimpleNamespace(**{**empty, "extra_dejson": {}, **fields})


ANYTHING = Access("acme", frozenset({EVERYTHING}))


class Looked:
    """Connections in a dict. ``asked``: every look-up, in order."""

    def __init__(self, **known: Any) -> None:
        self.known, self.asked = known, list[str]()
        self.connections = Connections(self._read, lambda name: None, (KeyError,))

    def _read(self, name: str) -> Any:
        self.asked.append(name)
        return self.known[name]


def box(workflow: Workflow, looked: Looked, access: Access = ANYTHING) -> Toolbox:
    run = Run(Account(slug="acme", name="Acme"), workflow, None, 3, 1, 2, access=access)
    return Toolbox(STORE, run, looked.connections)


def test_nothing_is_looked_up_before_it_is_asked_for(tmp_path: Any) -> None:
    looked = Looked(pages=connection(host=str(tmp_path)))

    async def publish() -> None:
        async with box(FLOW, looked) as opened:
            tools = opened.bound(SCOPE)
            assert looked.asked == []
            [step] = FLOW.steps
            first: Any = tools.outside.target(step)  # type: ignore[arg-type]
            assert opened.bound(SCOPE).outside.target(step) is first  # type: ignore[arg-type]
            assert tools.outside.condition("true").holds({})

    asyncio.run(publish())
    assert looked.asked == ["pages"]


def test_what_is_missing_is_reported_when_it_is_needed() -> None:
    tools = box(SITE, Looked()).bound(SCOPE)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="'pressroom_text' does not exist: add it to"):
            tools.text  # noqa: B018
    with pytest.raises(ConfigurationError, match="no place for media: set the Airflow variable"):
        tools.media  # noqa: B018
    assert tools.images.model
    with pytest.raises(TypeError, match="is no mission"):
        tools.social  # noqa: B018


def test_a_tool_is_opened_once_for_all_items_and_closed_with_the_toolbox() -> None:
    looked = Looked(pressroom_text=connection(host="http://127.0.0.1:9/v1", extra_dejson={"model": "m"}))
    closed: list[str] = []

    async def work() -> None:
        async with box(SITE, looked) as opened:

            async def item(name: str) -> str:
                await asyncio.sleep(0)
                return opened.bound(CostScope(1, 2, 3, "content", name)).text.model

            assert await asyncio.gather(*map(item, "abc")) == ["m"] * 3

            async def aclose() -> None:
                closed.append("text")

            opened.text.engines[0].model.aclose = aclose  # type: ignore[attr-defined]

    asyncio.run(work())
    assert (looked.asked, closed) == (["pressroom_text"], ["text"])


def test_only_a_mission_goes_by_its_schedulers_clock() -> None:
    looked = Looked()
    assert asyncio.run(box(SITE, looked).clock.now()).tzinfo
    assert looked.asked == []
    with pytest.raises(ConfigurationError, match="'pressroom_metricool' does not exist"):
        box(MISSION, looked).clock  # noqa: B018


def test_the_triggerer_reads_beforehand_and_reports_what_is_missing_at_its_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_READ_AHEAD", '{"conn_type": "http", "host": "h.example", "password": "p"}'
    )
    found = asyncio.run(of_triggerer(["read_ahead"]))
    assert found.fields("read_ahead")["host"] == "h.example"
    with pytest.raises(ConfigurationError, match=r"'other' does not exist: .* or set AIRFLOW_CONN_OTHER"):
        found.fields("other")


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", "postgresql://here/db")
    monkeypatch.setenv("PRESSROOM_MEDIA_ROOT", "/srv/media")
    monkeypatch.setenv("PRESSROOM_ALLOW_HOSTS", " one.example, ,two.example")
    assert OF_TASK.database_url() == "postgresql://here/db"
    assert OF_TASK.media_root() == "/srv/media"
    assert OF_TASK.hosts() == ["one.example", "two.example"]
