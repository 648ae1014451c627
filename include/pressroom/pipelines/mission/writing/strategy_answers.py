"""The answer types of a strategy: names, topics and weights. ``shares`` corrects the weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import create_model

from pressroom.pipelines.answers import Answer, Between, Chars, Items

LEAST_PILLARS, MOST_PILLARS = 2, 5
PILLAR_CHARS = 40
TONE_CHARS = 300
TOPIC_CHARS = 80
ANGLE_CHARS = 140

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Topic:
    """A topic with its angle."""

    topic: str
    angle: str


class ProposedPillar(Answer):
    """One pillar. ``weight``: 1 to 100."""

    name: Annotated[str, Chars(PILLAR_CHARS, 3)]
    weight: Annotated[int, Between(1, 100)]


class Pillars(Answer):
    """A mission's pillars and its tone."""

    pillars: Annotated[list[ProposedPillar], Items(MOST_PILLARS, LEAST_PILLARS)]
    tone_guidelines: Annotated[str, Chars(TONE_CHARS, 10)]


class ProposedTopic(Answer):
    """One topic. ``pillar`` is a number of the prompt's list."""

    pillar: int
    topic: str
    angle: str


class Topics(Answer):
    """Topics for all pillars."""

    topics: list[ProposedTopic]


@lru_cache(maxsize=64)
def topics_type(pillars: int, each: int) -> type[Topics]:
    """The answer type for ``each`` topics on each of ``pillars`` pillars."""
    topic = create_model(
        "ProposedTopic",
        __base__=ProposedTopic,
        pillar=(Annotated[int, Between(1, pillars)], ...),
        topic=(Annotated[str, Chars(TOPIC_CHARS, 8)], ...),
        angle=(Annotated[str, Chars(ANGLE_CHARS, 8)], ...),
    )
    number = pillars * each
    return create_model(
        "Topics", __base__=Topics, topics=(Annotated[list[topic], Items(number, number)], ...)
    )


def shares(wishes: Sequence[float]) -> list[float]:
    """Shares in hundredths that sum to exactly 1, each at least 0.01, by largest remainder."""
    floors = [max(wish, 0.0) or 1.0 for wish in wishes]
    total = sum(floors)
    exact = [max(1.0, 100 * wish / total) for wish in floors]
    cents = [int(share) for share in exact]
    by_remainder = sorted(range(len(cents)), key=lambda index: cents[index] - exact[index])
    for turn in range(100 - sum(cents)):
        cents[by_remainder[turn % len(cents)]] += 1
    while sum(cents) > 100:  # the minimum of one hundredth each came on top
        cents[max(range(len(cents)), key=cents.__getitem__)] -= 1
    return [cent / 100 for cent in cents]


def hashtag(text: str) -> str:
    """A text as one hashtag (#ThoughtLeadership); '' when it has no letters."""
    words = _WORDS.findall(text.replace("_", " "))
    joined = "".join(word[:1].upper() + word[1:] for word in words)
    return f"#{joined}" if any(char.isalpha() for char in joined) else ""
