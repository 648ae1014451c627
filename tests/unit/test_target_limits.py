"""What a target declares is held by one base: its texts by the arguments, the rest by the piece."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pressroom.adapters.targets.article import ArticleArguments
from pressroom.adapters.targets.bluesky.target import BlueskyArguments
from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.adapters.targets.pinterest import PinterestArguments
from pressroom.adapters.targets.registry import HANDLERS, limits_of
from pressroom.adapters.targets.x.target import XArguments
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.packets import HTML_CHARS
from pressroom.domain.publishing import Picture, Piece, TargetArguments, TargetLimits

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)
MADE: dict[str, TargetArguments] = {
    "static_site": ArticleArguments(title="Bread", html="<p>x</p>"),
    "wordpress": ArticleArguments(title="Bread", html="<p>x</p>"),
    "webhook": ArticleArguments(title="Bread", html="<p>x</p>"),
    "pinterest": PinterestArguments(title="Bread"),
    "x": XArguments(text="Bread"),
    "bluesky": BlueskyArguments(text="Bread"),
    "metricool": MetricoolArguments(network="instagram", text="Bread"),  # type: ignore[arg-type]
}


def test_every_handler_is_tried_here() -> None:
    assert set(MADE) == set(HANDLERS)


@pytest.mark.parametrize("handler", HANDLERS)
def test_pictures_and_times_are_what_the_target_declares(handler: str) -> None:
    arguments = MADE[handler]
    limits = limits_of(handler, dict(arguments))

    def check(pictures: int, at: datetime | None = None) -> None:
        Piece("key", arguments, [Picture(b"x")] * pictures, at).check(handler, NOW)

    check(1)
    check(1, NOW - HOUR)
    check(1, NOW + timedelta(seconds=30))
    if limits.pictures is None:
        check(100)
    else:
        check(limits.pictures)
        with pytest.raises(PermanentError, match=f"too many: {handler} takes {limits.pictures}"):
            check(limits.pictures + 1)
    if limits.picture_required:
        with pytest.raises(PermanentError, match=f"{handler} takes nothing without a picture"):
            check(0)
    else:
        check(0)
    if limits.schedules:
        check(1, NOW + HOUR)
    else:
        with pytest.raises(PermanentError, match=f"{handler} publishes at once, and this is to appear at"):
            check(1, NOW + HOUR)


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda size: XArguments(text="x" * size), 280),
        (lambda size: XArguments(text="\u5869" * (size // 2) + "x" * (size % 2)), 280),
        (lambda size: BlueskyArguments(text="x" * size), 300),
        (lambda size: BlueskyArguments(text="\u0130\u0307" * size), 300),
        (lambda size: PinterestArguments(title="x" * size), 100),
        (lambda size: PinterestArguments(title="x", description="x" * size), 800),
        (lambda size: ArticleArguments(title="x", html="x" * size), HTML_CHARS),
        (lambda size: MetricoolArguments(network="twitter", text="x" * size), 280),  # type: ignore[arg-type]
    ],
)
def test_texts_are_counted_as_the_target_counts(make: Callable[[int], Any], most: int) -> None:
    make(most)
    with pytest.raises(ValidationError):
        make(most + 1)


def test_the_base_says_how_long_and_how_it_counts() -> None:
    with pytest.raises(ValidationError, match=r"has 281 characters \(links count 23"):
        XArguments(text="x" * 281)

    class Own(TargetArguments):
        limits = TargetLimits(
            title_chars=3, text_chars=4, text_field="body", length=lambda text: 2 * len(text)
        )
        title: str = ""
        body: str = ""

    assert Own(title="abc", body="ab").body
    with pytest.raises(ValidationError, match="has 4 characters, and 3 are the most"):
        Own(title="abcd")
    with pytest.raises(ValidationError, match="has 6 characters, and 4 are the most"):
        Own(body="abc")


def test_no_limit_is_declared_of_an_unknown_handler() -> None:
    with pytest.raises(ConfigurationError, match=r"no handler 'wordpres'\. Did you mean 'wordpress'"):
        limits_of("wordpres", {})
