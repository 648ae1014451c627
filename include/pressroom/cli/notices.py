"""Commands on how an account's members learn what happened."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from pressroom.cli.common import open_store, operator, show
from pressroom.definitions import notices
from pressroom.engine import audit
from pressroom.engine.notices import outbox
from pressroom.store.workflows import account_by_slug

POLL_SECONDS = 1.0

AccountName = Annotated[str, typer.Argument(help="the account's slug")]

app = typer.Typer(help="Show an account's channels of notices, and try them.", no_args_is_help=True)


@app.command("list")
def list_notices(
    account: AccountName,
    messages: Annotated[int, typer.Option(min=0, max=1000, help="of the newest messages so many")] = 20,
) -> None:
    """Show the channels, what waits in them, and what became of the newest messages."""
    with open_store() as store:
        with store.transaction() as tx:
            row = account_by_slug(tx, account)
        with store.transaction(row.account_id) as tx:
            channels = tx.rows("notice_channels")
            newest = tx.rows("notice_messages", message=None, before=None, limit=messages)
    show(
        ["channel", "by", "connection", "for", "waiting", "unsent", "last sent", "error"],
        [
            (
                each["name"], each["definition"]["by"], each["definition"]["connection"],
                each["definition"]["member"] or "the account", each["waiting"], each["unsent"],
                each["last_sent_at"], each["error"],
            )
            for each in channels
        ],
    )  # fmt: skip
    if newest:
        typer.echo()
        show(
            ["message", "channel", "to", "subject", "made", "tries", "became"],
            [
                (
                    each["id"], each["channel"], each["recipient"], each["subject"], each["created_at"],
                    each["attempts"], _became(each),
                )
                for each in newest
            ],
        )  # fmt: skip


@app.command("test")
def try_channel(
    account: AccountName,
    channel: Annotated[str, typer.Argument(help="the channel's name")],
    wait: Annotated[int, typer.Option(min=0, help="seconds to wait until it is sent")] = 120,
) -> None:
    """Send a test over a channel, and say what became of it. The scheduler sends it."""
    with open_store() as store:
        with store.transaction() as tx:
            row = account_by_slug(tx, account)
        with store.transaction(row.account_id) as tx:
            numbers = outbox.put_test(tx, notices.by_name(tx, channel))
            audit.note(
                tx, operator(), "notices.test", f"notices:{channel}", before=None,
                after={"messages": len(numbers)},
            )  # fmt: skip
        deadline = time.monotonic() + wait
        for number in numbers:
            while True:
                with store.transaction(row.account_id) as tx:
                    [message] = tx.rows("notice_messages", message=number, before=None, limit=1)
                if message["sent_at"] or message["error"] or time.monotonic() >= deadline:
                    break
                time.sleep(POLL_SECONDS)
            typer.echo(f"{channel} {message['recipient']}".rstrip() + f": {_became(message)}")
            if not message["sent_at"]:
                raise typer.Exit(1)


def _became(message: dict[str, object]) -> str:
    if message["sent_at"]:
        return f"sent at {message['sent_at']:%Y-%m-%d %H:%M:%S} UTC"
    if message["given_up_at"]:
        return f"given up: {message['error']}"
    if message["error"]:
        return f"not taken, and tried again: {message['error']}"
    return "not sent yet: does a scheduler run?"
