"""A link counts 23 at X however long it is, in every text; what a target lacks is one clear reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from pressroom.adapters.targets.bluesky.account import BlueskySettings
from pressroom.adapters.targets.bluesky.target import BlueskyTarget
from pressroom.adapters.targets.pinterest import PinterestSettings, PinterestTarget
from pressroom.adapters.targets.text import cut, post_of
from pressroom.adapters.targets.x.account import XSettings
from pressroom.adapters.targets.x.target import TEXT, XArguments, XTarget, weight
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.weighted import parse_tweet
from pressroom.domain.platforms import fits
from pressroom.domain.publishing import Content, arguments_from
from pressroom.domain.social import Platform

LENGTHS = [60, 340, 480, 600, 729, 1990]


def link_of(length: int) -> str:
    """A link as news sites and trackers make them."""
    start, end = "https://news.example.com/rss/articles/", "?oc=5&utm_source=feed"
    return start + ("aB3_-%2F." * length)[: length - len(start) - len(end)] + end


@pytest.mark.parametrize("length", LENGTHS)
def test_a_link_of_any_length_counts_23(length: int) -> None:
    link = link_of(length)
    assert len(link) == length
    assert weight(link) == 23
    assert weight(f"{'x' * 200} {link}") == 224
    assert weight(f"A {link}\n\nand {link}.") == 2 + 23 + 6 + 23 + 1
    assert fits(Platform.TWITTER, f"{'x' * 256} {link}")
    assert not fits(Platform.TWITTER, f"{'x' * 257} {link}")


def test_many_links_in_one_post_are_weighed_as_one_by_one() -> None:
    text = " ".join(link_of(300) for _ in range(11))
    assert weight(text) == 11 * 23 + 10
    assert fits(Platform.TWITTER, text)


def test_parts_weigh_what_the_whole_weighs() -> None:
    chance = random.Random(4)
    words = [
        "tea",
        "世界",
        "é",
        "👩‍👩‍👧",
        "a.com",
        "https://a.test/x",
        "#tag",
        "…",
        "\n\n",
        "(b.org)",
        "\u3000",
    ]
    for _ in range(15):
        text = " ".join(chance.choice(words) for _ in range(chance.randint(130, 190)))
        if len(text) <= 1000:
            assert weight(text) == parse_tweet(text).weightedLength


@pytest.mark.parametrize("length", LENGTHS)
def test_a_post_keeps_its_link_whole(length: int) -> None:
    content = Content(title="A title", text="Many words. " * 200, link=link_of(length))
    text = post_of(content, TEXT, weight)
    assert text.endswith(f"\n\n{content.link}")
    assert weight(text) <= TEXT
    assert XArguments(text=text).text == text
    # A link in the words is not cut either.
    shortened = cut(f"Read {content.link} {'and more ' * 100}", TEXT, weight)
    assert shortened.startswith(f"Read {content.link} and more")
    assert weight(shortened) <= TEXT


TARGETS: list[Callable[[], Any]] = [
    lambda: XTarget(XSettings.from_connection("x", password="t")),
    lambda: BlueskyTarget(BlueskySettings.from_connection("b", login="a.test", password="p")),
    lambda: PinterestTarget(PinterestSettings.from_connection("p", password="t")),
]


@pytest.mark.parametrize("target", TARGETS, ids=["x", "bluesky", "pinterest"])
async def test_what_a_target_lacks_is_a_reason_and_no_defect(target: Callable[[], Any]) -> None:
    photo = Content(title="", text="", link="")
    async with target() as opened:
        with pytest.raises(PermanentError, match=r"^here does not take that: (text|title): "):
            arguments_from(opened, photo, "here")
        made = arguments_from(opened, Content(title="T", text="x", link=link_of(600)), "here")
    assert made == type(made).model_validate(made.model_dump())
