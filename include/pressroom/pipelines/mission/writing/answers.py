"""The answer types of a post and of a strategy: what the model is asked for, by the slot's choices and its
platform's rules. ``shares`` corrects the weights of a strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import regex
from pydantic import Field, create_model
from pydantic.json_schema import SkipJsonSchema

from pressroom.domain.definitions import BrandContext
from pressroom.domain.platforms import rules
from pressroom.domain.social import Platform
from pressroom.pipelines.answers import Answer, Between, Chars, Items, tokens_for

SEVERAL = 3
"""The number of texts of a thread or an article."""

PARAGRAPH_CHARS = 400

LEAST_PILLARS, MOST_PILLARS = 2, 5
PILLAR_CHARS = 40
TONE_CHARS = 300
TOPIC_CHARS = 80
ANGLE_CHARS = 140

_WORDS = regex.compile(r"[\p{L}\p{N}\p{M}]+")


@dataclass(frozen=True)
class SlotToWrite:
    """A slot that waits for its post, with its cycle's tone and brand.

    ``turn``: which post of the mission on its topic it is. ``revision``, ``guidance``: as in ``render``.
    """

    id: int
    platform: Platform
    choices: Mapping[str, str]
    topic: str
    angle: str
    turn: int
    tone: str
    pillar_tag: str
    brand: BrandContext | None
    revision: int = 1
    guidance: str = ""

    @property
    def format(self) -> str:
        """The post's format on its platform."""
        return self.choices["format"]


@dataclass(frozen=True)
class PostShape:
    """What the model is asked for: ``texts`` of ``chars`` characters each, and whether the rest is wanted."""

    texts: int
    chars: int
    hashtags: int
    mentions: bool
    picture: bool
    alternative: bool

    @property
    def tokens(self) -> int:
        """The token limit for an answer of this shape."""
        return tokens_for((self.chars + 80) * (self.texts + int(self.alternative)) + 500)


class PostAnswer(Answer):
    """What the model writes for a slot. ``confidence``: 0 to 100."""

    headline: str
    texts: list[str]
    cta: str
    hashtags: list[str]
    confidence: int = 50
    # answer_type adds these to the schema when they are wanted.
    mentions: SkipJsonSchema[list[str]] = Field(default_factory=list)
    picture: SkipJsonSchema[str] = ""
    alternative: SkipJsonSchema[str] = ""


class ToneAnswer(Answer):
    """Yes or no to each question of the rubric, in order."""

    answers: list[bool]


def shape_of(slot: SlotToWrite, *, mentions: bool = False, alternative: bool = False) -> PostShape:
    """The shape of a slot's post, by its choices and its platform's rules."""
    own = rules(slot.platform)
    chars = own.long if slot.choices.get("length") == "long" else own.short
    return PostShape(
        texts=SEVERAL if slot.format in ("thread", "article") else 1,
        chars=min(2 * chars // 3, PARAGRAPH_CHARS) if slot.format == "article" else chars,
        hashtags=own.many if slot.choices.get("hashtags") == "many" else own.few,
        mentions=mentions,
        picture=slot.choices.get("visual") == "with" or own.media_required,
        alternative=alternative,
    )


@lru_cache(maxsize=128)
def answer_type(shape: PostShape) -> type[PostAnswer]:
    """The answer type for a post of this shape. Its schema has only what is wanted."""
    text: Any = Annotated[str, Chars(shape.chars, 20)]
    wanted: dict[str, Any] = {
        "headline": Annotated[str, Chars(80, 5, phrases=True)],
        "texts": Annotated[list[text], Items(shape.texts, shape.texts)],
        "cta": Annotated[str, Chars(60)],
        "hashtags": Annotated[list[Annotated[str, Chars(24, 2)]], Items(max(shape.hashtags, 1))],
        "confidence": Annotated[int, Between(0, 100)],
    }
    if shape.mentions:
        wanted["mentions"] = Annotated[list[Annotated[str, Chars(50)]], Items(2, 0)]
    if shape.picture:
        wanted["picture"] = Annotated[str, Chars(160, 10)]
    if shape.alternative:
        wanted["alternative"] = text
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in wanted.items()}
    made: type[PostAnswer] = create_model("PostAnswer", __base__=PostAnswer, **fields)
    return made


@lru_cache(maxsize=16)
def tone_type(questions: int) -> type[ToneAnswer]:
    """The answer type for this number of questions."""
    form: type[ToneAnswer] = create_model(
        "ToneAnswer",
        __base__=ToneAnswer,
        answers=(Annotated[list[bool], Items(questions, questions)], ...),
    )
    return form


@dataclass(frozen=True)
class Topic:
    """A topic with its angle."""

    topic: str
    angle: str


class ProposedPillar(Answer):
    """One pillar. ``weight``: 1 to 100."""

    name: Annotated[str, Chars(PILLAR_CHARS, 3, phrases=True)]
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
        topic=(Annotated[str, Chars(TOPIC_CHARS, 8, phrases=True)], ...),
        angle=(Annotated[str, Chars(ANGLE_CHARS, 8, phrases=True)], ...),
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
