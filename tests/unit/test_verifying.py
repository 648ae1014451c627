"""What runs need, and what verifying it finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.engine.runs.verifying import CheckResult, summary, verify
from pressroom.pipelines.registry import PUBLISH, pipeline_of

NAMED = {"account": "acme", "slug": "one", "name": "One"}
SITE = Site.model_validate(
    {**NAMED, "publish": {"targets": [{"to": "wordpress", "settings": {"categories": ["News"]}}]}}
)
MISSION = Mission.model_validate({**NAMED, "objectives": ["be known"], "platforms": ["twitter"]})
READ = {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}}
WRITE = {"name": "write", "type": "ai", "prompt": "Write."}
DRAW = {"name": "draw", "type": "media", "prompt": "Draw."}
PAGE = {"name": "page", "type": "publish", "to": "static_site", "mode": "auto"}
TELL = {"name": "tell", "type": "ping", "connection": "hook"}


class FakeProbe:
    """``asked``: every check, in order. ``answers``: what one does, by its name: a text, an error, a wait."""

    def __init__(self, **answers: str | float | Exception) -> None:
        self.asked: list[str] = []
        self.answers = answers

    async def _answer(self, name: str) -> str:
        self.asked.append(name)
        found = self.answers.get(name.split()[0], "")
        if isinstance(found, float):
            await asyncio.sleep(found)
            return ""
        if isinstance(found, Exception):
            raise found
        return str(found)

    async def text(self) -> str:
        return await self._answer("text")

    async def embeddings(self) -> str:
        return await self._answer("embeddings")

    async def images(self) -> str:
        return await self._answer("images")

    async def media(self) -> str:
        return await self._answer("media")

    async def target(self, to: Any, settings: Mapping[str, Any]) -> str:
        return await self._answer(f"target {to.to} {' '.join(map(str, settings.values()))}".strip())

    async def pictures(self, to: Any) -> str:
        return await self._answer(f"pictures {to.to}")

    async def receiver(self, connection: str) -> str:
        return await self._answer(f"receiver {connection}")

    async def source(self, source: Any) -> str:
        return await self._answer(f"source {source.type}")


def flow(*steps: dict[str, Any]) -> Flow:
    return Flow.model_validate({**NAMED, "steps": list(steps)})


def gate(by: str) -> dict[str, Any]:
    return {"name": "look", "type": "gate", "by": by, "notify": "desk"}


def found(workflow: Workflow, probe: FakeProbe, part: str = "", seconds: float = 5) -> list[CheckResult]:
    run = Run(Account(slug="acme", name="Acme"), workflow, None, 3, 1, 2)
    return asyncio.run(verify(pipeline_of(workflow, part), run, probe, seconds))


@pytest.mark.parametrize(
    ("workflow", "part", "asked"),
    [
        pytest.param(SITE, "", {"text", "images", "media"}, id="writing needs no target"),
        pytest.param(
            SITE, PUBLISH, {"media", "target wordpress ['News']", "pictures wordpress"},
            id="publishing needs no model",
        ),
        pytest.param(
            MISSION, "", {"text", "images", "media", "target metricool twitter", "pictures metricool"},
            id="a mission",
        ),
        pytest.param(
            flow(READ, gate("webhook"), PAGE), "",
            {"source rss", "receiver desk", "target static_site"}, id="a flow without a model",
        ),
        pytest.param(
            flow(WRITE, DRAW, PAGE, TELL), "",
            {"text", "images", "media", "target static_site", "pictures static_site", "receiver hook"},
            id="a flow with one",
        ),
    ],
)  # fmt: skip
def test_only_what_a_run_needs_is_verified_and_each_thing_once(
    workflow: Workflow, part: str, asked: set[str]
) -> None:
    probe = FakeProbe()
    assert found(workflow, probe, part) == []
    assert sorted(probe.asked) == sorted(asked)


def test_all_problems_are_found_at_once_each_with_the_stages_that_have_it() -> None:
    probe = FakeProbe(text=ConfigurationError("no such model"), media=ConfigurationError("the root is shut"))
    findings = found(SITE, probe)
    assert findings == [
        CheckResult("clusters, ideas, content, image_prompts", "no such model", problem=True),
        CheckResult("images", "the root is shut", problem=True),
    ]
    assert summary(findings).splitlines() == [
        "the set-up is incomplete; nothing was spent:",
        "clusters, ideas, content, image_prompts: no such model",
        "images: the root is shut",
    ]


def test_what_may_pass_and_what_is_only_worth_knowing_is_no_problem() -> None:
    probe = FakeProbe(
        text=TransientError("503"), images="its price is unknown", media=KeyError("a defect"),
        pictures=PermanentError("no URL"),
    )  # fmt: skip
    problems, *others = found(MISSION, probe)
    assert (problems.text, problems.problem) == ("no URL", True)
    assert {finding.text for finding in others} == {
        "it cannot be verified now: 503", "its price is unknown",
        "it cannot be verified: unexpected KeyError",
    }  # fmt: skip
    assert not any(finding.problem for finding in others)


def test_checks_go_side_by_side_and_none_takes_for_ever() -> None:
    probe = FakeProbe(text=60.0, images=60.0, media=0.2)
    began = time.monotonic()
    findings = found(SITE, probe, seconds=0.4)
    assert time.monotonic() - began < 2
    assert [finding.text for finding in findings] == [
        "no answer within 0.4 seconds, so it is not verified"
    ] * 2


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        pytest.param([PAGE, TELL], False, id="a ping stops nothing"),
        pytest.param([gate("approval"), PAGE], False, id="an approval can be given on Airflow's page"),
        pytest.param([gate("webhook"), PAGE], True, id="without its link nobody opens the gate"),
        pytest.param(
            [{**TELL, "connection": "desk"}, gate("webhook"), PAGE], True, id="what one step needs counts"
        ),
    ],
)
def test_a_receiver_counts_where_the_flow_depends_on_it(steps: list[dict[str, Any]], problem: bool) -> None:
    [finding] = found(flow(*steps), FakeProbe(receiver=ConfigurationError("no secret to sign with")))
    assert finding.problem is problem


@pytest.mark.parametrize(("on_failure", "problem"), [("stop", True), ("continue", False)])
def test_more_material_counts_where_its_failure_stops_the_item(on_failure: str, problem: bool) -> None:
    more = {**READ, "name": "more", "on_failure": on_failure}
    [finding] = found(flow(PAGE, more), FakeProbe(source=PermanentError("a private address")))
    assert finding.problem is problem


def test_a_target_of_a_site_that_is_wrong_does_not_hold_the_others() -> None:
    wrong = found(SITE, FakeProbe(target=ConfigurationError("wrong password")), PUBLISH)
    assert [(finding.problem, finding.refuses) for finding in wrong] == [(True, False)]
    wrong = found(SITE, FakeProbe(media=ConfigurationError("the root is shut")), PUBLISH)
    assert [(finding.problem, finding.refuses) for finding in wrong] == [(True, True)]
