"""Checks requests as strictly as Metricool. Raises Refused for those that it would refuse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pressroom.domain.social import Platform
from pressroom_dev.simulator.faults import PAST

Json = dict[str, Any]

_POST = {
    "id", "uuid", "publicationDate", "creationDate", "text", "firstCommentText", "providers", "media",
    "autoPublish", "saveExternalMediaFiles", "mediaAltText", "shortener", "draft", "location",
    "videoCoverMilliseconds", "videoThumbnailUrl", "parentId", "smartLinkData", "brandName", "targetBrandId",
    "descendants", "notes", "hasNotReadNotes", "copiedFrom", "creatorUserMail", "creatorUserId",
    "postApprovalData", "libraryPostId", "autolistData",
}  # fmt: skip
_DATA = {
    "twitterData": {"tags"},
    "facebookData": {"boost", "boostPayer", "boostBeneficiary", "type", "title"},
    "instagramData": {
        "autoPublish", "tags", "productTags", "carouselTags", "carouselProductTags", "type", "showReelOnFeed",
        "boost", "boostPayer", "boostBeneficiary", "audioName", "collaborators",
    },
    "linkedinData": {"documentTitle", "publishImagesAsPDF", "previewIncluded", "type", "poll"},
    "pinterestData": {"boardId", "pinTitle", "pinLink", "pinNewFormat"},
    "threadsData": {"allowedCountryCodes"},
    "blueskyData": {"postLanguages"},
    "smartLinkData": {"targetUrl", "ids"},
}  # fmt: skip
_KNOWN = _POST | set(_DATA) | {"youtubeData", "tiktokData", "gmbData"}
_WITH_MEDIA = {Platform.INSTAGRAM, Platform.PINTEREST}


class Refused(Exception):
    """A refused request. ``status``: of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def number(params: Mapping[str, str], name: str) -> int:
    """A required query parameter that is a whole number."""
    try:
        return int(params[name])
    except KeyError:
        raise Refused(f"Required request parameter '{name}' is not present") from None
    except ValueError:
        raise Refused(f"Parameter '{name}' must be a number") from None


def zone(name: str | None) -> ZoneInfo:
    """A time zone by its IANA name; UTC without a name."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise Refused(f"Unknown time zone '{name}'") from None


def moment(text: str | None, name: str, timezone: ZoneInfo) -> datetime:
    """A required parameter that is a time (ISO 8601, or a day as 20261122), in UTC.

    A time without an offset is in ``timezone``.
    """
    if not text:
        raise Refused(f"Required request parameter '{name}' is not present")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"Text '{text}' could not be parsed as a date") from None
    return (at if at.tzinfo else at.replace(tzinfo=timezone)).astimezone(UTC)


def new_post(body: Any, now: datetime) -> datetime:
    """Check a new post. Returns its time, in UTC. ``now``: the simulated time."""
    _check_shape(body)
    providers = body.get("providers")
    if not isinstance(providers, list) or not providers:
        raise Refused("At least one provider is needed")
    networks = {str(provider.get("network")) if isinstance(provider, dict) else "" for provider in providers}
    unknown = networks - {str(platform) for platform in Platform}
    if unknown:
        raise Refused(f"Unknown provider '{min(unknown)}'")
    _check_content(body, networks)
    publication = body.get("publicationDate")
    at = _publication(publication)
    if at <= now:
        raise Refused(f"Invalid value '{publication}'. {PAST}")
    for child in body.get("descendants") or []:
        _check_shape(child)
        if not _has_content(child):
            raise Refused("The post must have text or media")
    return at


def _check_shape(body: Any) -> None:
    if not isinstance(body, dict):
        raise Refused("A JSON object is needed")
    for key in sorted(body):
        if key not in _KNOWN:
            raise Refused(f'Unrecognized field "{key}" (class ScheduledPost), not marked as ignorable')
        if key.endswith("Data"):
            if not isinstance(body[key], dict):
                kind = "Array" if isinstance(body[key], list) else "another"
                raise Refused(f"Cannot deserialize value of type {key} from {kind} value")
            for inner in sorted(set(body[key]) - _DATA.get(key, set(body[key]))):
                raise Refused(f'Unrecognized field "{inner}" (class {key}), not marked as ignorable')


def _check_content(body: Json, networks: set[str]) -> None:
    if not _has_content(body):
        raise Refused("The post must have text or media")
    media = body.get("media") or []
    if not isinstance(media, list) or not all(isinstance(url, str) for url in media):
        raise Refused("Cannot deserialize value of media")
    for platform in sorted(networks & {str(network) for network in _WITH_MEDIA}):
        if not media:
            raise Refused(f"Media is required for {platform}")
    if Platform.PINTEREST in networks and not body.get("pinterestData", {}).get("boardId"):
        raise Refused("A board is required for pinterest")


def _has_content(body: Json) -> bool:
    return bool(str(body.get("text") or "").strip() or body.get("media"))


def _publication(value: Any) -> datetime:
    if not isinstance(value, dict) or not isinstance(value.get("dateTime"), str):
        raise Refused("publicationDate: dateTime is needed")
    try:
        local = datetime.strptime(value["dateTime"], "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007  # its zone comes next
    except ValueError:
        raise Refused(f"Text '{value['dateTime']}' could not be parsed at index 0") from None
    return local.replace(tzinfo=zone(value.get("timezone"))).astimezone(UTC)
