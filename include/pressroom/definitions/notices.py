"""An account's channels of notices: what is wrong with one, and who may change what of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pressroom.definitions import rights
from pressroom.domain.definitions import MOST_CHANNELS, NoticeChannel, Role
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.grants.access import Access, GrantKind
from pressroom.domain.text import did_you_mean
from pressroom.store import grants, notices
from pressroom.store.database import Tx


class NoSuchChannel(PermanentError):
    """The account has no channel of this name."""


def wrong_channel(
    channel: NoticeChannel, access: Access, members: Collection[str], slugs: Collection[str]
) -> tuple[str, str] | None:
    """The key of a channel that leads nowhere, and what is wrong; None when all is well.

    ``access``: what the account may name; ``members``, ``slugs``: its members, and its workflows.
    """
    if not access.permits(GrantKind.CONNECTION, channel.connection):
        return "connection", access.missing(GrantKind.CONNECTION, channel.connection)
    if channel.member is not None and channel.member not in members:
        near = did_you_mean(channel.member, members)
        return "member", f"{channel.member!r} is no member of the account{near}"
    for slug in channel.workflows:
        if slug not in slugs:
            return "workflows", f"the account has no workflow {slug!r}{did_you_mean(slug, slugs)}"
    return None


def named(channels: Iterable[NoticeChannel]) -> set[tuple[GrantKind, str]]:
    """What channels name of the installation's."""
    return {(GrantKind.CONNECTION, each.connection) for each in channels}


def by_name(tx: Tx, name: str) -> NoticeChannel:
    """A channel of the account, locked until the transaction ends. Raises NoSuchChannel."""
    channels = {each.name: each for each in notices.locked(tx)}
    if name not in channels:
        raise NoSuchChannel(f"the account has no channel {name!r}{did_you_mean(name, channels)}")
    return channels[name]


def put(tx: Tx, channel: NoticeChannel, *, role: Role, username: str) -> NoticeChannel | None:
    """Add a channel to the account, or change the one of its name. Returns the one before.

    An editor that a channel is for may change what and when it tells; all else is the owners'. Raises
    NotPermitted, and DefinitionError for what leads nowhere.
    """
    channels = notices.locked(tx)
    before = next((each for each in channels if each.name == channel.name), None)
    if not role.covers(Role.OWNER) and (before is None or before.member != username):
        raise rights.NotPermitted(role, [rights.RightNeeded(("name",), Role.OWNER, rights.OWNERS.why)])
    rights.must_suffice(role, before, channel)
    if before is None and len(channels) >= MOST_CHANNELS:
        raise DefinitionError([f"notices: the account has {MOST_CHANNELS} channels, and may have no more"])
    wrong = wrong_channel(
        channel, grants.access(tx, tx.account), tx.values("member_names"), tx.values("own_workflow_slugs")
    )
    if wrong is not None:
        raise DefinitionError([f"NoticeChannel {channel.name}: {wrong[0]}: {wrong[1]}"])
    notices.save(tx, channel)
    return before


def delete(tx: Tx, name: str) -> NoticeChannel:
    """Delete a channel with all that it has not sent. Returns it. Raises NoSuchChannel."""
    channel = by_name(tx, name)
    notices.delete(tx, name)
    return channel
