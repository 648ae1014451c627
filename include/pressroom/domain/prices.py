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
from typing import Any, Literal

from pressroom.domain.model import Usage

ModelKind = Literal["text", "image", "embedding"]
MILLION = Decimal(1_000_000)
# The precision of cents in the ledger.
FINEST = Decimal("0.000001")

FINE_TUNED = Decimal(2)
"""A fine-tuned model costs at most so many times what its base model does."""

SOON_DAYS = 60
"""A model that ends within so many days, and a price that was read longer ago, is warned of."""

# What may follow a model's name: a date, a version of it, or "latest". Anything else is another model, with
# another price.
_VERSION = re.compile(
    r"(-preview)?(-\d{4}-\d{2}-\d{2}|-\d{2}-\d{4}|-\d{3,8}|@\d{8})?(-v\d+(:\d+)?|-latest|-chat-latest)?"
)
# What may stand before it: a router (openrouter/openai/), a list (models/), region and provider.
_BEFORE = re.compile(r"^(.*/)?((us|eu|apac|jp|au|global)\.)?((anthropic|deepseek|mistral|openai|google)\.)?")
_DOTS = re.compile(r"(?<=\d)\.(?=\d)")
_TUNED = "ft:"
FREE_VARIANT = ":free"


@dataclass(frozen=True)
class TextPrice:
    """Cents per million tokens. ``reasoning`` None: thoughts cost what other output does. ``cache_write``
    None: what is put into the provider's cache costs what other input does.

    ``batch``: the share of it that the provider's batch endpoint takes, None when it has none.
    """

    input: Decimal
    cached_input: Decimal
    output: Decimal
    reasoning: Decimal | None = None
    batch: Decimal | None = None
    cache_write: Decimal | None = None

    def cents(self, usage: Usage) -> Decimal:
        """The cost of these tokens. Cached tokens are part of the prompt's, thoughts of the completion's."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        written = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
        thoughts = min(usage.reasoning_tokens, usage.completion_tokens)
        total = (
            (usage.prompt_tokens - cached - written) * self.input
            + written * (self.input if self.cache_write is None else self.cache_write)
            + cached * self.cached_input
            + (usage.completion_tokens - thoughts) * self.output
            + thoughts * (self.output if self.reasoning is None else self.reasoning)
        )
        return (total / MILLION).quantize(FINEST, ROUND_HALF_UP)

    def __str__(self) -> str:
        rates = [(self.input, "in"), (self.output, "out")]
        if self.cached_input != self.input:
            rates.insert(1, (self.cached_input, "cached"))
        if self.cache_write is not None:
            rates.append((self.cache_write, "into a cache"))
        if self.reasoning is not None:
            rates.append((self.reasoning, "for thoughts"))
        shown = ", ".join(f"{_shown(rate)} {name}" for rate, name in rates if rate)
        return f"{shown} (cents a million tokens)" if shown else "free"

    @property
    def in_batches(self) -> TextPrice:
        """The price at the provider's batch endpoint; the whole price where no share is known."""
        return self if self.batch is None else self.times(self.batch)

    def times(self, factor: Decimal) -> TextPrice:
        """The price of a model that costs so many times as much."""
        reasoning, written = (
            None if rate is None else rate * factor for rate in (self.reasoning, self.cache_write)
        )
        return TextPrice(
            self.input * factor,
            self.cached_input * factor,
            self.output * factor,
            reasoning,
            self.batch,
            written,
        )


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

    def __str__(self) -> str:
        named = ((self.input, "in"), (self.output, "out"))
        rates = ", ".join(f"{_shown(rate)} {name}" for rate, name in named if rate)
        each = sorted({cents for cents in self.each.values() if cents})
        span = " to ".join(_shown(cents) for cents in dict.fromkeys([*each[:1], *each[-1:]]))
        pictures = f"{span} cents a picture" if span else ""
        tokens = f"{rates} (cents a million tokens)" if rates else ""
        return "; ".join(filter(None, (pictures, tokens))) or "free"

    def picture(self, quality: str, size: str) -> Decimal:
        """One picture's price: by quality and size, else the highest of its quality, else the highest."""
        exact = self.each.get(f"{quality} {size}")
        if exact is not None:
            return exact
        alike = [cents for name, cents in self.each.items() if name.split()[0] == quality]
        return max(alike or self.each.values(), default=Decimal(0))


FREE = TextPrice(Decimal(0), Decimal(0), Decimal(0))


@dataclass(frozen=True)
class PriceSource:
    """The page of a provider's prices, and the day on which it was read."""

    name: str
    url: str
    read: date


