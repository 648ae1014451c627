"""The price table: what is in force when, and for which names."""

from __future__ import annotations

import logging
from datetime import date
from decimal import Decimal

import pytest

from pressroom.adapters.models.settings import ConnectionSettings, image_price, text_price
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import Usage
from pressroom.domain.prices import ImagePrice, PriceTable, TextPrice, price_table
from pressroom.engine.money import metering

TODAY = date(2026, 11, 22)


def test_dated_names_find_their_family_and_no_other() -> None:
    table = price_table()
    mini = table.text("gpt-4.1-mini", TODAY)
    assert mini == TextPrice(Decimal(40), Decimal(10), Decimal(160))
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


def test_an_unknown_model_costs_nothing_and_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    assert text_price(settings(), "made-up") is None
    local = text_price(settings(host="http://127.0.0.1:8081/v1"), "made-up")
    assert local is not None
    assert local.output == 0
    metering._warned.discard("made-up")
    with caplog.at_level(logging.WARNING):
        metering.warn_unpriced("made-up")
        metering.warn_unpriced("made-up")
    assert caplog.text.count("made-up") == 1


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
