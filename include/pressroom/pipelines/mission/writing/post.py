"""One slot → one post: the prompt, the post made of the answer, and a second try when it breaks a rule."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pressroom.domain.errors import InvalidAnswer
from pressroom.domain.markup.html import clip, says_something
from pressroom.domain.model import ImageRequest, Prompt
from pressroom.domain.platforms import meaning, rules
from pressroom.domain.social import Platform
from pressroom.pipelines.answers import tokens_for
from pressroom.pipelines.mission.writing.answers import (
    PostAnswer,
    PostShape,
    SlotToWrite,
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
"""The letters that a text must keep after forbidden sentences were removed."""


@dataclass(frozen=True)
class StoredPicture:
    """A stored picture."""

    url: str
    media_type: str
    alt: str


@dataclass(frozen=True)
class WrittenPost:
    """A finished post. ``doubts``: why a person should review it; '' when nobody needs to.

    ``adaptations``: platform → the same message in that platform's form. ``alternative``: a second version
    that a person can choose. ``confidence``: the model's, 0 to 1.
    """

    composed: Composed
    words: Words
    picture: StoredPicture | None
    confidence: float
    model: str
    doubts: str = ""
    adaptations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    alternative: tuple[Words, Composed] | None = None


@dataclass(frozen=True)
class _Version:
    """The post made of one answer. ``wrong``: why it cannot be published."""

    answer: PostAnswer
    words: Words
    composed: Composed
    wrong: Sequence[str]


async def write(slot: SlotToWrite, tools: Tools) -> WrittenPost:
    """One AI call, and a second one when the first post breaks a rule or fails the brand's tone rubric.

    The rubric is checked in a call of its own. A post that fails it twice has ``doubts``. Raises
    InvalidAnswer, naming what is wrong, when both posts break a rule; and what ``generate``, ``draw`` and
    ``put`` raise.
    """
    mission = tools.mission
    handles = handles_in(_own_texts(slot, tools))  # nobody else may be mentioned
    shape = shape_of(slot, mentions=bool(handles), alternative=mission.ab_variants)
    facts = _facts(slot, shape, handles, tools)
    form = answer_type(shape)
    answer = await tools.text.generate(await _prompt("post", slot, tools, shape.tokens, **facts), form)
    version = _version(slot, answer, handles, tools)
    doubts = "" if version.wrong else await _tone(slot, version.composed, tools)
    if version.wrong or doubts:
        reasons = {"problems": version.wrong or [doubts], "before": list(version.composed.parts)}
        repair = await _prompt("post_repair", slot, tools, shape.tokens, **facts, **reasons)
        second = _version(slot, await tools.text.generate(repair, form), handles, tools)
        if second.wrong and version.wrong:
            second = _without_the_forbidden(slot, second, tools)
        if not second.wrong:
            version, doubts = second, await _tone(slot, second.composed, tools)
        elif version.wrong:
            wrong = "; ".join(second.wrong)
            raise InvalidAnswer(f"the {slot.format} for {slot.platform} cannot be published: {wrong}")
    return WrittenPost(
        composed=version.composed,
        words=version.words,
        picture=await _picture(slot, version, tools) if shape.picture else None,
        confidence=min(max(version.answer.confidence, 0), 100) / 100,
        model=tools.text.model,
        doubts=doubts,
        adaptations=_adaptations(slot, version.words, tools),
        alternative=_alternative(slot, version, handles, tools) if mission.ab_variants else None,
    )


def _own_texts(slot: SlotToWrite, tools: Tools) -> list[str]:
    """The texts of the mission and the brand."""
    mission, brand = tools.mission, slot.brand
    own = [mission.description, *mission.objectives, *(source.text for source in mission.sources)]
    return [*own, *([brand.voice, *brand.dos, *brand.examples, *brand.disclosures] if brand else [])]


def _links(slot: SlotToWrite, tools: Tools) -> set[str]:
    """The web addresses that a post may contain."""
    return {
        *links_in(_own_texts(slot, tools)),
        *(source.url for source in tools.mission.sources if source.url),
    }


def _facts(slot: SlotToWrite, shape: PostShape, handles: Sequence[str], tools: Tools) -> dict[str, Any]:
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
        "sources": [
            clip(f"{source.title}: {source.text}", SOURCE_CHARS) for source in mission.sources[:SOURCES]
        ],
        "revision": slot.revision,
        "guidance": slot.guidance,
    }


async def _prompt(name: str, slot: SlotToWrite, tools: Tools, tokens: int, **variables: Any) -> Prompt:
    return await render(
        name, account=tools.account, workflow=tools.mission, brand=slot.brand, max_tokens=tokens, **variables
    )


def _version(slot: SlotToWrite, answer: PostAnswer, handles: Sequence[str], tools: Tools) -> _Version:
    """The post made of an answer, and what is wrong with it."""
    words = clean(
        answer.headline, answer.texts, answer.cta, answer.hashtags, answer.mentions, handles=handles,
        links=_links(slot, tools),
    )  # fmt: skip
    if not says_something(words.headline, 3) or _forbidden(words.headline, slot, tools):
        words = replace(words, headline=clip(slot.topic, 100))  # no topic of the calendar is forbidden
    composed = _compose(slot, words, slot.platform, slot.format)
    wrong = _wrong(slot, composed, tools)
    # The checks would accept a post with only a call to action or hashtags.
    return _Version(answer, words, composed, wrong if words.texts or wrong else ["it says nothing"])


def _without_the_forbidden(slot: SlotToWrite, version: _Version, tools: Tools) -> _Version:
    """Remove forbidden sentences that both answers kept. Returns the version unchanged when too little text
    would remain.
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


