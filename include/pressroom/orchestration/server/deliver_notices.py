"""Sends the notices that are due: a process that the scheduler's sweep begins.

    python -m pressroom.orchestration.server.deliver_notices

A mail server may take half a minute to answer, which neither a task that holds a run nor a fork of the
scheduler should wait for. The process ends itself well before the lease of what it claimed is over.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.http.service import PATIENCE
from pressroom.adapters.notices.mail import send_mail
from pressroom.adapters.notices.reaching import MAIL_PORTS, must_be_reachable
from pressroom.adapters.notices.settings import MailSettings, SlackSettings
from pressroom.adapters.notices.slack import send_slack
from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import TransientError
from pressroom.engine.notices.delivery import LEASE, OutgoingNotice, deliver
from pressroom.orchestration.server.connections import OF_SERVER
from pressroom.orchestration.tools.connections import Connections
from pressroom.store import grants
from pressroom.store.database import Store

LONGEST = int(LEASE.total_seconds()) - 60
"""Seconds after which the process ends. What it has not recorded is sent again under the same id."""


async def send(
    store: Store, connections: Connections, message: OutgoingNotice, channel: NoticeChannel
) -> None:
    """Send one message over a connection that the account may name. Raises PressroomError."""
    access = await store.run(-1, grants.access, message.account_id)
    own = connections.of(access)
    fields = own.fields(channel.connection)
    if channel.by == "email":
        mail = MailSettings.from_connection(channel.connection, **fields)
        await must_be_reachable(channel.connection, mail.host, mail.port, own.hosts(), usual=MAIL_PORTS)
        mailing = functools.partial(
            send_mail, mail, to=message.recipient, subject=message.subject, body=message.body, uid=message.uid
        )
        await within(PATIENCE * mail.timeout_seconds, channel.connection, mailing)
    elif channel.by == "slack":
        slack = SlackSettings.from_connection(channel.connection, **fields)
        posting = functools.partial(
            send_slack, slack, to=message.recipient, subject=message.subject, body=message.body
        )
        await within(PATIENCE * slack.timeout_seconds, channel.connection, posting)
    else:
        hook = NotifySettings.from_connection(channel.connection, **fields)
        parts = urlsplit(hook.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        await must_be_reachable(channel.connection, parts.hostname or "", port, own.hosts())
        data = {"channel": channel.name, "text": message.body, **message.data}
        await notify(hook, f"notice.{message.kind}", data, uid=message.uid)


async def within(seconds: float, connection: str, work: Callable[[], None]) -> None:
    """Work that blocks, in a thread of its own. Raises TransientError when it takes longer.

    What bounds each wait bounds no server that sends a byte now and then. Its thread is left behind until the
    process ends; in a thread that others share it would hold their notices as well.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - it is raised where the work is waited for
            error = raised
        with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, daemon=True, name=f"notice by {connection}").start()
    try:
        async with asyncio.timeout(seconds):
            await done
    except TimeoutError:
        raise TransientError(f"connection {connection!r}: no whole answer within {seconds:g} s") from None


def main() -> None:
    """Send what is due."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.alarm(LONGEST)  # the system ends it, whatever hangs
    with Store(OF_SERVER.database_url(), max_size=4) as store:
        asyncio.run(deliver(store, functools.partial(send, store, OF_SERVER)))


if __name__ == "__main__":
    main()
