"""A mail server and a receiver of webhooks on this machine, and an account whose notices go there."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server  # noqa: N811  # aiosmtpd's own name
from aiosmtpd.smtp import AuthResult, Envelope, Session
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pressroom.domain.definitions import NoticeChannel
from pressroom.engine.notices import outbox
from pressroom.engine.notices.delivery import OutgoingNotice, deliver
from pressroom.store import notices
from pressroom.store.database import Store
from pressroom_dev.local.ports import HOST, PortReservations
from tests.support.airflow_library import airflow_as_library

with airflow_as_library():
    from pressroom.orchestration.server.deliver_notices import send
    from pressroom.orchestration.tools.connections import Connections

SECRET = "hush-hush-the-signing-secret"
PASSWORD = "the-password-of-the-mail-server"
PAGE = "https://airflow.example.org/pressroom/"
MAIL = {"name": "mail", "by": "email", "connection": "mail", "to": ["ed@example.com"]}


@dataclass
class Sinks:
    """What came: ``mails`` in their order, and ``hooks``, whose signatures were checked.

    ``refused``: recipients that the mail server does not take; ``status``: what the receiver answers;
    ``smtp_port``: where the mail server is, or will be: a port that is kept for it, if none is named.
    """

    smtp_port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    status: int = 200
    url: str = ""

    def __post_init__(self) -> None:
        self._ports = PortReservations()
        self.smtp_port = self.smtp_port or self._ports.take(2525)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's own name
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if address in self.refused:
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail."""
        content = envelope.content or b""
        content = content if isinstance(content, bytes) else content.encode()
        self.mails.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"

    async def take_hook(self, request: Request) -> Response:
        """Keep a webhook that is signed rightly."""
        body = await request.body()
        Webhook(base64.b64encode(SECRET.encode()).decode()).verify(body, dict(request.headers))
        if self.status == 200:
            self.hooks.append({"id": request.headers["webhook-id"], **json.loads(body)})
        return Response(status_code=self.status)

    @property
    def app(self) -> Starlette:
        """The receiver of webhooks."""
        return Starlette(routes=[Route("/hook", self.take_hook, methods=["POST"])])

    @contextmanager
    def mail_server(self) -> Iterator[None]:
        """The mail server is there until the block ends."""

        def known(
            server: Server, session: Session, envelope: Envelope, mechanism: str, data: Any
        ) -> AuthResult:
            return AuthResult(success=data.login == b"press" and data.password == PASSWORD.encode())

        controller = Controller(
            self, hostname=HOST, port=self.smtp_port, authenticator=known, auth_require_tls=False,
            ready_timeout=60,
        )  # fmt: skip
        controller.start()
        try:
            yield
        finally:
            controller.stop()
            self._ports.release()

    def fields(self) -> dict[str, dict[str, Any]]:
        """The Airflow connections that lead there, by their names."""
        return {
            "mail": {
                "host": HOST, "port": self.smtp_port, "login": "press", "password": PASSWORD,
                "extra": {"security": "none", "sender": "Pressroom <press@example.com>"},
            },
            "hook": {"host": f"{self.url}/hook", "password": SECRET, "extra": {"timeout_seconds": 10}},
        }  # fmt: skip

    @property
    def hosts(self) -> str:
        """What the operator permits."""
        return f"{HOST}:{self.smtp_port},{self.url.removeprefix('http://')}"


def connections(fields: Mapping[str, Mapping[str, Any]], hosts: str) -> Connections:
    """These connections, and permitted hosts, in Airflow's place."""
    empty: dict[str, Any] = {"host": "", "schema": "", "port": None, "login": "", "password": "", "extra": {}}
    known = {}
    for name, each in fields.items():
        filled = empty | dict(each)
        known[name] = SimpleNamespace(**filled, extra_dejson=filled["extra"])
    return Connections(known.__getitem__, {"pressroom_allow_hosts": hosts}.get, (KeyError,))


def listen(store: Store, account_id: int, **changes: Any) -> None:
    """Give the account a channel of each kind, for everything."""
    both = {"about": None, "digest_minutes": 0} | changes
    both = {name: value for name, value in both.items() if value is not None}
    channels = [
        NoticeChannel.model_validate(MAIL | both),
        NoticeChannel.model_validate({"name": "hook", "by": "webhook", "connection": "hook"} | both),
    ]
    with store.transaction(account_id) as tx:
        notices.replace(tx, channels)


def look(store: Store, sinks: Sinks, now: datetime | None = None) -> int:
    """What the sweep and its deliverer do. Returns how many messages went out."""
    outbox.gather(store, PAGE, now)
    own = connections(sinks.fields(), sinks.hosts)
    return asyncio.run(deliver(store, functools.partial(send, store, own)))


def look_and_die(url: str, sinks: Sinks) -> None:
    """A deliverer that is killed when the first message is sent, and before that is on record."""
    facts = json.dumps({"url": url, "fields": sinks.fields(), "hosts": sinks.hosts})
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.notice_world", facts],
        check=False,
        timeout=300,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


def _die_after_sending(facts: Mapping[str, Any]) -> None:
    own = connections(facts["fields"], facts["hosts"])
    with Store(facts["url"]) as store:

        async def dying(message: OutgoingNotice, channel: NoticeChannel) -> None:
            await send(store, own, message, channel)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(deliver(store, dying))


if __name__ == "__main__":
    _die_after_sending(json.loads(sys.argv[1]))