def _compose(slot: SlotToWrite, words: Words, platform: Platform, kind: str) -> Composed:
    """The post, with every disclosure."""

    def made(disclosures: Sequence[str]) -> Composed:
        return compose(
            words, platform, kind, pillar_tag=slot.pillar_tag,
            many_hashtags=slot.choices.get("hashtags") == "many", disclosures=disclosures,
        )  # fmt: skip

    composed = made(lacking("\n".join([*words.texts, words.cta]), slot.brand))
    # A disclosure inside the text may have been cut off with it.
    lost = lacking("\n".join(composed.parts), slot.brand)
    return (
        made([disclosure.strip() for disclosure in slot.brand.disclosures])
        if lost and slot.brand
        else composed
    )


def _wrong(slot: SlotToWrite, composed: Composed, tools: Tools, *, pictures: int | None = None) -> list[str]:
    """What is wrong with a post. ``pictures``: their number; None: what its slot asks for."""
    media = int(shape_of(slot).picture) if pictures is None else pictures
    excluded = tools.mission.constraints.excluded_topics
    return [*problems(composed, media=media, brand=slot.brand, excluded_topics=excluded), *silent(composed)]


def _forbidden(text: str, slot: SlotToWrite, tools: Tools) -> list[str]:
    return forbidden(text, tools.mission.constraints.excluded_topics, slot.brand)


async def _tone(slot: SlotToWrite, composed: Composed, tools: Tools) -> str:
    """Why the post fails the brand's tone rubric; '' when it passes or the brand has no rubric."""
    rubric = list(slot.brand.tone_rubric) if slot.brand else []
    if not rubric:
        return ""
    text = "\n\n".join(composed.parts)
    prompt = await _prompt(
        "tone_check", slot, tools, tokens_for(40 * len(rubric)), questions=rubric, text=text
    )
    answer = await tools.text.generate(replace(prompt, temperature=0.0), tone_type(len(rubric)))
    said = [*answer.answers, *[False] * len(rubric)]  # a question without an answer counts as no
    failed = [question for question, yes in zip(rubric, said, strict=False) if not yes]
    return f"the tone check says no to: {'; '.join(failed)}" if failed else ""


async def _picture(slot: SlotToWrite, version: _Version, tools: Tools) -> StoredPicture:
    """Draw and store the post's picture. Files are named by content hash, so a repeat stores one file."""
    settings, brand = tools.mission.images, slot.brand
    candidates = [clip(version.answer.picture, 200), slot.topic, slot.choices.get("pillar", "")]
    shown = next(
        (
            candidate
            for candidate in candidates
            if says_something(candidate, 4) and not _forbidden(candidate, slot, tools)
        ),
        "",
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
    return StoredPicture(url, result.media_type, clip(shown, min(rules(slot.platform).alt, 300)))


def _adaptations(slot: SlotToWrite, words: Words, tools: Tools) -> dict[str, list[str]]:
    """The same message for the mission's other platforms, where their rules permit it.

    Texts only: the user of an adaptation adds the picture that a platform demands.
    """
    adapted = {}
    for other in tools.mission.platforms:
        if other != slot.platform:
            composed = _compose(slot, words, other, rules(other).formats[0])
            if not _wrong(slot, composed, tools, pictures=1):
                adapted[str(other)] = list(composed.parts)
    return adapted


def _alternative(
    slot: SlotToWrite, version: _Version, handles: Sequence[str], tools: Tools
) -> tuple[Words, Composed] | None:
    """The second version, when it can be published. A thread's is a single post."""
    first = version.words
    links = _links(slot, tools)
    text = version.answer.alternative
    words = clean(first.headline, [text], first.cta, first.hashtags, [], handles=handles, links=links)
    composed = _compose(slot, words, slot.platform, "post" if slot.format == "thread" else slot.format)
    same = list(composed.parts) == list(version.composed.parts)
    unusable = same or not words.texts or _wrong(slot, composed, tools)
    return None if unusable else (words, composed)
