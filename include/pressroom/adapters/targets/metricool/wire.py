"""Metricool's wire format: our posts in its words, and its answers in ours. Pure functions."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
from pendulum import Timezone

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.adapters.targets.text import cut
from pressroom.domain.errors import PermanentError
from pressroom.domain.platforms import rules
from pressroom.domain.publishing import Delivery, Picture, Placed
from pressroom.domain.social import Platform

Json = dict[str, Any]

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
    zone: Timezone | None = None
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


def creation(
    post: MetricoolArguments, at: datetime, pictures: Sequence[Picture], hosted: Sequence[str], board: str
) -> Json:
    """The body that schedules a post. ``hosted``: the pictures' URLs at Metricool, in order; ``board``: for a
    pin that names none. Raises PermanentError for an unknown time zone.
    """
    when = publication(at, post.timezone)
    first, *others = [_part(post.network, text, when) for text in post.parts]
    first |= {"autoPublish": True, "draft": False, "shortener": False, "hasNotReadNotes": False}
    first[f"{post.network}Data"] = _network_data(post, board)
    if hosted:
        alts = [cut(picture.alt, rules(post.network).alt) for picture in pictures]
        first |= {"media": list(hosted), "mediaAltText": alts}
    if others:
        first["descendants"] = others
    return first


def _part(platform: Platform, text: str, when: Json) -> Json:
    return {"text": text, "providers": [{"network": str(platform)}], "publicationDate": when}


def _network_data(post: MetricoolArguments, board: str) -> Json:
    match post.network:
        case Platform.TWITTER:
            return {"tags": []}
        case Platform.LINKEDIN:
            return {"previewIncluded": True}
        case Platform.FACEBOOK | Platform.INSTAGRAM:
            return {"type": "POST"}
        case Platform.PINTEREST:
            pin = {"boardId": post.board or board, "pinTitle": post.title, "pinLink": post.link}
            return {**{key: value for key, value in pin.items() if value}, "pinNewFormat": True}
        case Platform.THREADS | Platform.BLUESKY:
            return {}


@dataclass(frozen=True)
class ScheduledEntry:
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

    def is_of(self, post: MetricoolArguments, at: datetime | None) -> bool:
        """Whether it is this post: the same network, text and, unless ``at`` is None, second.

        A list can show a thread's first part alone.
        """
        same_time = at is None or self.at == at.astimezone(UTC).replace(microsecond=0)
        own, theirs = [plain(text) for text in post.parts], [plain(text) for text in self.parts]
        same_text = " ".join(own) == " ".join(theirs) or (len(theirs) == 1 and theirs[0] == own[0])
        return self.on(post.network) and same_time and same_text


def scheduled(entry: Mapping[str, Any]) -> ScheduledEntry | None:
    """What an entry of the list says; None when it lacks an id or a time."""
    at = instant(entry.get("publicationDate"))
    if entry.get("id") is None or at is None:
        return None
    children = [child for child in entry.get("descendants") or [] if isinstance(child, Mapping)]
    statuses, *below = [_statuses(part) for part in (entry, *children)]
    everywhere = [status for group in (statuses, *below) for status in group]
    return ScheduledEntry(
        id=str(entry["id"]),
        uuid=str(entry.get("uuid") or ""),
        at=at,
        parts=tuple(str(part.get("text") or "") for part in (entry, *children)),
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
    return [dict(provider) for provider in entry.get("providers") or [] if isinstance(provider, Mapping)]


def placed(entry: ScheduledEntry, preview_url: str) -> Placed:
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
    return Placed(entry.id, urls[0] if urls else "", delivery, detail, preview_url)


def plain(text: str) -> str:
    """A text as two copies of it are compared: composed characters, any white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def loose(text: str) -> str:
    """The same for what a network made of it: without links, which it shortens, and without HTML entities."""
    return plain(_URL.sub(" ", html.unescape(text)))


def near(at: datetime, other: datetime) -> bool:
    """Whether a network's time of a post can be that of its schedule: it may take a while to go out."""
    return abs(at - other) <= timedelta(minutes=15)


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


def _zone(name: str) -> Timezone:
    try:
        return pendulum.timezone(name)
    except (ValueError, OSError):
        raise PermanentError(f"unknown time zone {name!r}") from None
