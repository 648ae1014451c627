"""Whether a post may go out: the platform's rules, and what the brand and the mission rule out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pressroom.domain.definitions import BrandContext
from pressroom.domain.platforms import HASHTAG, Draft, violations
from pressroom.pipelines.answers import says_something
from pressroom.pipelines.mission.writing.composing import Composed
from pressroom.pipelines.mission.writing.exclusions import excluded

_NUMBER = re.compile(r"^\d+/\d+ ")


def forbidden(text: str, excluded_topics: Sequence[str], brand: BrandContext | None) -> list[str]:
    """What the text touches of what it must not, a line each."""
    found = []
    topic = excluded(text, excluded_topics)
    if topic is not None:
        found.append(f"it touches the excluded topic {topic!r}")
    if brand is not None:
        found += [f"it uses the banned word {one!r}" for one in brand.banned_words if excluded(text, [one])]
        found += [f"it names the competitor {one!r}" for one in brand.competitors if excluded(text, [one])]
    return found


def carries(text: str, needed: str) -> bool:
    """Whether a text has another one in it, whatever its case. Whole words: "#ad" is not in "#adventure"."""
    before = r"(?<!\w)" if needed[:1].isalnum() else ""
    after = r"(?!\w)" if needed[-1:].isalnum() else ""
    return re.search(f"{before}{re.escape(needed.casefold())}{after}", text.casefold()) is not None


def lacking(text: str, brand: BrandContext | None) -> list[str]:
    """The brand's disclosures that a text does not carry."""
    return [one.strip() for one in brand.disclosures if not carries(text, one.strip())] if brand else []


def problems(
    post: Composed,
    *,
    media: int,
    alt: str = "",
    brand: BrandContext | None,
    excluded_topics: Sequence[str],
) -> list[str]:
    """Everything that keeps a post from being published, a line each; empty when nothing does.

    ``media``: how many pictures; ``alt``: what is told about them.
    """
    draft = Draft(post.platform, post.format, post.parts, post.options.get("title", ""), media, alt)
    found = [violation.detail for violation in violations(draft)]
    text = "\n".join(post.parts)
    found += forbidden("\n".join([text, *post.options.values(), alt]), excluded_topics, brand)
    found += [f"it lacks the disclosure {one!r}" for one in lacking(text, brand)]
    return found


def silent(post: Composed) -> list[str]:
    """The parts that say nothing, as a model's may: punctuation and hashtags. A line each."""
    return [
        f"part {number} says nothing" if len(post.parts) > 1 else "it says nothing but hashtags"
        for number, part in enumerate(post.parts, start=1)
        if not says_something(HASHTAG.sub("", _NUMBER.sub("", part)), 4)
    ]
