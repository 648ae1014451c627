"""One slot → one post: what the model is asked, what is made of its answer, and when it is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pressroom.domain.errors import InvalidAnswer
from pressroom.domain.model import ImageRequest, Prompt
from pressroom.domain.platforms import meaning, rules
from pressroom.domain.social import Platform
from pressroom.pipelines.answers import clip, says_something, tokens_for, whole_sentences
from pressroom.pipelines.mission.writing.answers import (
    PostAnswer,
    Shape,
    Slot,
    answer_type,
    shape_of,
    tone_type,
)
from pressroom.pipelines.mission.writing.compliance import forbidden, lacking, problems, silent
from pressroom.pipelines.mission.writing.composing import (
    Composed,
    Words,
    clean,
    compose,
    handles_in,
    links_in,
    permitted,
)
from pressroom.pipelines.prompts import render
from pressroom.pipelines.tools import Tools

SOURCES, SOURCE_CHARS = 3, 1500

FEWEST_LETTERS = 30
"""What a text must have left after something was cut out of it."""


@dataclass(frozen=True)
class Picture:
    """A stored picture."""

    url: str
    media_type: str
    alt: str


@dataclass(frozen=True)
class Post:
    """A finished post. ``doubts``: why a person should look at it, '' when nobody has to.

    ``adaptations``: platform → the same message in that platform's form. ``alternative``: a second version,
    for a person to choose. ``confidence``: the model's own, 0 to 1.
    """

    composed: Composed
    words: Words
    picture: Picture | None
    confidence: float
    model: str
    doubts: str = ""
    adaptations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    alternative: tuple[Words, Composed] | None = None


@dataclass(frozen=True)
class _Version:
    """A post as it came of one answer. ``wrong``: why it cannot be published."""

    answer: PostAnswer
    words: Words
    composed: Composed
    wrong: Sequence[str]


async def write(slot: Slot, tools: Tools) -> Post:
    """One AI call, and a second one when the first post breaks a rule or the rubric says no to it.

    The rubric is asked in a call of its own, where the brand has one. A post that it still says no to has
    ``doubts``. Raises InvalidAnswer, naming what is wrong, when both posts break a rule; and what
    ``generate``, ``draw`` and ``put`` raise.
    """
    mission = tools.mission
    handles = handles_in(_own_texts(slot, tools))  # nobody else may be mentioned
    shape = shape_of(slot, mentions=bool(handles), alternative=mission.ab_variants)
    facts = _facts(slot, shape, handles, tools)
    form = answer_type(shape)
    answer = await tools.text.generate(_prompt("post", slot, tools, shape.tokens, **facts), form)
    version = _version(slot, answer, handles, tools)
    doubts = "" if version.wrong else await _tone(slot, version.composed, tools)
    if version.wrong or doubts:
        told = {"problems": version.wrong or [doubts], "before": list(version.composed.parts)}
        repair = _prompt("post_repair", slot, tools, shape.tokens, **facts, **told)
        second = _version(slot, await tools.text.generate(repair, form), handles, tools)
        if second.wrong and version.wrong:
            second = _without_the_forbidden(slot, second, tools)
        if not second.wrong:
            version, doubts = second, await _tone(slot, second.composed, tools)
        elif version.wrong:
            wrong = "; ".join(second.wrong)
            raise InvalidAnswer(f"the {slot.format} for {slot.platform} cannot be published: {wrong}")
    return Post(
        composed=version.composed,
        words=version.words,
        picture=await _picture(slot, version, tools) if shape.picture else None,
        confidence=min(max(version.answer.confidence, 0), 100) / 100,
        model=tools.text.model,
        doubts=doubts,
        adaptations=_adaptations(slot, version.words, tools),
        alternative=_alternative(slot, version, handles, tools) if mission.ab_variants else None,
    )


def _own_texts(slot: Slot, tools: Tools) -> list[str]:
    """What the mission and the brand say themselves."""
    mission, brand = tools.mission, slot.brand
    own = [mission.description, *mission.objectives, *(source.text for source in mission.sources)]
    return [*own, *([brand.voice, *brand.dos, *brand.examples, *brand.disclosures] if brand else [])]


def _links(slot: Slot, tools: Tools) -> set[str]:
    """The addresses that a post may hold."""
    return {*links_in(_own_texts(slot, tools)), *(one.url for one in tools.mission.sources if one.url)}


def _facts(slot: Slot, shape: Shape, handles: Sequence[str], tools: Tools) -> dict[str, Any]:
    """The variables of the prompts for a post."""
    mission, brand = tools.mission, slot.brand
    return {
        "platform": rules(slot.platform).name,
        "kind": slot.format,
        "form": meaning(slot.format),
        "topic": slot.topic,
        "angle": slot.angle,
        "turn": slot.turn,
        "pillar": slot.choices.get("pillar", ""),
        "tone": slot.tone,
        "chars": shape.chars,
        "parts": shape.texts,
        "hashtags": shape.hashtags,
        "handles": handles[:10],
        "picture": shape.picture,
        "style": brand.visual_style if brand else "",
        "excluded": mission.constraints.excluded_topics,
        "banned": brand.banned_words if brand else [],
        "sources": [clip(f"{one.title}: {one.text}", SOURCE_CHARS) for one in mission.sources[:SOURCES]],
        "revision": slot.revision,
        "guidance": slot.guidance,
    }


def _prompt(name: str, slot: Slot, tools: Tools, tokens: int, **variables: Any) -> Prompt:
    return render(
        name, account=tools.account, workflow=tools.mission, brand=slot.brand, max_tokens=tokens, **variables
    )


def _version(slot: Slot, answer: PostAnswer, handles: Sequence[str], tools: Tools) -> _Version:
    """The post that an answer makes, and what is wrong with it."""
    shape = shape_of(slot)
    texts = [whole_sentences(text, shape.chars) for text in answer.texts]
    words = clean(
        answer.headline, texts, answer.cta, answer.hashtags, answer.mentions, handles=handles,
        links=_links(slot, tools),
    )  # fmt: skip
    if not says_something(words.headline, 3) or _forbidden(words.headline, slot, tools):
        words = replace(words, headline=clip(slot.topic, 100))  # the calendar has none that is forbidden
    composed = _compose(slot, words, slot.platform, slot.format)
    wrong = _wrong(slot, composed, tools)
    # A call to action alone, or hashtags, would pass for a text.
    return _Version(answer, words, composed, wrong if words.texts or wrong else ["it says nothing"])


def _without_the_forbidden(slot: Slot, version: _Version, tools: Tools) -> _Version:
    """What two answers could not leave out is cut, sentence by sentence; the version as it was when too
    little is left to be a post.
    """
    words = version.words
    kept = [permitted(text, lambda sentence: bool(_forbidden(sentence, slot, tools))) for text in words.texts]
    if not all(says_something(text, FEWEST_LETTERS) for text in kept) or not kept:
        return version
    clean_words = replace(
        words,
        texts=kept,
        cta="" if _forbidden(words.cta, slot, tools) else words.cta,
        hashtags=[tag for tag in words.hashtags if not _forbidden(tag, slot, tools)],
    )
    composed = _compose(slot, clean_words, slot.platform, slot.format)
    return _Version(version.answer, clean_words, composed, _wrong(slot, composed, tools))


def _compose(slot: Slot, words: Words, platform: Platform, kind: str) -> Composed:
    """The post, with every disclosure."""

    def made(disclosures: Sequence[str]) -> Composed:
        return compose(
            words, platform, kind, pillar_tag=slot.pillar_tag,
            many_hashtags=slot.choices.get("hashtags") == "many", disclosures=disclosures,
        )  # fmt: skip

    composed = made(lacking("\n".join([*words.texts, words.cta]), slot.brand))
    # One that the words carried may have been cut off with them.
    lost = lacking("\n".join(composed.parts), slot.brand)
    return made([one.strip() for one in slot.brand.disclosures]) if lost and slot.brand else composed


def _wrong(slot: Slot, composed: Composed, tools: Tools, *, pictures: int | None = None) -> list[str]:
    """What is wrong with a post. ``pictures``: how many it has; None: as many as its slot."""
    media = int(shape_of(slot).picture) if pictures is None else pictures
    excluded = tools.mission.constraints.excluded_topics
    return [*problems(composed, media=media, brand=slot.brand, excluded_topics=excluded), *silent(composed)]


def _forbidden(text: str, slot: Slot, tools: Tools) -> list[str]:
    return forbidden(text, tools.mission.constraints.excluded_topics, slot.brand)


async def _tone(slot: Slot, composed: Composed, tools: Tools) -> str:
    """What the brand's rubric has against the post; '' when nothing, or when there is no rubric."""
    rubric = list(slot.brand.tone_rubric) if slot.brand else []
    if not rubric:
        return ""
    text = "\n\n".join(composed.parts)
    prompt = _prompt("tone_check", slot, tools, tokens_for(40 * len(rubric)), questions=rubric, text=text)
    answer = await tools.text.generate(replace(prompt, temperature=0.0), tone_type(len(rubric)))
    said = [*answer.answers, *[False] * len(rubric)]  # what was not answered was not answered with yes
    failed = [question for question, yes in zip(rubric, said, strict=False) if not yes]
    return f"the tone check says no to: {'; '.join(failed)}" if failed else ""


