"""Words → a post as it will be published. Deterministic: a text that is too long is cut without a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import regex

from pressroom.domain.markup.cutting import FAR, SENTENCE_END, beginning
from pressroom.domain.markup.html import clip, plain, says_something
from pressroom.domain.platforms import HASHTAG, PlatformRules, fits, hashtags_in, rules
from pressroom.domain.social import Platform
from pressroom.domain.text import to_json
from pressroom.pipelines.mission.writing.answers import hashtag

HEADLINE_CHARS = 100
CTA_CHARS = 120
HASHTAG_CHARS = 40
LEAST_TEXT = 60
"""The characters of text that hashtags must leave."""

_HANDLE = re.compile(r"(?<![\w@./])@(\w(?:[\w.-]{0,48}\w)?)")
_LAST_TAGS = regex.compile(r"(?:\s*(?<![\w&/#])#(?=\w*\p{L})\w+)+\s*$")
_LINK = re.compile(r"(?:https?://|\bwww\.)\S*[^\s.,;:!?)\]\"'\u201d\u2019]", re.IGNORECASE)
_ITEM = re.compile(r"^\s*\d{1,2}[.)]\s+(?=\D)")
_NEXT_ITEM = re.compile(r"\s2[.)]\s")
_NUMBERED = re.compile(r"^\s*\(?(\d{1,2})\s*(?:/\s*\d{0,2}\s*[).:-]?|[.):])\s+")


@dataclass(frozen=True)
class Words:
    """What the model wrote, cleaned. ``texts``: the body, an article's paragraphs, or a thread's parts."""

    headline: str
    texts: Sequence[str]
    cta: str
    hashtags: Sequence[str]
    mentions: Sequence[str]


@dataclass(frozen=True)
class Composed:
    """A post as it will be published. ``options``: settings of one platform, such as a title."""

    platform: Platform
    format: str
    parts: Sequence[str]
    hashtags: Sequence[str]
    mentions: Sequence[str]
    options: Mapping[str, str] = field(default_factory=dict)


def links_in(texts: Collection[str]) -> set[str]:
    """Every web address in the texts."""
    return {link for text in texts for link in _LINK.findall(text)}


def handles_in(texts: Collection[str]) -> list[str]:
    """Every @name in the texts, each once."""
    handles = {name.casefold(): f"@{name}" for text in texts for name in _HANDLE.findall(text)}
    return list(handles.values())


def clean(
    headline: str,
    texts: Sequence[str],
    cta: str,
    hashtags: Sequence[str],
    mentions: Sequence[str],
    *,
    handles: Sequence[str] = (),
    links: Collection[str] = (),
) -> Words:
    """Plain text, without the model's hashtags and numbering in it: ``compose`` puts them in their places.

    ``handles`` and ``links``: the @names and addresses that the prompt contained. All others are invented:
    an address is removed, and so is the @ of a name, which could be a stranger's.
    """
    tags = [tag for text in hashtags if (tag := _tag(text))]
    known = {name.casefold(): name for name in handles}
    named = [known.get(f"@{plain(text).lstrip('@').casefold()}") for text in mentions]
    numbers = [_NUMBERED.match(text) for text in texts]
    if len(texts) > 1 and all(number and int(number[1]) == at for at, number in enumerate(numbers, start=1)):
        texts = [_NUMBERED.sub("", text) for text in texts]
    bodies = [_once(_bare(text, known, links)) for text in texts]
    return Words(
        clip(_bare(headline, known, links), HEADLINE_CHARS),
        [text for text in bodies if says_something(text, 4)],
        clip(_bare(cta, known, links), CTA_CHARS),
        list({tag.casefold(): tag for tag in reversed(tags)}.values())[::-1],
        list(dict.fromkeys(name for name in named if name)),
    )


def _tag(text: str) -> str:
    """A text as a hashtag; '' for an address, a number or a sentence."""
    word = _ITEM.sub("", plain(text).lstrip("#"))
    tag = "" if _LINK.search(word) else hashtag(word)
    digits = sum(char.isdigit() for char in tag)
    return tag if len(tag) <= HASHTAG_CHARS and 3 * digits < len(tag) else ""


def _bare(text: str, handles: Mapping[str, str], links: Collection[str]) -> str:
    """One line: hashtags at the end are removed; hashtags and strangers' names inside it become words."""
    line = _LINK.sub(lambda link: link[0] if link[0] in links else "", _LAST_TAGS.sub("", plain(text)))
    line = HASHTAG.sub(lambda tag: str(tag[0])[1:], line)
    line = _HANDLE.sub(lambda name: handles.get(name[0].casefold(), name[1]), line)
    return plain(line if _NEXT_ITEM.search(line) else _ITEM.sub("", line))


def _once(text: str) -> str:
    """The text with each of its sentences once: small models repeat themselves."""
    ends = [0, *(match.end() for match in SENTENCE_END.finditer(text)), len(text)]
    sentences: dict[str, str] = {}
    for start, end in pairwise(ends):
        sentences.setdefault(text[start:end].strip().casefold(), text[start:end])
    return "".join(sentences.values()).strip()


