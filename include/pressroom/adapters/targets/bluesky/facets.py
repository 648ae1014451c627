"""What in a text is a link or a hashtag, in the words of the AT protocol: by offsets in its UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import regex

from pressroom.domain.markup.cutting import SIGN

GRAPHEMES, BYTES = 300, 3000
_TAG_GRAPHEMES, _TAG_BYTES = 64, 640

_LINK = regex.compile(r"(?<![\w@])https?://[^\s<>\"]+", regex.IGNORECASE)
# What servers take for an address. They refuse a whole post for a link that is none.
_ADDRESS = regex.compile(r"https?://[^\s/]", regex.IGNORECASE)
_TAG = regex.compile(r"(?<!\S)[#＃](?!\ufe0f)(?=\S*[^\d\s\p{P}])[^\s#＃\u00ad\u2060\u200a-\u200d\u20e2]+")
_LAST = ".,;:!?'\"…"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def graphemes(text: str) -> int:
    """What its readers count as characters."""
    return len(SIGN.findall(text))


def facets(text: str) -> list[dict[str, Any]]:
    """Links and hashtags of a text, in order."""
    spans: list[tuple[int, int, dict[str, str]]] = []
    for match in _LINK.finditer(text):
        uri = _trimmed(match.group())
        if not _ADDRESS.match(uri):  # of a text about links: "begins with https://."
            continue
        feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
        spans.append((match.start(), match.start() + len(uri), feature))
    for match in _TAG.finditer(text):
        tag = regex.sub(r"\p{P}+$", "", match.group()[1:])
        if tag and graphemes(tag) <= _TAG_GRAPHEMES and len(tag.encode()) <= _TAG_BYTES:
            feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
            spans.append((match.start(), match.start() + 1 + len(tag), feature))
    return [
        {
            "$type": "app.bsky.richtext.facet",
            "index": {"byteStart": _bytes(text, start), "byteEnd": _bytes(text, end)},
            "features": [feature],
        }
        for start, end, feature in sorted(spans, key=lambda facet: facet[0])
    ]


def _trimmed(uri: str) -> str:
    """A link without the punctuation of the sentence around it."""
    while uri:
        last = uri[-1]
        unpaired = last in _PAIRS and uri.count(last) > uri.count(_PAIRS[last])
        if last not in _LAST and not unpaired:
            break
        uri = uri[:-1]
    return uri


def _bytes(text: str, end: int) -> int:
    return len(text[:end].encode())
