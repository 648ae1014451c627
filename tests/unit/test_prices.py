"""The price table: what is in force when, and for which names."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, ending, image_price, text_price
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import Usage
from pressroom.domain.prices import ImagePrice, PriceTable, TextPrice, price_table

TODAY = date(2026, 11, 22)


def test_dated_names_find_their_family_and_no_other() -> None:
    table = price_table()
    mini = table.text("gpt-4.1-mini", TODAY)
    assert mini == TextPrice(Decimal(40), Decimal(10), Decimal(160), batch=Decimal("0.5"))
    assert table.text("gpt-4.1-mini-2025-04-14", TODAY) == mini
    assert table.text("gpt-4.1-mini-latest", TODAY) == mini
    assert table.text("gpt-4.1-2025-04-14", TODAY) != mini
    assert table.text("gpt-4.1-huge", TODAY) is None
    assert table.text("SmolLM2-135M-Instruct", TODAY) is None


def test_the_entry_in_force_on_the_day_counts() -> None:
    table = price_table()
    before = table.text("gpt-4o", date(2024, 9, 1))
    after = table.text("gpt-4o", date(2024, 10, 2))
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (Decimal(500), Decimal(250))
    assert table.text("gpt-4o", date(2024, 1, 1)) is None


def test_cost_counts_cached_tokens_once() -> None:
    price = TextPrice(Decimal(100), Decimal(10), Decimal(1000))
    assert price.cents(Usage(1_000_000, 500_000, cached_tokens=400_000)) == Decimal(60 + 4 + 500)
    assert price.cents(Usage(1, 0)) == Decimal("0.0001")
    assert price.cents(Usage(10, 0, cached_tokens=99)) == Decimal("0.0001")


def test_cost_counts_what_is_put_into_the_cache_once() -> None:
    price = TextPrice(Decimal(100), Decimal(10), Decimal(1000), cache_write=Decimal(125))
    used = Usage(1_000_000, 0, cached_tokens=400_000, cache_write_tokens=200_000)
    assert price.cents(used) == Decimal(40 + 4 + 25)
    assert price.cents(Usage(10, 0, cached_tokens=9, cache_write_tokens=9)) == Decimal("0.000215")
    assert TextPrice(Decimal(100), Decimal(10), Decimal(1000)).cents(used) == Decimal(60 + 4)
    assert price.times(Decimal(2)).cents(used) == 2 * price.cents(used)


@pytest.mark.parametrize(
    ("name", "written"),
    [("claude-opus-5.5", 500), ("anthropic/claude-haiku-4.5", 125), ("gpt-6.1-terra", 125),
     ("gpt-5.6-luna", 25), ("gpt-5.4", None), ("gemini-3.8-flash", None)],
)  # fmt: skip
def test_what_a_provider_takes_for_its_cache(name: str, written: int | None) -> None:
    price = price_table().text(name, TODAY)
    assert price is not None
    assert price.cache_write == written


def test_an_ending_is_that_of_the_model_behind_a_name_of_ones_own() -> None:
    own = ConnectionSettings.from_connection(
        "mine", host="https://gateway.example/v1", extra={"model": "writer", "base_model": "gpt-5"}
    )
    assert "gpt-5" in ending(own, "text", "writer")
    other = own.model_copy(update={"base_model": "gpt-5.4"})
    assert ending(other, "text", "writer") == ""
    azure = own.model_copy(update={"base_url": "https://x.openai.azure.com/openai/v1"})
    assert ending(azure, "text", "writer") == ""


def test_every_entry_is_complete() -> None:
    for name in ("gpt-6-sol", "gpt-5.6-luna", "gpt-5.4-nano", "gpt-5", "o3"):
        price = price_table().text(name, TODAY)
        assert price is not None
        assert 0 < price.cached_input <= price.input < price.output


def test_pictures_by_size_and_by_token() -> None:
    price = price_table().image("gpt-image-1", TODAY)
    assert price is not None
    assert price.picture("medium", "1536x1024") == Decimal("6.3")
    assert price.picture("medium", "4000x10") == Decimal("6.3")
    assert price.picture("unheard", "1x1") == Decimal(25)
    assert price.cents(input_tokens=100, output_tokens=1056) == Decimal("4.274")
    assert ImagePrice().picture("low", "1x1") == 0


def test_a_table_of_ones_own() -> None:
    row = {"model": "m", "valid_from": date(2020, 1, 1), "input": 1, "cached_input": 1, "output": 1}
    assert PriceTable([row], []).text("m-2024-01-01", TODAY) is not None


def settings(**extra: object) -> ConnectionSettings:
    host = str(extra.pop("host", "https://llm.example/v1"))
    return ConnectionSettings.from_connection("c", host=host, password="k", extra=extra)


def test_the_connection_overrides_the_table() -> None:
    prices = {"input_cents_per_million": 3, "output_cents_per_million": 4, "cents_per_image": 2}
    assert text_price(settings(prices=prices), "gpt-5") == TextPrice(Decimal(3), Decimal(3), Decimal(4))
    own = image_price(settings(prices=prices), "gpt-image-1")
    assert own is not None
    assert own.picture("medium", "1024x1024") == 2


def test_an_unknown_model_has_no_price_and_a_local_one_is_free() -> None:
    assert text_price(settings(), "made-up") is None
    local = text_price(settings(host="http://127.0.0.1:8081/v1"), "made-up")
    assert local is not None
    assert local.output == 0


GPT_54, MINI = "gpt-5.4", "gpt-4.1-mini"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai/gpt-5.4", GPT_54),
        ("openrouter/openai/gpt-5.4-2026-03-05", GPT_54),
        ("OpenAI/GPT-5.4", GPT_54),
        ("gpt-5-4", GPT_54),
        ("gpt-5.6", "gpt-5.6-sol"),
        ("azure/gpt-4.1-mini", MINI),
        ("anthropic/claude-opus-4.8", "claude-opus-4.8"),
        ("claude-opus-4-8-20260501", "claude-opus-4.8"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4.5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4.5"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("google/gemini-3.1-pro-preview", "gemini-3.1-pro"),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("deepseek/deepseek-chat", "deepseek-flash"),
        ("x-ai/grok-4.6", "grok-4.6"),
    ],
)
def test_a_model_is_known_by_the_names_that_servers_have_for_it(name: str, model: str) -> None:
    price = price_table().text(name, TODAY)
    assert price is not None
    assert price == price_table().text(model, TODAY)


@pytest.mark.parametrize(
    "name",
    [
        "my-azure-deployment", "gpt-5.4-huge", "openai/gpt-oss-120b", "claude-opus-5-6", "gpt-5.6-sol-pro",
        "gpt", "", "gemini-2.5-flash-thinking", "openai/gpt-5.4:online",
    ],
)  # fmt: skip
def test_what_only_begins_like_a_known_model_is_another_one(name: str) -> None:
    assert price_table().text(name, TODAY) is None


def test_a_fine_tuned_model_costs_more_than_its_base_and_a_free_variant_nothing() -> None:
    tuned = price_table().text("ft:gpt-4.1-mini-2025-04-14:acme:news:Ab12", TODAY)
    assert tuned == TextPrice(Decimal(80), Decimal(20), Decimal(320), batch=Decimal("0.5"))
    free = price_table().text("deepseek/deepseek-v4-pro:free", TODAY)
    assert free is not None
    assert free.cents(Usage(10**6, 10**6)) == 0


def test_a_deployment_costs_what_its_base_model_does() -> None:
    azure = settings(host="https://x.openai.azure.com/openai/v1", base_model="gpt-5.4")
    assert text_price(azure, "my-deployment") == price_table().text("gpt-5.4", TODAY)
    assert text_price(azure, "gpt-4.1-mini") == price_table().text("gpt-4.1-mini", TODAY)
    pictures = settings(host="https://x.openai.azure.com/openai/v1", base_model="gpt-image-2")
    assert image_price(pictures, "my-pictures") == price_table().image("gpt-image-2", TODAY)


def test_the_successor_of_the_default_costs_what_its_page_says() -> None:
    terra = price_table().text("gpt-6.1-terra", TODAY)
    assert terra is not None
    assert terra.cents(Usage(1_000_000, 1_000_000, cached_tokens=500_000)) == Decimal("552.5")
    sol = price_table().text("gpt-6.1-sol", TODAY)
    assert sol is not None
    assert (sol.input, sol.cached_input, sol.output) == (Decimal(200), Decimal(10), Decimal(1000))


def test_thoughts_may_have_a_price_of_their_own() -> None:
    own = {"input_cents_per_million": 1, "output_cents_per_million": 10, "reasoning_cents_per_million": 4}
    price = text_price(settings(prices=own), "any")
    assert price is not None
    assert price.cents(Usage(0, 1_000_000, reasoning_tokens=750_000)) == Decimal("5.5")


def test_every_price_says_where_it_was_read_and_every_end_what_follows() -> None:
    table = price_table()
    for entry in table.entries:
        assert entry.source in table.sources
        assert not entry.ends or table.entry(entry.kind, entry.successor, TODAY)
    for source in table.sources.values():
        assert source.url.startswith("https://")
        assert source.read <= date(2026, 11, 27)


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-2.5-flare", "gpt-image-2.6-sunburst-2026-11-04"])
def test_there_are_prices_of_pictures_that_last(model: str) -> None:
    entry = price_table().entry("image", model, TODAY)
    assert entry is not None
    assert entry.ending(TODAY) == ""
    price = price_table().image(model, TODAY)
    assert price is not None
    assert price.cents(input_tokens=1_000_000, output_tokens=1_000_000) == 3500
    assert price.picture("high", "1024x1024") == Decimal("21.1")


@pytest.mark.parametrize(
    ("model", "on", "words"),
    [
        ("gpt-5-mini", date(2026, 11, 27), "ends on 2026-12-11, in 14 days: name another one, such as 'gpt"),
        ("gpt-5-mini", date(2026, 12, 12), "ended on 2026-12-11"),
        ("gpt-5-mini", date(2026, 10, 1), ""),
        ("gpt-6.1-terra", date(2026, 11, 27), ""),
    ],
)  # fmt: skip
def test_a_model_about_to_end_is_warned_of(model: str, on: date, words: str) -> None:
    entry = price_table().entry("text", model, on)
    assert entry is not None
    assert words in entry.ending(on)
    assert bool(entry.ending(on)) is bool(words)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"requests_per_min": 5}, "did you mean 'requests_per_minute'"),
        ({"requests_per_minute": "many"}, "requests_per_minute"),
        ({"structured": "xml"}, "structured"),
        ({"prices": {"input": 3}}, "prices.input"),
        ({"host": "ftp://x"}, "not a web address"),
        ({"host": "https://user:secret@x/v1"}, "belongs in the password"),
    ],
)
def test_a_wrong_connection_is_named(extra: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        settings(**extra)
    assert "'c'" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_check_warns_of_a_model_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def offered(*_: object, **__: object) -> str:
        return "the server does not list its models"

    monkeypatch.setattr("pressroom.adapters.models.openai_model.check_offered", offered)
    note = await OpenAIText(settings(), "openai/gpt-5-mini").check()
    assert note.startswith("connection 'c': the model 'gpt-5-mini' end")
    assert "2026-12-11" in note
    assert note.endswith("; the server does not list its models")
    assert "'gpt-image-2.6-flare'" in await OpenAIImages(settings(), "gpt-image-1").check()
    assert await OpenAIText(settings(), "gpt-6.1-terra").check() == "the server does not list its models"
    azure = settings(host="https://x.openai.azure.com/openai/v1")
    assert await OpenAIText(azure, "gpt-5-mini").check() == "the server does not list its models"


def test_base_urls() -> None:
    def made(host: str | None, **more: object) -> str:
        return ConnectionSettings.from_connection("c", host=host, password=None, extra=None, **more).base_url  # type: ignore[arg-type]

    assert made("http://127.0.0.1:8081/v1/") == "http://127.0.0.1:8081/v1"
    assert made("llm.example") == "https://llm.example/v1"
    assert made("llm.example", schema="http", port=8080) == "http://llm.example:8080/v1"
    assert made(None) == ""


def test_missing_model_and_key() -> None:
    empty = ConnectionSettings.from_connection("c", host=None, password=None, extra={})
    with pytest.raises(ConfigurationError, match="no model"):
        empty.chosen(None)
    with pytest.raises(ConfigurationError, match="no API key"):
        empty.key(required=empty.is_openai)
    assert "sk-x" not in repr(ConnectionSettings(name="c", api_key="sk-x"))  # type: ignore[arg-type]
