"""What waits in the outbox becomes messages: at once, after quiet hours, or with others of its kind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import DefinitionError, PressroomError
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.domain.notices.wording import NoticeWords, ToldThing, compose
from pressroom.domain.text import storable
from pressroom.engine.operations import CAP_NEAR
from pressroom.store.database import Store, Tx
from pressroom.store.workflows import parse

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500
"""Notices of one message. What is beyond comes with the next."""
KEPT = timedelta(days=30)
TEST = "test"
"""The kind of a message that somebody tries a channel with."""


@dataclass(frozen=True)
class WaitingGroup:
    """What waits of a kind for a channel. ``last_at``: when a message of the kind was last made for it;
    ``rests``: the member it is for is none any more.
    """

    account_id: int
    account: str
    channel: int
    definition: Mapping[str, Any]
    kind: str
    last_at: datetime | None
    rests: bool


def look_at_caps(store: Store) -> None:
    """Put notices of caps that are nearly used up into the outbox, and forget what is old. Any account."""
    with store.transaction() as tx:
        tx.run("notices_of_caps", share=CAP_NEAR)
        tx.run("notices_forget", age=KEPT)


def gather(store: Store, page: str, now: datetime | None = None) -> int:
    """Make messages of what may be told now, over all accounts. Returns how many.

    ``page``: the page's address, with a slash at its end.
    """
    moment = now or datetime.now(UTC)
    with store.transaction() as tx:
        groups = tx.all("notices_waiting", WaitingGroup)
    return sum(_told(store, group, page, moment) for group in groups)


def put_message(
    tx: Tx, *, key: str, text: str, reason: str, remedy: str, url: str, channel: str | None
) -> int:
    """Put what a DAG of the user's own has to say into the account's outbox; the same key once. Returns for
    how many channels.
    """
    facts = {"text": text, "reason": reason, "remedy": remedy, "url": url}
    facts = {name: storable(value[:2000]) for name, value in facts.items() if value}
    return len(tx.rows("notice_put", key=f"message:{storable(key)[:500]}", channel=channel, facts=facts))


def put_test(tx: Tx, channel: NoticeChannel) -> list[int]:
    """Messages that try a channel of the account, one to each of its recipients; quiet hours do not hold them
    up. Returns their ids.
    """
    number = tx.value("notice_channel_number", channel=channel.name)
    subject = f"[Pressroom] A test of the channel {channel.name}"
    body = f"This is a test of the channel {channel.name}: notices reach you here. Nothing has to be done."
    data = {"kind": TEST, "count": 0, "subject": subject, "remedy": "", "items": []}
    return _insert(tx, number, channel, TEST, NoticeWords(subject, body, data))


def _told(store: Store, group: WaitingGroup, page: str, now: datetime) -> bool:
    """``_tell``; a defect that one account's notices bring to light holds up no other account's."""
    try:
        return _tell(store, group, page, now)
    except PressroomError:
        raise
    except Exception:
        log.exception("notices %s of the account %s wait", group.kind, group.account)
        return False


def _tell(store: Store, group: WaitingGroup, page: str, now: datetime) -> bool:
    if group.rests:
        with store.transaction(group.account_id) as tx:
            tx.run("notices_drop_group", channel=group.channel, kind=group.kind)
        return False
    try:
        channel = parse(NoticeChannel, group.definition, group.definition.get("name", "?"))
    except DefinitionError as error:
        log.warning("notices of the account %s wait: %s", group.account, error)
        return False
    if channel.rests(now) or _collects(channel, group.last_at, now):
        return False
    with store.transaction(group.account_id) as tx:
        rows = tx.rows("notices_of_group", channel=group.channel, kind=group.kind, limit=MOST_AT_ONCE)
        over = [row["id"] for row in rows if row["state"] == "over"]
        if over:
            tx.run("notices_drop", notices=over)
        told = [row for row in rows if row["state"] == "open"]
        if not told:
            return False
        # What was noticed twice is told as it is now. Of a cap or a message each notice has facts of its own.
        things = {row["id"] if row["facts"] else row["subject"]: _thing(row) for row in told}
        words = compose(
            NoticeKind(group.kind), list(things.values()), account=group.account, page=page,
            timezone=channel.timezone,
        )  # fmt: skip
        messages = _insert(tx, group.channel, channel, group.kind, words)
        tx.run("notices_told", message=messages[0], notices=[row["id"] for row in told])
    return True


def _collects(channel: NoticeChannel, last_at: datetime | None, now: datetime) -> bool:
    """Whether others of the kind are waited for: a message of it was made a short time ago."""
    return last_at is not None and now < last_at + timedelta(minutes=channel.digest_minutes)


def _thing(row: Mapping[str, Any]) -> ToldThing:
    return ToldThing(**{name: value for name, value in row.items() if name not in ("id", "state")})


def _insert(tx: Tx, channel_id: int, channel: NoticeChannel, kind: str, words: NoticeWords) -> list[int]:
    """A message to each recipient of its own: one that is refused holds up no other."""
    return [
        tx.value(
            "notice_message_insert", channel=channel_id, kind=kind, recipient=recipient,
            subject=words.subject, body=words.body, data=dict(words.data),
        )
        for recipient in channel.to or [""]
    ]  # fmt: skip