@dataclass(frozen=True)
class PriceEntry:
    """A line of the table. ``ends``: the model's last day, if known; ``names``: its own, and aliases."""

    kind: ModelKind
    model: str
    valid_from: date
    price: TextPrice | ImagePrice
    source: str = ""
    ends: date | None = None
    successor: str = ""
    names: Sequence[str] = ()

    def ending(self, on: date) -> str:
        """What to tell whoever uses a model that has ended or ends soon; '' for the others."""
        if self.ends is None or (self.ends - on).days > SOON_DAYS:
            return ""
        days = (self.ends - on).days
        when = f"ends on {self.ends}, in {days} days" if days >= 0 else f"ended on {self.ends}"
        return f"the model {self.model!r} {when}: name another one" + (
            f", such as {self.successor!r}" if self.successor else ""
        )


class PriceTable:
    """The entries of one price file. ``text``, ``image`` and ``embedding``: its tables, as read from TOML."""

    def __init__(
        self,
        text: Sequence[Mapping[str, Any]],
        image: Sequence[Mapping[str, Any]],
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        embedding: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.entries = [
            *(_entry("text", row, _text_price(row)) for row in text),
            *(_entry("image", row, _image_price(row)) for row in image),
            *(_entry("embedding", row, _text_price({"output": 0, **row})) for row in embedding),
        ]
        self.sources = {
            name: PriceSource(name, row["url"], row["read"]) for name, row in (sources or {}).items()
        }

    def text(self, model: str, on: date) -> TextPrice | None:
        """The price of a text model on that day. None when it is not listed."""
        if model.endswith(FREE_VARIANT):
            return FREE
        entry = self.entry("text", model, on)
        if entry is None or not isinstance(entry.price, TextPrice):
            return None
        return entry.price.times(FINE_TUNED) if model.startswith(_TUNED) else entry.price

    def image(self, model: str, on: date) -> ImagePrice | None:
        """The price of an image model on that day. None when it is not listed."""
        entry = self.entry("image", model, on)
        return entry.price if entry is not None and isinstance(entry.price, ImagePrice) else None

    def embedding(self, model: str, on: date) -> TextPrice | None:
        """The price of an embedding model on that day. None when it is not listed."""
        entry = self.entry("embedding", model, on)
        return entry.price if entry is not None and isinstance(entry.price, TextPrice) else None

    def entry(self, kind: str, model: str, on: date) -> PriceEntry | None:
        """The entry whose name is the longest beginning of the model's; of its versions, the one in force."""
        called = _plain(model)
        fitting = [
            (len(name), entry.valid_from, entry)
            for entry in self.entries
            if entry.kind == kind and entry.valid_from <= on
            for name in entry.names
            if called.startswith(name) and _VERSION.fullmatch(called[len(name) :])
        ]
        return max(fitting, key=lambda candidate: candidate[:2])[2] if fitting else None

    def in_force(self, on: date) -> list[PriceEntry]:
        """What each model costs on that day, in the file's order."""
        latest: dict[tuple[str, str], PriceEntry] = {}
        for entry in sorted(self.entries, key=lambda entry: entry.valid_from):
            if entry.valid_from <= on:
                latest[entry.kind, entry.model] = entry
        return [entry for entry in self.entries if latest.get((entry.kind, entry.model)) is entry]


def _shown(rate: Decimal) -> str:
    return f"{rate.normalize():f}"


@functools.cache
def price_table() -> PriceTable:
    """The table that comes with Pressroom."""
    raw = files(__package__).joinpath("prices.toml").read_text("utf-8")
    parsed = tomllib.loads(raw, parse_float=Decimal)
    return PriceTable(parsed["text"], parsed["image"], parsed["sources"], parsed["embedding"])


def _plain(model: str) -> str:
    """A name as it is compared: without what routers put before it, a dot between digits as a hyphen."""
    name = model.strip().lower()
    if name.startswith(_TUNED):  # ft:BASE:organisation:suffix:id
        name = name.split(":")[1]
    return _DOTS.sub("-", _BEFORE.sub("", name, count=1))


def _entry(kind: ModelKind, row: Mapping[str, Any], price: TextPrice | ImagePrice) -> PriceEntry:
    return PriceEntry(
        kind,
        row["model"],
        row["valid_from"],
        price,
        source=row.get("source", ""),
        ends=row.get("ends"),
        successor=row.get("successor", ""),
        names=[_plain(name) for name in (row["model"], *row.get("aliases", ()))],
    )


def _text_price(row: Mapping[str, Any]) -> TextPrice:
    optional = ("reasoning", "batch", "cache_write")
    reasoning, batch, written = (Decimal(row[name]) if name in row else None for name in optional)
    cached = row.get("cached_input", row["input"])
    return TextPrice(
        Decimal(row["input"]), Decimal(cached), Decimal(row["output"]), reasoning, batch, written
    )


def _image_price(row: Mapping[str, Any]) -> ImagePrice:
    each = {name: Decimal(cents) for name, cents in row.get("each", {}).items()}
    return ImagePrice(Decimal(row.get("input", 0)), Decimal(row.get("output", 0)), each)
