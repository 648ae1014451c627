"""What each network accepts: dated data, and the checks by it."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import regex
from twitter_text import parse_tweet

from pressroom.domain.social import Platform

HASHTAG = regex.compile(r"(?<![\w&/#])#(?=\w*\p{L})\w+")
"""A hashtag in a text: has a letter, so that "#1" is none, and is no part of a URL."""

LONGEST_PARSED = 600
"""Characters in which URLs are looked for: the time it takes grows with the square of the length and more."""

LIGHTEST = 0.2
"""Least weight of a character: the longest emoji that Unicode recommends has ten, and X counts two for it."""

_EMOJI = regex.compile(r"[\p{Emoji_Presentation}\p{Extended_Pictographic}\U0001F1E6-\U0001F1FF\u20E3\uFE0F]")


@dataclass(frozen=True)
class PlatformRules:
    """A network's rules. Lengths by its own ``counting``; None: no limit is known.

    ``source``: where they were read. ``bytes``: of a text, in UTF-8. ``title`` and ``alt``: characters.
    ``hashtags_most``: in one part. ``few`` and ``many``: hashtags of a post; ``short`` and ``long``:
    characters to aim at; ``times``: local times to start from, "HH:MM".
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
    """What a network would refuse. ``rule`` names it; ``detail`` says by how much."""

    rule: Rule
    detail: str


@dataclass(frozen=True)
class Draft:
    """A post as it would be published. ``media``: how many pictures."""

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
    values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in row.items()}
    return PlatformRules(**values)


def meaning(kind: str) -> str:
    """What a format asks for, in words. Raises KeyError."""
    told: str = _table()["formats"][kind]
    return told


def length_of(platform: Platform, text: str) -> int:
    """How long the network takes a text to be."""
    counting = rules(platform).counting
    if counting == "weighted":
        return _weighted(text)
    composed = unicodedata.normalize("NFC", text)
    if counting == "characters":
        return len(composed)
    seen = regex.findall(r"\X", composed)
    if counting == "graphemes":
        return len(seen)
    return sum(len(one.encode()) if _EMOJI.search(one) else len(one) for one in seen)


def _weighted(text: str) -> int:
    """By the public rules; in texts so long that they can hardly fit, URLs count by their characters."""
    if len(text) > LONGEST_PARSED:
        text = text.replace(".", "\u00b7")  # as long as a dot, and no URL is found
    return int(parse_tweet(text).weightedLength) if text else 0


def fits(platform: Platform, text: str, most: int | None = None) -> bool:
    """Whether a part of a post is short enough. ``most``: a stricter limit than the network's."""
    own = rules(platform)
    limit = own.text if most is None else most
    if own.bytes is not None and len(text.encode()) > own.bytes:
        return False
    # Weighing takes the time of every character, and whatever looks for the place to cut asks often.
    if own.counting == "weighted" and len(text) * LIGHTEST > limit:
        return False
    return length_of(platform, text) <= limit


def hashtags_in(text: str) -> list[str]:
    """The hashtags of a text, in order."""
    return [str(found) for found in HASHTAG.findall(text)]


def violations(draft: Draft) -> list[Violation]:
    """Everything that the network would refuse about a post; empty when it is fit to go."""
    own = rules(draft.platform)
    return [*_of_form(draft, own), *_of_parts(draft, own), *_of_media(draft, own)]


def _of_form(draft: Draft, own: PlatformRules) -> list[Violation]:
    found: list[Violation] = []
    if draft.format not in own.formats:
        found.append(Violation("format", f"{own.name} has no {draft.format}"))
    number = len(draft.parts)
    if not number:
        found.append(Violation("empty", "there is no text"))
    if draft.format == "thread" and number == 1:
        found.append(Violation("thread", "a thread has two parts at least"))
    most = own.thread_parts if draft.format == "thread" else 1
    if number > most:
        found.append(Violation("thread", f"{number} parts, and {own.name} takes {most} for a {draft.format}"))
    if own.title is not None and len(draft.title) > own.title:
        over = len(draft.title) - own.title
        found.append(Violation("title", f"the title is {over} longer than the {own.title} of {own.name}"))
    return found


def _of_parts(draft: Draft, own: PlatformRules) -> list[Violation]:
    found: list[Violation] = []
    for number, part in enumerate(draft.parts, start=1):
        where = f"part {number}" if len(draft.parts) > 1 else "the text"
        if not part.strip():
            found.append(Violation("empty", f"{where} is empty"))
        over = length_of(draft.platform, part) - own.text
        if over > 0:
            found.append(Violation("text", f"{where} is {over} longer than the {own.text} of {own.name}"))
        if own.bytes is not None and len(part.encode()) > own.bytes:
            found.append(Violation("text", f"{where} has more than the {own.bytes} bytes of {own.name}"))
        tags = len(hashtags_in(part))
        if own.hashtags_most is not None and tags > own.hashtags_most:
            told = f"{where} has {tags} hashtags, and {own.name} takes {own.hashtags_most}"
            found.append(Violation("hashtags", told))
    return found


def _of_media(draft: Draft, own: PlatformRules) -> list[Violation]:
    found: list[Violation] = []
    if own.media_required and not draft.media:
        found.append(Violation("media_required", f"{own.name} takes no post without a picture"))
    if draft.media > own.media_most:
        told = f"{draft.media} pictures, and {own.name} takes {own.media_most}"
        found.append(Violation("media_most", told))
    over = len(draft.alt) - own.alt
    if over > 0:
        told = f"the picture's description is {over} longer than the {own.alt} of {own.name}"
        found.append(Violation("alt", told))
    return found