def compose(
    words: Words,
    platform: Platform,
    kind: str,
    *,
    pillar_tag: str,
    many_hashtags: bool,
    disclosures: Sequence[str] = (),
) -> Composed:
    """The post for one platform: text, call to action, disclosures, mentions, hashtags, in this order.

    The pillar's hashtag comes first, so that a series can be found. ``disclosures``: those that the words
    lack. They are never cut; hashtags among them count towards the platform's limit. A thread's parts are
    numbered: the disclosures are in the first part, call to action, mentions and hashtags in the last.
    """
    own = rules(platform)
    texts = _texts(words, kind, own)
    threaded = len(texts) > 1
    if threaded:
        texts = [f"{number}/{len(texts)} {text}" for number, text in enumerate(texts, start=1)]
    first = _joined("\n\n", texts[:1])
    disclosed = " ".join(disclosures)
    parts = [
        with_tail(first, disclosed if threaded else "", platform),
        *(fit(text, platform) for text in texts[1:-1]),
    ]
    said = " ".join([*texts, words.cta]).casefold()
    extras = " ".join(name for name in words.mentions if name.casefold() not in said)
    tags = _tags(
        words, own, pillar_tag, many=many_hashtags, others=0 if threaded else len(hashtags_in(disclosed))
    )
    ending, tags = _ending(
        texts[-1] if texts else "", words.cta, [extras] if threaded else [disclosed, extras], tags, platform
    )
    options = {"title": clip(words.headline, own.title)} if own.title is not None and words.headline else {}
    return Composed(platform, kind, [*parts, ending] if threaded else [ending], tags, words.mentions, options)


def _texts(words: Words, kind: str, own: PlatformRules) -> list[str]:
    """The texts of the post's parts."""
    texts = list(words.texts)
    if kind == "thread":
        return texts[: own.thread_parts] if len(texts) > 1 else _halves(texts)
    if kind == "article":
        opening = texts[0][: len(words.headline)] if texts else ""
        repeated = opening.casefold() == words.headline.casefold()
        once = list(dict.fromkeys(texts))
        return [_joined("\n\n", [*([] if repeated else [words.headline]), *once])] if once else []
    return [" ".join(texts)] if texts else []


def _halves(texts: list[str]) -> list[str]:
    """A text of several sentences as a thread of two parts."""
    ends = [match.end() for text in texts for match in SENTENCE_END.finditer(text)]
    if not ends:
        return texts
    middle = min(ends, key=lambda end: abs(end - len(texts[0]) // 2))
    return [half for half in (texts[0][:middle].strip(), texts[0][middle:].strip()) if half]


def _tags(words: Words, own: PlatformRules, pillar_tag: str, *, many: bool, others: int) -> list[str]:
    wanted = own.many if many else own.few
    if own.hashtags_most is not None:
        wanted = max(0, min(wanted, own.hashtags_most - others))
    rest = [tag for tag in words.hashtags if tag.casefold() != pillar_tag.casefold()]
    return [tag for tag in [pillar_tag, *rest] if tag][:wanted]


def _ending(
    text: str, cta: str, extras: Sequence[str], tags: Sequence[str], platform: Platform
) -> tuple[str, list[str]]:
    """The last part, and the hashtags in it. When it is too long, the call to action is dropped first, then
    sentences of the text; hashtags only when they would leave hardly any text.
    """
    for number in range(len(tags), -1, -1):
        kept = list(tags[:number])
        tail = _joined("\n\n", [*extras, " ".join(kept)])
        asked = _joined("\n\n", [_joined("\n\n" if "\n\n" in text else " ", [text, cta]), tail])
        if number == len(tags) and fits(platform, asked):
            return asked, kept
        shorter = with_tail(text, tail, platform)
        if number == 0 or len(shorter) - len(tail) >= min(len(text), LEAST_TEXT):
            break
    return shorter, kept


def with_tail(text: str, tail: str, platform: Platform) -> str:
    """The text, cut to fit, with a tail that is never cut."""
    rest = f"\n\n{tail}" if tail else ""
    return f"{fit(text, platform, rest)}{rest}".strip()


def permitted(text: str, forbidden: Callable[[str], bool]) -> str:
    """The text without its forbidden sentences."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    starts = [0, *ends]
    sentences = [text[start:end].strip() for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return " ".join(sentence for sentence in sentences if sentence and not forbidden(sentence))


def fit(text: str, platform: Platform, rest: str = "") -> str:
    """The text, cut so that it fits into one part with ``rest`` after it.

    It is cut after a sentence when a good part of it is left, else as ``beginning`` does. '' when none fits.
    """
    if fits(platform, f"{text}{rest}"):
        return text
    text = text[: FAR * rules(platform).text]
    return beginning(text, lambda part: fits(platform, f"{part}{rest}"), sentences=True, links=True)


def _joined(between: str, texts: Sequence[str]) -> str:
    return between.join(text for text in texts if text)


def content_hash(
    platform: str,
    kind: str,
    parts: Sequence[str],
    options: Mapping[str, str],
    media_url: str | None,
    media_alt: str = "",
) -> str:
    """SHA-256 over everything that will be published. An approval is for one such hash."""
    facts = [platform, kind, list(parts), dict(sorted(options.items())), media_url, media_alt]
    return hashlib.sha256(to_json(facts).encode()).hexdigest()
