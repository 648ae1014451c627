"""The price of a model call, by the dated table ``prices.toml``. Every amount is in US cents."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from typing import Any

from pressroom.domain.model import Usage

MILLION = Decimal(1_000_000)
# The precision of cents in the ledger.
FINEST = Decimal("0.000001")

# What may follow a family's name in a model's name: a date or "latest". Anything else is another model, with
# another price.
_VERSION = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{4,8}|-latest|-chat-latest)?")


@dataclass(frozen=True)
class TextPrice:
    """Cents per million tokens."""

    input: Decimal
    cached_input: Decimal
    output: Decimal

    def cents(self, usage: Usage) -> Decimal:
        """The cost of these tokens. Cached tokens are part of the prompt's."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        total = (
            (usage.prompt_tokens - cached) * self.input
            + cached * self.cached_input
            + usage.completion_tokens * self.output
        )
        return (total / MILLION).quantize(FINEST, ROUND_HALF_UP)


@dataclass(frozen=True)
class ImagePrice:
    """``input`` and ``output``: cents per million tokens. ``each``: cents per picture by "quality size"."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    each: Mapping[str, Decimal] = field(default_factory=dict)

    def cents(self, *, input_tokens: int, output_tokens: int) -> Decimal:
        """The cost of an answer that reports its tokens."""
        total = input_tokens * self.input + output_tokens * self.output
        return (total / MILLION).quantize(FINEST, ROUND_HALF_UP)

    def picture(self, quality: str, size: str) -> Decimal:
        """One picture's price: by quality and size, else the highest of its quality, else the highest."""
        exact = self.each.get(f"{quality} {size}")
        if exact is not None:
            return exact
        alike = [cents for name, cents in self.each.items() if name.split()[0] == quality]
        return max(alike or self.each.values(), default=Decimal(0))


FREE = TextPrice(Decimal(0), Decimal(0), Decimal(0))


@dataclass(frozen=True)
class _Dated:
    model: str
    valid_from: date
    values: Mapping[str, Any]


class PriceTable:
    """The entries of one price file. ``text`` and ``image`` are its tables, as read from TOML."""

    def __init__(self, text: Sequence[Mapping[str, Any]], image: Sequence[Mapping[str, Any]]) -> None:
        self._text = [_dated(row) for row in text]
        self._image = [_dated(row) for row in image]

    def text(self, model: str, on: date) -> TextPrice | None:
        """The price of a text model on that day. None when it is not listed."""
        entry = _in_force(self._text, model, on)
        return TextPrice(**{name: Decimal(cents) for name, cents in entry.values.items()}) if entry else None

    def image(self, model: str, on: date) -> ImagePrice | None:
        """The price of an image model on that day. None when it is not listed."""
        entry = _in_force(self._image, model, on)
        if entry is None:
            return None
        each = {name: Decimal(cents) for name, cents in entry.values.get("each", {}).items()}
        rates = {name: Decimal(cents) for name, cents in entry.values.items() if name != "each"}
        return ImagePrice(**rates, each=each)


@functools.cache
def price_table() -> PriceTable:
    """The table that comes with Pressroom."""
    raw = files(__package__).joinpath("prices.toml").read_text("utf-8")
    parsed = tomllib.loads(raw, parse_float=Decimal)
    return PriceTable(parsed["text"], parsed["image"])


def _dated(row: Mapping[str, Any]) -> _Dated:
    values = {name: value for name, value in row.items() if name not in ("model", "valid_from")}
    return _Dated(row["model"], row["valid_from"], values)


def _in_force(entries: Sequence[_Dated], model: str, on: date) -> _Dated | None:
    """The entry whose name is the longest beginning of the model's name; of its versions, the one in
    force.
    """
    fitting = [
        entry
        for entry in entries
        if entry.valid_from <= on
        and model.startswith(entry.model)
        and _VERSION.fullmatch(model[len(entry.model) :])
    ]
    return max(fitting, key=lambda entry: (len(entry.model), entry.valid_from), default=None)
