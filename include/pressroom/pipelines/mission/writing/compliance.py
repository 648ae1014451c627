"""Whether a post may be published: the rules of the platform, the brand and the mission."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pressroom.domain.definitions import BrandContext
from pressroom.domain.markup.html import says_something
from pressroom.domain.platforms import HASHTAG, Draft, violations
from pressroom.domain.text import normalize
from pressroom.pipelines.mission.writing.composing import Composed

_SHORT = 4
"""Shorter words are compared as they are: the s of "gas" or "iOS" marks no plural."""

_NUMBER = re.compile(r"^\d+/\d+ ")


def excluded(text: str, topics: Sequence[str]) -> str | None:
    """The first of the topics that the text mentions. None when it mentions no topic.

    Whole words count: "art" is not in "party". Case, punctuation and a regular English plural make no
    difference. A topic of several words is also found in a hashtag (#GunControl). In scripts without spaces
    any occurrence counts.
    """
    plain = _plain(text)
    words = [_singular(word) for word in plain.split()]
    running = f" {' '.join(words)} "
    for topic in topics:
        wanted = _plain(topic)
        if not wanted:
            # A topic of symbols only is compared character by character.
            if topic.strip() and topic.strip().casefold() in text.casefold():
                return topic
        elif any(unicodedata.category(char) == "Lo" for char in wanted):
            if wanted in plain:
                return topic
        else:
            parts = [_singular(word) for word in wanted.split()]
            # The words in a row, or the topic written as one word.
            if f" {' '.join(parts)} " in running or (len(parts) > 1 and _joined(wanted) in words):
                return topic
    return None


def _plain(text: str) -> str:
    return normalize(text.replace("_", " "))


def _joined(topic: str) -> str:
    return _singular(topic.replace(" ", ""))


def _singular(word: str) -> str:
    if len(word) < _SHORT or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > _SHORT:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def forbidden(text: str, excluded_topics: Sequence[str], brand: BrandContext | None) -> list[str]:
    """The excluded topics, banned words and competitors that the text mentions, a line each."""
    reasons = []
    topic = excluded(text, excluded_topics)
    if topic is not None:
        reasons.append(f"it touches the excluded topic {topic!r}")
    if brand is not None:
        reasons += [
            f"it uses the banned word {banned_word!r}"
            for banned_word in brand.banned_words
            if excluded(text, [banned_word])
        ]
        reasons += [
            f"it names the competitor {competitor!r}"
            for competitor in brand.competitors
            if excluded(text, [competitor])
        ]
    return reasons


def carries(text: str, needed: str) -> bool:
    """Whether a text contains ``needed`` as whole words, in any case: "#ad" is not in "#adventure"."""
    before = r"(?<!\w)" if needed[:1].isalnum() else ""
    after = r"(?!\w)" if needed[-1:].isalnum() else ""
    return re.search(f"{before}{re.escape(needed.casefold())}{after}", text.casefold()) is not None


def lacking(text: str, brand: BrandContext | None) -> list[str]:
    """The brand's disclosures that the text does not contain."""
    return (
        [disclosure.strip() for disclosure in brand.disclosures if not carries(text, disclosure.strip())]
        if brand
        else []
    )


def problems(
    post: Composed,
    *,
    media: int,
    alt: str = "",
    brand: BrandContext | None,
    excluded_topics: Sequence[str],
) -> list[str]:
    """Everything that keeps a post from being published, a line each.

    ``media``: the number of pictures; ``alt``: their alternative text.
    """
    draft = Draft(post.platform, post.format, post.parts, post.options.get("title", ""), media, alt)
    reasons = [violation.detail for violation in violations(draft)]
    text = "\n".join(post.parts)
    reasons += forbidden("\n".join([text, *post.options.values(), alt]), excluded_topics, brand)
    reasons += [f"it lacks the disclosure {disclosure!r}" for disclosure in lacking(text, brand)]
    return reasons


def silent(post: Composed) -> list[str]:
    """The parts without a word, only punctuation and hashtags: models write such. A line each."""
    return [
        f"part {number} says nothing" if len(post.parts) > 1 else "it says nothing but hashtags"
        for number, part in enumerate(post.parts, start=1)
        if not says_something(HASHTAG.sub("", _NUMBER.sub("", part)), 4)
    ]
