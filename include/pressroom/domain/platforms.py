"""The rules of each network, as dated data, and the checks of posts against them."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import regex

from pressroom.domain.markup.cutting import SIGN
from pressroom.domain.markup.weighted import parse_tweet
from pressroom.domain.social import Platform

HASHTAG = regex.compile(r"(?<![\w&/#])#(?=\w*\p{L})\w+")
"""A hashtag in a text. It has a letter ("#1" is not a hashtag) and is not part of a URL."""

LONGEST_PARSED = 600
"""As much text is searched for URLs at once: the time grows faster than the square of the length."""

LIGHTEST = 0.2
"""The least weight of a character: the longest emoji that Unicode recommends has ten, and X counts it as
two. A link weighs less than that.
"""

_FAR_TOO_LONG = 280.0
"""No post of X weighs more."""

_WORD = regex.compile(r"\s*\S+\s*|\s+")
_LINK = regex.compile(r"(https?://[^\s/?#]+[/?#])(\S+)", regex.IGNORECASE)
_INSIDE = regex.compile(r"([\w\-/&=%+.]{8})[\w\-/&=%+.]{16,}([\w\-/&=%+.]{8})", regex.ASCII)

_EMOJI = regex.compile(r"[\p{Emoji_Presentation}\p{Extended_Pictographic}\U0001F1E6-\U0001F1FF\u20E3\uFE0F]")


@dataclass(frozen=True)
class PlatformRules:
    """A network's rules. Lengths by its own ``counting``. None: no known limit.

    ``source``: where the rules were read. ``bytes``: of a text, in UTF-8. ``title`` and ``alt``: characters.
    ``hashtags_most``: in one part. ``few`` and ``many``: hashtags of a post. ``short`` and ``long``:
    characters to aim at. ``times``: default posting times, local, "HH:MM".
    """

    name: str
    source: str
    counting: Literal["weighted", "graphemes", "emoji_bytes", "characters"]
    text: int
    formats: tuple[str, ...]
    media_most: int
    alt: int
    few: int
    many: int
    short: int
    long: int
    times: tuple[str, ...]
    bytes: int | None = None
    title: int | None = None
    thread_parts: int = 1
    media_required: bool = False
    hashtags_most: int | None = None


Rule = Literal[
    "empty", "text", "title", "hashtags", "media_required", "media_most", "thread", "format", "alt"
]


@dataclass(frozen=True)
class Violation:
    """A rule that a post breaks. ``detail`` says by how much."""

    rule: Rule
    detail: str


@dataclass(frozen=True)
class Draft:
    """A post as it would be published. ``media``: the number of pictures."""

    platform: Platform
    format: str
    parts: Sequence[str]
    title: str = ""
    media: int = 0
    alt: str = ""


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files(__package__).joinpath("platforms.toml").read_text("utf-8"))


@cache
def rules(platform: Platform) -> PlatformRules:
    """The network's rules."""
    row: Mapping[str, Any] = _table()["platforms"][platform.value]
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return PlatformRules(**values)


def meaning(kind: str) -> str:
    """The description of a format. Raises KeyError."""
    words: str = _table()["formats"][kind]
    return words


def length_of(platform: Platform, text: str) -> int:
    """The length of a text as the network counts it."""
    counting = rules(platform).counting
    if counting == "weighted":
        return _weighted(text)
    composed = unicodedata.normalize("NFC", text)
    if counting == "characters":
        return len(composed)
    seen = SIGN.findall(composed)
    if counting == "graphemes":
        return len(seen)
    return sum(len(sign.encode()) if _EMOJI.search(sign) else len(sign) for sign in seen)


def _weighted(text: str) -> int:
    """The length by X's public rules: any link counts as 23. In texts that are far too long beside their
    links, addresses without https:// count by their characters.
    """
    if _lightest(text) > _FAR_TOO_LONG:
        bare = _LINK.sub("x" * 23, text).replace(".", "\u00b7")  # as long as a dot, and makes no URL
        return int(parse_tweet(bare).weightedLength)
    return sum(int(parse_tweet(part).weightedLength) for part in _parts(text))


