"""What tests of the Metricool adapter share: posts, scripted answers, and the simulator in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.adapters.targets.metricool.client import MetricoolSettings
from pressroom.adapters.targets.metricool.target import MetricoolTarget
from pressroom.domain.publishing import Picture, Piece
from pressroom.domain.social import Platform
from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.in_process import InProcess
from pressroom_dev.simulator.metricool import build_app
from pressroom_dev.simulator.scheduler import SimulatedScheduler

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TOKEN = "TOPSECRETTOKEN"
Handler = Callable[[httpx.Request], httpx.Response]


def settings(**changes: Any) -> MetricoolSettings:
    fields = {
        "host": "http://metricool.test",
        "password": TOKEN,
        "extra": {"user_id": 7, "blog_id": 42, **changes.pop("extra", {})},
        **changes,
    }
    return MetricoolSettings.from_connection("social", **fields)


def post(
    text: str = "Hello world",
    *,
    at: datetime | None = AT,
    pictures: Sequence[Picture] = (),
    network: Platform = Platform.LINKEDIN,
    **told: Any,
) -> Piece[MetricoolArguments]:
    return Piece("post:1", MetricoolArguments(network=network, text=text, **told), pictures, at)


def scripted(handler: Handler, **extra: Any) -> MetricoolTarget:
    return MetricoolTarget(settings(extra=extra), transport=httpx.MockTransport(handler))


class World:
    """The simulator in this process, a client of it, and a hand on its clock and faults."""

    def __init__(self, path: Path | None = None, **options: Any) -> None:
        self.desk = SimulatedScheduler(path, wall=lambda: NOW)
        self.transport = InProcess(build_app(self.desk, Audience(3), **options))
        self.settings = MetricoolSettings.from_connection(
            "social",
            host="http://simulator.test",
            extra={"user_id": 7, "blog_id": 42, "simulator": True, "pinterest_board": "9"},
        )
        self.target = MetricoolTarget(self.settings, transport=self.transport)
        self.metrics = self.target.metrics

    async def faults(self, *faults: dict[str, Any]) -> None:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://simulator.test") as client:
            answer = await client.post("/simulator/faults", json=list(faults))
            assert answer.status_code == 200

    def advance(self, **by: float) -> None:
        self.desk.advance(timedelta(**by))


@asynccontextmanager
async def simulated(path: Path | None = None, **options: Any) -> AsyncIterator[World]:
    world = World(path, **options)
    async with world.target:
        yield world
