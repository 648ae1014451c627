"""A model that the price table may lack, under a cap of one cent: it is refused before it is asked."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.errors import CapReached, ConfigurationError
from pressroom.domain.model import ImageRequest, Prompt
from pressroom.engine.models.images import ImageEngine
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import Caps, CostScope
from tests.support.model_desk import ModelDesk, Note, completion, note, raw

pytestmark = pytest.mark.integration

MODELS = [
    "o1-pro", "gpt-4-turbo", "gpt-5-codex", "ft:gpt-4-turbo:acme::1", "ft:unheard-of:acme::1",
    "my-deployment", "GPT-9-PRO", "vendor/o1-pro:nitro",
]  # fmt: skip
IMAGE_MODELS = ["gpt-image-9", "dall-e-99", "vendor/a-picture"]
TRIES = 20


@pytest.fixture(autouse=True)
def paid(desk: ModelDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers all, and is none of this machine, which would be free."""
    monkeypatch.setattr(ConnectionSettings, "is_local", False)
    desk.answers(raw(completion(note())))


def scope(desk: ModelDesk, run: int, cap: str) -> CostScope:
    world = desk.world
    return CostScope(world.account_id, world.site_id, run, "ideas", "1", Caps(**{cap: Decimal(1)}))


CAPS = [field.name for field in dataclasses.fields(Caps)]


@pytest.mark.parametrize("cap", CAPS)
async def test_no_text_is_asked_for(desk: ModelDesk, cap: str) -> None:
    run = desk.world.run().id
    for model in MODELS:
        settings = desk.settings(prices=None)
        async with OpenAIText(settings, model) as asked:
            price = text_price(settings, model)
            engine = TextEngine(asked, desk.world.store, price, settings.limits)
            bound = engine.bound(scope(desk, run, cap), 0.7)
            for _ in range(TRIES):
                with pytest.raises((ConfigurationError, CapReached)):
                    await bound.generate(Prompt("note", "You write.", "Write.", max_tokens=20_000), Note)
    assert desk.server.script.calls == 0
    assert desk.spent == 0


@pytest.mark.parametrize("cap", CAPS)
async def test_no_picture_is_asked_for(desk: ModelDesk, cap: str) -> None:
    run = desk.world.run().id
    for model in IMAGE_MODELS:
        async with OpenAIImages(desk.settings(prices=None), model) as asked:
            bound = ImageEngine(asked, desk.world.store).bound(scope(desk, run, cap))
            for _ in range(TRIES):
                with pytest.raises((ConfigurationError, CapReached)):
                    await bound.draw(ImageRequest("a hedge", "Hedges", 1024, 1024))
    assert desk.server.script.calls == 0
    assert desk.spent == 0
