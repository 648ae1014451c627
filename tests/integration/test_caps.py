"""A cap in cents holds, for every model; the real SDK, engine and ledger."""

from __future__ import annotations

import base64
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.domain.errors import CapReached, ConfigurationError, TransientError
from pressroom.domain.model import ImageRequest, RateLimits
from pressroom.engine.models.images import ImageEngine
from pressroom.engine.money import metering
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.engine.money.metering import Meter
from pressroom.engine.money.rate_limit import RateLimiter
from tests.support.model_desk import PAID, ModelDesk, completion, note, raw

pytestmark = pytest.mark.integration


@pytest.fixture
def desk(desk: ModelDesk) -> ModelDesk:
    desk.answers(raw(completion(note())))
    desk.max_tokens = 1024  # so more than two cents are held for a call
    return desk


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not on this machine, so it is not free."""
    monkeypatch.setattr(ConnectionSettings, "is_local", False)


UNPRICED = [
    "my-azure-deployment", "some-vendor/new-model", "gpt-7", "openai/gpt-oss-120b", "mistral-huge",
]  # fmt: skip


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("model", UNPRICED)
def test_a_model_without_a_price_is_not_called_under_a_cap(desk: ModelDesk, model: str) -> None:
    keys = desk.items(6)
    with pytest.raises(ConfigurationError) as caught:
        desk.write(keys, cap_cents=5, model=model, prices=None)
    assert f"the price of {model!r} is unknown" in str(caught.value)
    assert "put its prices into the connection's extra, as prices" in str(caught.value)
    assert "as base_model" in str(caught.value)
    assert desk.server.script.calls == 0
    assert desk.world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    # With the setting, the same items are written.
    assert desk.write(keys, cap_cents=50, model=model, prices=None, base_model="gpt-5.4").done == 6


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("model", ["openai/gpt-5.4", "gpt-5.4-2026-03-05", "anthropic/claude-opus-4.8"])
def test_a_cap_holds_for_a_model_by_any_of_its_names(desk: ModelDesk, model: str) -> None:
    used = {"prompt_tokens": 1000, "completion_tokens": 700, "total_tokens": 1700}
    desk.answers(raw(completion(note(), usage=used)))
    report = desk.write(desk.items(8), cap_cents=5, concurrency=1, model=model, prices=None)
    [[spent]] = desk.world.sql("SELECT spent_cents FROM accounts")
    assert 0 < report.done < 8
    assert 0 < spent <= 5
    assert "the run cap of 5 cents is reached" in report.reason


@pytest.mark.usefixtures("far")
def test_without_a_cap_the_run_says_once_that_a_price_is_unknown(desk: ModelDesk) -> None:
    assert desk.write(desk.items(6), model="made-up", prices=None).done == 6
    [(kind, line)] = desk.events
    assert kind == "price_unknown"
    assert "the price of 'made-up' is unknown, so its calls are booked at 0 cents" in line
    assert desk.write(desk.items(2), model="made-up", prices=None).done == 2
    assert [kind for kind, _ in desk.events] == ["price_unknown"] * 2
    assert desk.write(desk.items(2)).done == 2
    assert [kind for kind, _ in desk.events] == ["price_unknown"] * 2


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_calls_in_flight_hold_is_waited_for(desk: ModelDesk, concurrency: int) -> None:
    desk.server.script.update({"latency": 0.05})
    report = desk.write(desk.items(12), cap_cents=6, concurrency=concurrency)
    assert report.done == 12  # 2.4 cents, while 8 at once would hold more than 16
    assert report.reason == ""
    assert desk.world.sql("SELECT spent_cents FROM accounts") == [(12 * PAID,)]
    assert desk.held == (0, 0)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_cap_is_never_passed_and_says_what_is_spent_and_held(desk: ModelDesk, concurrency: int) -> None:
    report = desk.write(desk.items(30), cap_cents=4, concurrency=concurrency)
    [[spent]] = desk.world.sql("SELECT spent_cents FROM accounts")
    assert spent == report.done * PAID
    # It ends when what is really spent leaves no room for one more call, and not earlier.
    assert Decimal("1.4") < spent <= 2
    assert "the run cap of 4 cents is reached: " in report.reason
    assert " spent, " in report.reason
    assert " held for calls in flight, and the next call may cost " in report.reason
    assert desk.held == (0, 0)


async def test_a_picture_that_is_drawn_and_lost_is_booked(desk: ModelDesk) -> None:
    desk.answers(raw({"created": 1, "data": [{"url": f"{desk.server.base_url}/nothing.png"}]}))
    world = desk.world
    scope = CostScope(world.account_id, world.site_id, world.run().id, "images", "1", Caps(run=Decimal(8)))
    prices = {"cents_per_image": 5}
    async with OpenAIImages(desk.settings(prices=prices), "some-image-model") as provider:
        drawing = ImageEngine(provider, world.store).bound(scope)
        with pytest.raises(TransientError, match="cannot be fetched"):
            await drawing.draw(ImageRequest("a hedge", "Hedges", 1024, 1024))
        with pytest.raises(CapReached, match=r"5\.0000 spent, 0\.0000 held"):
            await drawing.draw(ImageRequest("a hedge", "Hedges", 1024, 1024))
    assert world.sql("SELECT outcome, cents FROM ai_calls") == [("TransientError", Decimal(5))]
    assert desk.held == (0, 0)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"b64_json": PIXEL}, id="base64"),
        pytest.param({"b64_json": f"{PIXEL[:76]}\r\n{PIXEL[76:]}"}, id="line breaks"),
        pytest.param({"b64_json": None, "url": f"data:image/png;base64,{PIXEL}"}, id="a data address as URL"),
        pytest.param({"b64_json": f"data:image/png;base64,{PIXEL}"}, id="a data address"),
    ],
)
async def test_a_picture_in_any_form_is_drawn_and_booked_once(desk: ModelDesk, entry: dict[str, Any]) -> None:
    desk.answers(raw({"created": 1, "data": [entry]}))
    world = desk.world
    scope = CostScope(world.account_id, world.site_id, world.run().id, "images", "1")
    async with OpenAIImages(desk.settings(prices={"cents_per_image": 5}), "some-image-model") as provider:
        drawn = (
            await ImageEngine(provider, world.store)
            .bound(scope)
            .draw(ImageRequest("a hedge", "Hedges", 1024, 1024))
        )
    assert drawn.data == base64.b64decode(PIXEL)
    assert world.sql("SELECT outcome, cents FROM ai_calls") == [("ok", Decimal(5))]
    assert (desk.spent, desk.held) == (Decimal(5), (0, 0))


async def test_cents_that_nobody_gives_back_are_not_waited_for_without_end(
    desk: ModelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "WAIT_SECONDS", 0.3)
    world = desk.world
    scope = CostScope(
        world.account_id, world.site_id, world.run().id, "ideas", "1", Caps(account_total=Decimal(5))
    )
    limiter = RateLimiter(world.store, "text", RateLimits())
    meter = Meter(world.store, limiter, connection="text", model="m", kind="text")
    lost = await meter.prepare(scope, Decimal(4))
    with pytest.raises(
        CapReached, match=r"account total cap of 5 cents is reached: 0.0000 spent, 4.0000 held"
    ):
        await meter.prepare(replace(scope, item="2"), Decimal(2))
    meter.release(scope, lost.held)
    assert (await meter.prepare(replace(scope, item="2"), Decimal(2))).held == 2
