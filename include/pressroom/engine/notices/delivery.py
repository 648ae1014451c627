"""Messages go out: each is claimed under a lease, sent, and recorded.

A worker that is killed between the two loses nothing: when its lease is over, the message is sent again
under the same id (``Message-ID`` of an e-mail, ``webhook-id``). So a message comes at least once; a receiver
that knows its ids takes it once.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import PressroomError, words_of
from pressroom.domain.text import storable
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.store.workflows import parse

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
"""Longer than a worker may live."""
AT_ONCE = 10
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = timedelta(days=3)
ERROR_CHARS = 500


@dataclass(frozen=True)
class OutgoingNotice:
    """A claimed message. ``uid``: the same with every try; ``recipient``: '' where the channel is it."""

    id: int
    account_id: int
    kind: str
    recipient: str
    uid: str
    subject: str
    body: str
    data: Mapping[str, Any]
    attempts: int
    created_at: datetime
    definition: Mapping[str, Any]

    @property
    def channel(self) -> NoticeChannel:
        """Where it goes. Raises DefinitionError."""
        return parse(NoticeChannel, self.definition, str(self.definition.get("name", "?")))


Send = Callable[[OutgoingNotice, NoticeChannel], Awaitable[None]]
"""Brings one message to its channel. Raises PressroomError, whose words hold no secret; of any other
error only the class is on record."""


async def deliver(store: Store, send: Send) -> int:
    """Send all that is due. Returns how many messages went out."""
    sent = 0
    while claimed := await store.run(SYSTEM, _claim):
        sent += sum(await asyncio.gather(*(_deliver(store, send, each) for each in claimed)))
    return sent


def wait(attempts: int) -> timedelta:
    """How long after so many tries the next one is made."""
    return min(FIRST_WAIT * (1 << min(attempts - 1, 20)), LONGEST_WAIT)


def _claim(tx: Tx) -> list[OutgoingNotice]:
    return tx.all("notice_messages_claim", OutgoingNotice, lease=LEASE, limit=AT_ONCE)


async def _deliver(store: Store, send: Send, message: OutgoingNotice) -> bool:
    """Send one message. A defect that one account's connection brings to light holds up no other's."""
    try:
        await send(message, message.channel)
    except Exception as error:  # noqa: BLE001 - it is on record, and the message is tried again
        why = storable(words_of(error)[:ERROR_CHARS])
        given_up = await store.run(message.account_id, _failed, message, why)
        name, then = message.definition.get("name"), "given up" if given_up else "sent again later"
        # Where a defect is, and not its text, which can hold a secret.
        where = "" if isinstance(error, PressroomError) else _place_of(error)
        log.warning("message %s to the channel %s is %s: %s%s", message.id, name, then, why, where)
        return False
    await store.run(message.account_id, _sent, message)
    return True


def _place_of(error: Exception) -> str:
    """The lines of code that led to it."""
    return " at\n" + "".join(traceback.format_tb(error.__traceback__))


def _failed(tx: Tx, message: OutgoingNotice, why: str) -> bool:
    """Whether the message is given up."""
    given_up = tx.value(
        "notice_message_failed", message=message.id, attempt=message.attempts, error=why,
        wait=wait(message.attempts), patience=PATIENCE,
    )  # fmt: skip
    return bool(given_up)


def _sent(tx: Tx, message: OutgoingNotice) -> None:
    tx.run("notice_message_sent", message=message.id, attempt=message.attempts)
