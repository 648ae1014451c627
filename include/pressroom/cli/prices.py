"""The command that shows the price table: what models cost, how old that is, and which models end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, get_args

import typer

from pressroom.cli.common import show
from pressroom.domain.prices import SOON_DAYS, ModelKind, PriceEntry, PriceTable, TextPrice, price_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prices")(prices)


def prices(
    model: Annotated[
        str, typer.Argument(help="a model, by any name that a connection may have for it; left out: all")
    ] = "",
) -> None:
    """Show what models cost, in US cents: text and embeddings per million tokens, images each. Exit code 1:
    no price.
    """
    table, today = price_table(), datetime.now(UTC).date()
    named = [table.entry(kind, model, today) for kind in get_args(ModelKind)] if model else []
    entries = [entry for entry in named if entry is not None] if model else table.in_force(today)
    if not entries:
        typer.echo(
            f"{model!r} has no price: put its prices into the connection's extra, as prices, or the listed"
            " model that it is as base_model",
            err=True,
        )
        raise typer.Exit(1)
    show(
        ["model", "since", "input", "cached", "cache write", "output", "batch", "each", "ends"],
        [_cells(entry) for entry in entries],
    )
    for entry in entries:
        if words := entry.ending(today):
            typer.echo(f"warning: {words}")
    for line in ages(table, entries, today):
        typer.echo(line)


def ages(table: PriceTable, entries: list[PriceEntry], today: date) -> list[str]:
    """Where the prices were read, and how long ago."""
    lines = []
    for source in table.sources.values():
        if any(entry.source == source.name for entry in entries):
            days = (today - source.read).days
            old = "" if days <= SOON_DAYS else ": compare the prices with the page"
            lines.append(f"{source.name}: read {days} days ago, on {source.read}, at {source.url}{old}")
    return lines


def _cells(entry: PriceEntry) -> list[object]:
    price = entry.price
    if isinstance(price, TextPrice):
        batch, each = price.batch and price.output * price.batch, ""
        cents = [price.input, price.cached_input, price.cache_write, price.output, batch]
        if entry.kind == "embedding":
            cents = [price.input, None, None, None, price.batch and price.input * price.batch]
    else:
        each = _span(list(price.each.values()))
        cents = [price.input or None, None, None, price.output or None, None]
    return [entry.model, entry.valid_from, *map(_cents, cents), each, entry.ends]


def _cents(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


def _span(values: list[Decimal]) -> str:
    if not values:
        return ""
    least, most = min(values), max(values)
    return _cents(least) if least == most else f"{_cents(least)}–{_cents(most)}"
