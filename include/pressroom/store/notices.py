"""An account's channels of notices, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from pressroom.domain.definitions import NoticeChannel, dump
from pressroom.domain.text import to_json
from pressroom.store.database import Tx
from pressroom.store.workflows import parse


def locked(tx: Tx) -> list[NoticeChannel]:
    """The account's channels by name, which nobody else changes until the transaction ends."""
    return [
        parse(NoticeChannel, row["definition"], row["definition"]["name"])
        for row in tx.rows("lock_notice_channels")
    ]


def replace(tx: Tx, channels: Sequence[NoticeChannel]) -> None:
    """Make these the account's channels. What waits in the outbox of one that stays is kept."""
    tx.run("notice_channels_keep", channels=[each.name for each in channels])
    for channel in channels:
        save(tx, channel)


def delete(tx: Tx, name: str) -> None:
    """Delete a channel with all that it has not sent."""
    tx.run("notice_channel_delete", channel=name)


def save(tx: Tx, channel: NoticeChannel) -> None:
    """Add a channel, or change the one of its name."""
    tx.run(
        "notice_channel_save", channel=channel.name, about=[each.value for each in channel.about],
        workflows=list(channel.workflows), member=channel.member, definition=to_json(dump(channel)),
    )  # fmt: skip
