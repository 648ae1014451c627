"""``pressroom prices``: what models cost, how old that is, and which of them end."""

from __future__ import annotations

from datetime import date

import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.cli.prices import ages
from pressroom.domain.prices import price_table


def shown(*words: str) -> tuple[int, str]:
    # A pipe has no width: what stands in it is not cut.
    result = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["prices", *words])
    return result.exit_code, result.output


def test_all_prices_are_listed_with_their_sources_and_the_models_that_end() -> None:
    code, text = shown()
    assert code == 0
    for name in ("gpt-6.1-terra", "claude-opus-5.5", "gpt-image-2.6-flare", "deepseek-v4-pro"):
        assert name in text
    assert "warning: the model 'gpt-5-mini' end" in text
    assert "name another one, such as 'gpt-6.1-terra'" in text
    assert "openai: read " in text
    assert "https://developers.openai.com/api/docs/pricing" in text


def test_one_model_is_found_by_any_of_its_names() -> None:
    code, text = shown("openai/gpt-6.1-terra")
    assert code == 0
    assert [line.split()[:7] for line in text.splitlines()[1:2]] == [
        ["gpt-6.1-terra", "2026-10-26", "100", "5", "125", "500", "250"]
    ]
    assert "warning" not in text


def test_a_model_without_a_price_is_told_what_gives_it_one() -> None:
    code, text = shown("my-deployment")
    assert code == 1
    assert "put its prices into the connection's extra, as prices" in text
    assert "as base_model" in text


@pytest.mark.parametrize(("today", "old"), [(date(2026, 12, 1), False), (date(2027, 3, 1), True)])
def test_old_prices_are_to_be_compared_with_their_page(today: date, old: bool) -> None:
    table = price_table()
    lines = ages(table, table.in_force(today), today)
    assert len(lines) == len(table.sources)
    assert all(("compare the prices with the page" in line) is old for line in lines)
