"""Metricool's wire format: our posts in its words, and its answers in ours. Pure functions."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pressroom.domain.errors import PermanentError
from pressroom.domain.social import Delivery, Platform, Receipt, Submission

Json = dict[str, Any]

OPTIONS = ("title", "link", "board", "article")
"""Every option that a submission can have; what its platform does not know is left out."""

THREADED = {Platform.TWITTER, Platform.THREADS, Platform.BLUESKY}
"""Where a post can have several parts."""

_URL = re.compile(r"https?://\S+")


def publication(at: datetime, timezone: str) -> Json:
    """A time as Metricool takes it: to the second, local, without an offset.

    A local time that comes twice, as when the clocks go back, means the first to Metricool: the second is
    sent in UTC.
    """
    at = at.astimezone(UTC).replace(microsecond=0)
    local = at.astimezone(_zone(timezone))
    if local.replace(fold=0).astimezone(UTC) != at:
        local, timezone = at, "UTC"
    return {"dateTime": local.strftime("%Y-%m-%dT%H:%M:%S"), "timezone": timezone}


def instant(value: Any) -> datetime | None:
    """A time in any form that Metricool writes it in, in UTC; None when it is none.

    Forms: {dateTime, timezone}, ISO 8601 (UTC when it has no offset), seconds or milliseconds since 1970.
    """
    zone: ZoneInfo | None = None
    if isinstance(value, Mapping):
        try:
            zone = _zone(str(value.get("timezone") or "UTC"))
        except PermanentError:
            return None
        value = value.get("dateTime")
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        at = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=zone or UTC)).astimezone(UTC)


def creation(post: Submission, media: Sequence[str], board: str) -> Json:
    """The body that schedules a post. ``media``: hosted URLs, in order; ``board``: for a pin that names none.

    Raises PermanentError for a post that Metricool has no form for.
    """
    unknown = sorted(set(post.options) - set(OPTIONS))
    if unknown:
        raise PermanentError(
            f"{post.platform}: unknown option {unknown[0]!r}; known are {', '.join(OPTIONS)}"
        )
    if not post.parts or not any(part.strip() for part in post.parts):
        raise PermanentError(f"{post.platform}: the post has no text")
    if len(post.parts) > 1 and post.platform not in THREADED:
        raise PermanentError(
            f"{post.platform}: there are no threads, and the post has {len(post.parts)} parts"
        )
    when = publication(post.at, post.timezone)
    first, *others = [_part(post.platform, text, when) for text in _texts(post)]
    first |= {"autoPublish": True, "draft": False, "shortener": False, "hasNotReadNotes": False}
    first[f"{post.platform}Data"] = _network_data(post, board)
    if media:
        first["media"] = list(media)
        first["mediaAltText"] = [one.alt for one in post.media]
    if others:
        first["descendants"] = others
    return first


def _part(platform: Platform, text: str, when: Json) -> Json:
    return {"text": text, "providers": [{"network": str(platform)}], "publicationDate": when}


def _texts(post: Submission) -> list[str]:
    """The texts as they are sent: LinkedIn makes its preview of an article out of a link in the text."""
    texts = list(post.parts)
    article = post.options.get("article", "")
    if post.platform is Platform.LINKEDIN and article and article not in texts[-1]:
        texts[-1] = f"{texts[-1]}\n\n{article}"
    return texts


def _network_data(post: Submission, board: str) -> Json:
    match post.platform:
        case Platform.TWITTER:
            return {"tags": []}
        case Platform.LINKEDIN:
            return {"previewIncluded": True}
        case Platform.FACEBOOK | Platform.INSTAGRAM:
            return {"type": "POST"}
        case Platform.PINTEREST:
            pin = {
                "boardId": post.options.get("board") or board,
                "pinTitle": post.options.get("title", ""),
                "pinLink": post.options.get("link", ""),
            }
            return {**{key: value for key, value in pin.items() if value}, "pinNewFormat": True}
        case Platform.THREADS | Platform.BLUESKY:
            return {}


@dataclass(frozen=True)
class Scheduled:
    """An entry of the scheduler's list. ``parts``: its texts; ``statuses``: one for each network it goes to.

    ``shown``: ids and URLs under which its parts are known at the networks, once they are out.
    """

    id: str
    uuid: str
    at: datetime
    parts: tuple[str, ...]
    statuses: tuple[Json, ...]
    shown: frozenset[str]
    trouble: str

    def on(self, platform: Platform) -> bool:
        """Whether it goes to a platform."""
        return any(status.get("network") == platform for status in self.statuses)

    def is_of(self, post: Submission) -> bool:
        """Whether it is this post: the same platform, second and text.

        A list can show a thread's first part alone.
        """
        same_time = self.at == post.at.astimezone(UTC).replace(microsecond=0)
        mine, theirs = [plain(text) for text in _texts(post)], [plain(text) for text in self.parts]
        same_text = " ".join(mine) == " ".join(theirs) or (len(theirs) == 1 and theirs[0] == mine[0])
        return self.on(post.platform) and same_time and same_text


def scheduled(entry: Mapping[str, Any]) -> Scheduled | None:
    """What an entry of the list says; None when it lacks an id or a time."""
    at = instant(entry.get("publicationDate"))
    if entry.get("id") is None or at is None:
        return None
    children = [child for child in entry.get("descendants") or [] if isinstance(child, Mapping)]
    statuses, *below = [_statuses(one) for one in (entry, *children)]
    everywhere = [status for group in (statuses, *below) for status in group]
    return Scheduled(
        id=str(entry["id"]),
        uuid=str(entry.get("uuid") or ""),
        at=at,
        parts=tuple(str(one.get("text") or "") for one in (entry, *children)),
        statuses=tuple(statuses),
        shown=frozenset(
            str(status[key]) for status in everywhere for key in ("id", "publicUrl") if status.get(key)
        ),
        trouble="; ".join(
            str(status.get("detailedStatus") or "the network refused it")
            for status in everywhere
            if status.get("status") == "ERROR"
        ),
    )


def _statuses(entry: Mapping[str, Any]) -> list[Json]:
    return [dict(one) for one in entry.get("providers") or [] if isinstance(one, Mapping)]


def receipt(entry: Scheduled, preview_url: str) -> Receipt:
    """Where an entry stands: failed when one network refused it, published when all have it."""
    states = [str(status.get("status") or "PENDING") for status in entry.statuses]
    if "ERROR" in states:
        delivery = Delivery.FAILED
    elif states and all(state == "PUBLISHED" for state in states):
        delivery = Delivery.PUBLISHED
    else:
        delivery = Delivery.PENDING
    urls = [str(status["publicUrl"]) for status in entry.statuses if status.get("publicUrl")]
    detail = entry.trouble or ("it is a draft there" if "DRAFT" in states else "")
    return Receipt(entry.id, delivery, preview_url, urls[0] if urls else "", detail)


def plain(text: str) -> str:
    """A text as two copies of it are compared: composed characters, any white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def loose(text: str) -> str:
    """The same for what a network made of it: without links, which it shortens, and without HTML entities."""
    return plain(_URL.sub(" ", html.unescape(text)))


def near(one: datetime, other: datetime) -> bool:
    """Whether a network's time of a post can be that of its schedule: it may take a while to go out."""
    return abs(one - other) <= timedelta(minutes=15)


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole shares by weight, alike when all weights are 0; their sum is ``total``."""
    if not weights:
        return []
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in rests[: total - sum(shares)]:
        shares[place] += 1
    return shares


def matching(entries: Iterable[Scheduled], post: Submission) -> Scheduled | None:
    """The entry that is this post; the oldest, should there be several."""
    found = [entry for entry in entries if entry.is_of(post)]
    return min(found, key=lambda entry: (len(entry.id), entry.id), default=None)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise PermanentError(f"unknown time zone {name!r}") from None
