"""What pieces look like in WordPress: where their key is kept, their statuses, and the fields of a post.

The key stands, hashed, in a comment at the end of the content: the one place that core keeps, searches and
shows over REST, whatever an editor does to title and slug. A draft whose comment ends in ``started`` is a
claim that has not become an article yet. A page builder that writes the content again takes the comment out:
then the claim is known by its slug, which has the hashed key too, and the article by the id in the ledger.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pressroom.domain.markup.html import PICTURE_SUFFIXES
from pressroom.domain.publishing import Delivery, Picture, Placed

Json = dict[str, Any]

STATUSES = "publish,future,draft,pending,private"
"""All in which a post can be listed. One in the trash cannot: it is gone as far as anybody can ask."""

KNOWN = "known"
"""In a post that the ledger knows by its id."""

_MARK = re.compile(r"<!-- (pressroom:[0-9a-f]{32})(?: started)? -->")
_SUFFIXES = 5
_RANK = {status: rank for rank, status in enumerate(STATUSES.split(","))}


def token(key: str) -> str:
    """The key as WordPress keeps it: one word, and of one length, so that none begins another."""
    return f"pressroom:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def mark(key: str) -> str:
    """What a finished post's content holds."""
    return f"<!-- {token(key)} -->"


def claim(key: str) -> str:
    """The whole content of a draft that is to become the post."""
    return f"<!-- {token(key)} started -->"


def claim_slug(key: str) -> str:
    """The slug of a claim, until it becomes the article."""
    return token(key).replace(":", "-")


def is_finished(post: Json, key: str) -> bool:
    """Whether the post is the piece, and not its claim only."""
    return mark(key) in raw_content(post) or (KNOWN in post and not is_claim(post, key))


def is_claim(post: Json, key: str) -> bool:
    """Whether the post is a claim of the piece, and not the piece."""
    raw = raw_content(post)
    if mark(key) in raw:
        return False
    return claim(key) in raw or (post.get("status") == "draft" and post.get("slug") == claim_slug(key))


def known(post: Json, key: str, url: str) -> Json:
    """A post that the ledger knows as the piece by its id, as such. ``url``: where it was, '' if unknown.

    One that has another piece's mark, or that is at another host, is left as it is: the connection leads to
    another site by now, where the id is another post's.
    """
    marks = set(_MARK.findall(raw_content(post)))
    other = (marks and token(key) not in marks) or is_elsewhere(post, url)
    return post if other else {**post, KNOWN: True}


def is_elsewhere(post: Json, url: str) -> bool:
    """Whether the post is at another host than ``url``. One that has no address, or no ``url``, is not."""
    return len({bare(urlsplit(at).hostname or "") for at in (url, str(post.get("link") or "")) if at}) > 1


def bare(host: str) -> str:
    """The host as it is compared: a site is the same with www. and without."""
    return host.lower().removeprefix("www.")


def raw_content(post: Json) -> str:
    """The content as it was written. Raises KeyError when the site does not show it."""
    content = post["content"]
    if not isinstance(content, dict) or not isinstance(content.get("raw"), str):
        raise KeyError("content.raw")
    return str(content["raw"])


def ranked(posts: Iterable[Json], key: str) -> list[Json]:
    """The piece's posts, the one that counts first: finished, then known by its id, public, the oldest.

    Two processes that look at the same posts choose the same one.
    """
    own: dict[int, Json] = {}
    for post in posts:
        if is_finished(post, key) or is_claim(post, key):
            own.setdefault(post["id"], post)
    return sorted(
        own.values(),
        key=lambda post: (
            not is_finished(post, key),
            KNOWN not in post,
            _RANK.get(str(post.get("status")), 9),
            post["id"],
        ),
    )


def changed_by(post: Json, before: Json, sent: Json) -> bool:
    """Whether a post shows what was sent, or anything else than it was before that."""
    raw, slug = raw_content(post), post.get("slug")
    if "content" in sent:
        return raw == sent["content"] or raw != raw_content(before)
    return slug == sent.get("slug") or slug != before.get("slug")


def without_codes(markup: str) -> str:
    """HTML in which no plugin's shortcode is run: what others wrote in brackets is text."""
    return markup.replace("[", "&#91;")


def with_suffixes(slug: str) -> str:
    """The slug and what WordPress makes of it when it is taken, as a list to ask for."""
    return ",".join([slug, *(f"{slug}-{number}" for number in range(2, _SUFFIXES + 1))])


def media_slug(key: str, picture: Picture) -> str:
    """Under which slug a piece's picture is uploaded: the same for the same bytes, at every try."""
    digest = hashlib.sha256(picture.data).hexdigest()
    return f"pressroom-{hashlib.sha256(f'{digest} {key}'.encode()).hexdigest()[:24]}"


def file_name(slug: str, picture: Picture) -> str:
    """A name for the media library. Raises KeyError for a type that not every browser shows safely.

    Of one's own, for of two uploads of one name at once WordPress may keep one file.
    """
    return f"{slug}-{hashlib.sha256(picture.data).hexdigest()[:8]}.{PICTURE_SUFFIXES[picture.media_type]}"


def timing(default: str, at: datetime | None, now: datetime, current: str | None) -> Json:
    """Status and date that the post is to have. ``current``: the finished post's status, None before that.

    What an editor decided stays: a piece that is left to editors keeps the status that they gave it, and a
    private one stays private.
    """
    if current == "private" or (current is not None and default != "publish"):
        return {}
    if at is not None and at > now:
        return {"status": "future" if default == "publish" else default, "date_gmt": gmt(at)}
    # Without a date in the past WordPress would go on waiting for the one it has.
    past = {"date_gmt": gmt(now - timedelta(minutes=1))} if current == "future" else {}
    return {"status": default, **past}


def gmt(at: datetime) -> str:
    """A time as WordPress reads date_gmt."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def as_html(text: str) -> str:
    """Plain text as WordPress takes titles and excerpts, which are HTML to it."""
    return html.escape(text, quote=False)


def marked(body: str, key: str) -> str:
    """The body with the piece's mark: within the last element, for beside it WordPress would wrap a paragraph
    around it.
    """
    start = body.rfind("</")
    return body[:start] + mark(key) + body[start:] if start >= 0 else body + mark(key)


def lacking(post: Json, sent: Json) -> str:
    """Which pictures, terms and fields that were sent a post lacks; '' when it has all. It may have more."""
    lacks = [
        name for name in ("categories", "tags") if not {*sent.get(name, ())} <= {*(post.get(name) or ())}
    ]
    if post.get("featured_media") != sent.get("featured_media", post.get("featured_media")):
        lacks.append("featured picture")
    kept = post.get("meta")
    meta = kept if isinstance(kept, dict) else {}
    lacks += [f"meta field {name}" for name, text in sent.get("meta", {}).items() if meta.get(name) != text]
    return ", ".join(lacks)


def placed(post: Json) -> Placed:
    """A post as what has been placed."""
    status = str(post.get("status"))
    if status == "publish":
        return Placed(str(post["id"]), str(post.get("link") or ""))
    waits = {"future": f"scheduled for {post.get('date_gmt')} UTC", "private": "private"}
    return Placed(
        str(post["id"]),
        delivery=Delivery.PUBLISHED if status == "private" else Delivery.PENDING,
        detail=waits.get(status, f"{status}: an editor publishes it"),
    )
