"""The mission pipeline's tables: its stages and what each says, and which errors are tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.metrics import MetricoolMetrics
from pressroom.definitions.loading import read_text
from pressroom.domain.errors import (
    ConfigurationError,
    DefinitionError,
    PermanentError,
    TransientError,
)
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.store.database import Store

START, END = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)

STAGES = ["intake", "strategy", "content", "publish", "analytics", "optimize"]


def test_six_stages_in_order_each_depending_on_the_one_before() -> None:
    assert [stage.name for stage in MISSION.stages] == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_public_output(stage: str) -> None:
    assert MISSION.stage(stage).output is not None


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_can_be_undone(stage: str) -> None:
    assert MISSION.stage(stage).undo is not None


def test_only_analytics_runs_continuously() -> None:
    assert [stage.name for stage in MISSION.stages if stage.poll is not None] == ["analytics"]


def test_only_publish_waits_for_people() -> None:
    assert [stage.name for stage in MISSION.stages if stage.waits_for is not None] == ["publish"]


def test_content_is_written_in_batches_of_fifty() -> None:
    from pressroom.domain.missions import Mission
    from pressroom.engine.runs.batch import SAVE_TOGETHER

    mission = Mission(account="a", slug="b", name="c", objectives=["d"], platforms=[Platform.TWITTER])
    assert MISSION.stage("content").batch_items(mission) == SAVE_TOGETHER == 50


# Transient errors: automatically retried with exponential backoff ----------------------------------------


def settings() -> MetricoolSettings:
    return MetricoolSettings.from_connection(
        "social", host="http://metricool.test", password="token", extra={"user_id": 1, "blog_id": 1}
    )


async def asked(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    async with MetricoolMetrics(settings(), transport=httpx.MockTransport(answer)) as metricool:
        await metricool.status(START, END)


def times_out(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("network timeouts", times_out),
        ("rate limiting (429)", lambda request: httpx.Response(429, headers={"Retry-After": "7"})),
        ("provider temporary unavailability", lambda request: httpx.Response(503)),
    ],
)
async def test_transient(condition: str, answer: Callable[[httpx.Request], httpx.Response]) -> None:
    with pytest.raises(TransientError) as raised:
        await asked(answer)
    if condition == "rate limiting (429)":
        assert raised.value.retry_after == 7


def test_database_connection_errors_are_transient() -> None:
    with (
        Store("postgresql://nobody@127.0.0.1:9/none", patience=0.3) as store,
        pytest.raises(TransientError),
        store.transaction(),
    ):
        pass


# Permanent errors: immediate failure ------------------------------------------------------------------------


def test_an_invalid_mission_configuration_is_permanent_and_names_the_field() -> None:
    text = "kind: Mission\naccount: a\nslug: b\nname: c\nobjectives: [d]\nplatforms: [myspace]\n"
    _, problems = read_text(text, "m.yaml")
    assert len(problems) == 1
    assert problems[0].startswith("m.yaml:6: Mission b: platforms[0]: ")
    assert issubclass(DefinitionError, PermanentError)


async def test_authentication_failures_are_permanent() -> None:
    with pytest.raises(ConfigurationError) as raised:
        await asked(lambda request: httpx.Response(401))
    assert isinstance(raised.value, PermanentError)
    assert "token" not in str(raised.value)


def test_missing_required_data_is_permanent() -> None:
    with pytest.raises(PermanentError, match="blog_id"):
        MetricoolSettings.from_connection("social", password="token", extra={"user_id": 1})