def _lightest(text: str) -> float:
    """The least that the text can weigh: what its links do is left out."""
    return len(_LINK.sub("", text)) * LIGHTEST


def _parts(text: str) -> Iterator[str]:
    """A text in parts in which URLs are searched in little time. No URL goes on behind a blank."""
    part = ""
    for word in _WORD.findall(text):
        if len(word) > LONGEST_PARSED:  # the middle of a link changes nothing
            word = _LINK.sub(lambda link: link[1] + _INSIDE.sub(r"\1\2", link[2]), word)
        if len(word) > LONGEST_PARSED:  # no link, and longer than any post
            word = word.replace(".", "\u00b7")
        if part and len(part) + len(word) > LONGEST_PARSED:
            yield part
            part = ""
        part += word
    if part:
        yield part


def fits(platform: Platform, text: str, most: int | None = None) -> bool:
    """Whether a part of a post is short enough. ``most``: a stricter limit than the network's."""
    own = rules(platform)
    limit = own.text if most is None else most
    if own.bytes is not None and len(text.encode()) > own.bytes:
        return False
    # Weighing takes time for every character, and cutting a text weighs it often.
    if own.counting == "weighted" and _lightest(text) > limit:
        return False
    return length_of(platform, text) <= limit


def hashtags_in(text: str) -> list[str]:
    """The hashtags of a text, in order."""
    return [str(match) for match in HASHTAG.findall(text)]


def violations(draft: Draft) -> list[Violation]:
    """Every rule of the network that the post breaks."""
    own = rules(draft.platform)
    return [*_of_form(draft, own), *_of_parts(draft, own), *_of_media(draft, own)]


def _of_form(draft: Draft, own: PlatformRules) -> list[Violation]:
    wrong: list[Violation] = []
    if draft.format not in own.formats:
        wrong.append(Violation("format", f"{own.name} has no {draft.format}"))
    number = len(draft.parts)
    if not number:
        wrong.append(Violation("empty", "there is no text"))
    if draft.format == "thread" and number == 1:
        wrong.append(Violation("thread", "a thread has at least two parts"))
    most = own.thread_parts if draft.format == "thread" else 1
    if number > most:
        wrong.append(Violation("thread", f"{number} parts, and {own.name} takes {most} for a {draft.format}"))
    if own.title is not None and len(draft.title) > own.title:
        over = len(draft.title) - own.title
        wrong.append(Violation("title", f"the title is {over} longer than the {own.title} of {own.name}"))
    return wrong


def _of_parts(draft: Draft, own: PlatformRules) -> list[Violation]:
    wrong: list[Violation] = []
    for number, part in enumerate(draft.parts, start=1):
        where = f"part {number}" if len(draft.parts) > 1 else "the text"
        if not part.strip():
            wrong.append(Violation("empty", f"{where} is empty"))
        over = length_of(draft.platform, part) - own.text
        if over > 0:
            wrong.append(Violation("text", f"{where} is {over} longer than the {own.text} of {own.name}"))
        if own.bytes is not None and len(part.encode()) > own.bytes:
            wrong.append(Violation("text", f"{where} has more than the {own.bytes} bytes of {own.name}"))
        tags = len(hashtags_in(part))
        if own.hashtags_most is not None and tags > own.hashtags_most:
            detail = f"{where} has {tags} hashtags, and {own.name} takes {own.hashtags_most}"
            wrong.append(Violation("hashtags", detail))
    return wrong


def _of_media(draft: Draft, own: PlatformRules) -> list[Violation]:
    wrong: list[Violation] = []
    if own.media_required and not draft.media:
        wrong.append(Violation("media_required", f"{own.name} takes no post without a picture"))
    if draft.media > own.media_most:
        detail = f"{draft.media} pictures, and {own.name} takes {own.media_most}"
        wrong.append(Violation("media_most", detail))
    over = len(draft.alt) - own.alt
    if over > 0:
        detail = f"the picture's description is {over} longer than the {own.alt} of {own.name}"
        wrong.append(Violation("alt", detail))
    return wrong
