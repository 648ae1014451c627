"""The answer type of a post: what the model is asked for, by the slot's choices and its platform's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, create_model
from pydantic.json_schema import SkipJsonSchema

from pressroom.domain.definitions import BrandContext
from pressroom.domain.platforms import rules
from pressroom.domain.social import Platform
from pressroom.pipelines.answers import Answer, Between, Chars, Items, tokens_for

SEVERAL = 3
"""The number of texts of a thread or an article."""

PARAGRAPH_CHARS = 400


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
        "headline": Annotated[str, Chars(80, 5)],
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
