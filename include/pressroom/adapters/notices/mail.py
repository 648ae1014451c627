"""E-mail: one message to one recipient, over the mail server of a connection, by apprise.

Every try has the same ``Message-ID``. It fails with TransientError when the server is away or does not take
the message now, and with ConfigurationError when it does not take the login, or no mail
server can be sent what the connection holds; all are tried again.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email import message_from_string
from email.utils import parseaddr

from apprise.common import NotifyFormat
from apprise.plugins.email.base import NotifyEmail
from apprise.plugins.email.smtp import SMTP_EXCEPTIONS, AppriseSMTPController, SMTPSecureMode

from pressroom.adapters.notices.said import listening, reason, scrubbed
from pressroom.adapters.notices.settings import MailSettings
from pressroom.domain.errors import ConfigurationError, TransientError

MODES = {
    "starttls": SMTPSecureMode.STARTTLS, "tls": SMTPSecureMode.SSL, "none": SMTPSecureMode.INSECURE,
}  # fmt: skip


def send_mail(settings: MailSettings, *, to: str, subject: str, body: str, uid: str) -> None:
    """Send it. Blocks."""
    sender = parseaddr(settings.sender)
    [message] = NotifyEmail.prepare_emails(
        subject=subject, body=body, from_addr=sender, to=[(False, to)], smtp_host=settings.host,
        notify_format=NotifyFormat.TEXT, headers={"Auto-Submitted": "auto-generated"}, names={},
    )  # fmt: skip
    mail = message_from_string(message.body)
    mail.replace_header("Message-ID", f"<{uid}@{sender[1].rpartition('@')[2]}>")

    def hand_over(server: AppriseSMTPController, said: list[str]) -> None:
        if not server.sendmail(sender[1], [to], mail.as_string()):
            why = reason(said, settings.secrets)
            raise TransientError(f"connection {settings.connection!r}: {to} was not taken: {why}")

    _connected(settings, hand_over)


def check_mail(settings: MailSettings) -> None:
    """See that the server takes the login. Nothing is sent. Blocks."""
    _connected(settings, lambda server, said: None)


def _connected(settings: MailSettings, work: Callable[[AppriseSMTPController, list[str]], None]) -> None:
    where = f"connection {settings.connection!r}"
    server = AppriseSMTPController(
        settings.host, settings.port, MODES[settings.security], settings.login or None,
        settings.password.get_secret_value() or None, socket_connect_timeout=settings.timeout_seconds,
    )  # fmt: skip
    try:
        with listening() as said, server as opened:
            work(opened, said)
    except smtplib.SMTPAuthenticationError as error:
        raise ConfigurationError(f"{where}: the mail server refuses the login ({error.smtp_code})") from None
    except SMTP_EXCEPTIONS as error:
        why = f"{type(error).__name__}: {scrubbed(str(error), settings.secrets)}"
        raise TransientError(
            f"{where}: the mail server {settings.host}:{settings.port} is away: {why}"
        ) from None
    except ValueError:  # its text can hold what could not be sent, and that can be the password
        raise ConfigurationError(
            f"{where}: its host, sender, login or password has what no mail server can be sent: put ASCII"
            " letters there"
        ) from None
