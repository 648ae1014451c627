"""An account's channels of notices: how its members learn what happened, and what became of the messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.resources.definitions import refusals
from pressroom.definitions import notices
from pressroom.domain.definitions import ChannelSettings, NoticeChannel, Role, Slug, dump
from pressroom.domain.public_ids import MESSAGE, public_id
from pressroom.engine.audit import change
from pressroom.engine.notices import outbox
from pressroom.store.database import Tx

router = APIRouter(prefix="/notices", tags=["notices"])

ChannelName = Annotated[
    Slug,
    Path(description="the channel's name", examples=["desk"]),
]


class ChannelView(BaseModel):
    """A channel. ``waiting``: notices that wait for quiet hours or a digest; ``unsent``: messages that are
    not taken yet; ``error``: why the last of them was not.
    """

    channel: dict[str, Any]
    waiting: int
    unsent: int
    last_sent_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, row: Any) -> ChannelView:
        """The view of a row."""
        return cls(channel=row["definition"], **{name: row[name] for name in cls.model_fields if name in row})


class NoticeMessageView(BaseModel):
    """A message. ``sent_at``: when the channel took it; ``given_up_at``: after three days of trying."""

    id: str
    channel: str
    kind: str
    recipient: str
    subject: str
    created_at: datetime
    due_at: datetime
    attempts: int
    sent_at: datetime | None
    given_up_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, row: Any) -> NoticeMessageView:
        """The view of a row."""
        return cls(**{**row, "id": public_id(MESSAGE, row["id"])})


class ChannelBody(ChannelSettings):
    """A channel as in YAML, but for its name."""


@router.get("")
def list_channels(scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> list[ChannelView]:
    """The account's channels, by name."""
    with scope.transaction() as tx:
        return [ChannelView.of(row) for row in tx.rows("notice_channels")]


@router.put("/{name}")
def put_channel(
    name: ChannelName, body: ChannelBody, scope: Scope = allowed(Role.EDITOR, ACCOUNT)
) -> ChannelView:
    """Make a channel, or change it. Owners only; an editor that a channel is for may change what it tells
    and when.
    """
    channel = NoticeChannel(name=name, **dict(body))
    with refusals(), scope.transaction() as tx:
        before = notices.put(tx, channel, role=scope.role, username=scope.caller.username or "")
        changed = change({} if before is None else dump(before), dump(channel))
        scope.note(tx, "notices.put", f"notices:{name}", **changed)
        return _shown(tx, name)


@router.delete("/{name}", status_code=204)
def delete_channel(name: ChannelName, scope: Scope = allowed(Role.OWNER, ACCOUNT)) -> None:
    """Delete a channel, with all that it has not sent."""
    with scope.transaction() as tx:
        gone = notices.delete(tx, name)
        scope.note(tx, "notices.delete", f"notices:{name}", before=dump(gone), after=None)


@router.post("/{name}/test", status_code=202)
def try_channel(name: ChannelName, scope: Scope = allowed(Role.OWNER, ACCOUNT)) -> list[NoticeMessageView]:
    """Send a test over a channel, at once. Its messages tell what became of it."""
    with scope.transaction() as tx:
        sent = outbox.put_test(tx, notices.by_name(tx, name))
        scope.note(tx, "notices.test", f"notices:{name}", before=None, after={"messages": len(sent)})
        return [
            NoticeMessageView.of(row)
            for number in sent
            for row in tx.rows("notice_messages", message=number, before=None, limit=1)
        ]


@router.get("/messages")
def list_messages(paging: Paged, scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> Page[NoticeMessageView]:
    """What was sent, and what could not be, newest first. Messages are kept for 30 days."""
    with scope.transaction() as tx:
        rows = tx.rows("notice_messages", message=None, before=paging.before, limit=paging.fetch)
    return paging.page(rows, NoticeMessageView.of, lambda row: [row["id"]])


def _shown(tx: Tx, name: str) -> ChannelView:
    return next(ChannelView.of(row) for row in tx.rows("notice_channels") if row["name"] == name)
