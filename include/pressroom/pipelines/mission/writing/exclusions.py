"""Whether a text mentions a topic that the mission excludes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pressroom.domain.text import normalize

_SHORT = 4
"""Shorter words are compared as they are: the s of "gas" or "iOS" marks no plural."""


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