async def _picture(slot: Slot, version: _Version, tools: Tools) -> Picture:
    """Drawn and stored. Storing is by content hash, so doing it twice stores one file."""
    settings, brand = tools.mission.images, slot.brand
    candidates = [clip(version.answer.picture, 200), slot.topic, slot.choices.get("pillar", "")]
    shown = next(
        (one for one in candidates if says_something(one, 4) and not _forbidden(one, slot, tools)), ""
    )
    style = brand.visual_style if brand else ""
    result = await tools.images.draw(
        ImageRequest(
            prompt=". ".join(text for text in (shown or version.words.headline, style) if text),
            title=version.words.headline,
            width=settings.width,
            height=settings.height,
            colors=tuple(brand.colors) if brand else (),
            label=tools.mission.name,
        )
    )
    url = await asyncio.to_thread(tools.media.put, result.data, result.media_type)
    return Picture(url, result.media_type, clip(shown, min(rules(slot.platform).alt, 300)))


def _adaptations(slot: Slot, words: Words, tools: Tools) -> dict[str, list[str]]:
    """The same message in the form of the mission's other platforms, those that it can be put into.

    Texts only: where a platform demands a picture, whoever uses the adaptation adds one.
    """
    found = {}
    for other in tools.mission.platforms:
        if other != slot.platform:
            composed = _compose(slot, words, other, rules(other).formats[0])
            if not _wrong(slot, composed, tools, pictures=1):
                found[str(other)] = list(composed.parts)
    return found


def _alternative(
    slot: Slot, version: _Version, handles: Sequence[str], tools: Tools
) -> tuple[Words, Composed] | None:
    """The second version, when it is fit to be published. A thread's is a single post."""
    first = version.words
    text = whole_sentences(version.answer.alternative, shape_of(slot).chars)
    links = _links(slot, tools)
    words = clean(first.headline, [text], first.cta, first.hashtags, [], handles=handles, links=links)
    composed = _compose(slot, words, slot.platform, "post" if slot.format == "thread" else slot.format)
    same = list(composed.parts) == list(version.composed.parts)
    unfit = same or not words.texts or _wrong(slot, composed, tools)
    return None if unfit else (words, composed)
