"""Whether a post may be published: the rules of the platform, the brand and the mission."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pressroom.domain.definitions import BrandContext
from pressroom.domain.markup.lines import says_something
from pressroom.domain.platforms import HASHTAG, Draft, violations
from pressroom.pipelines.mission.writing.composing import Composed
from pressroom.pipelines.mission.writing.exclusions import excluded

_NUMBER = re.compile(r"^\d+/\d+ ")


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
