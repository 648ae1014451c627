"""Slack: a message to the channel of an incoming webhook, or to a bot's channels, by apprise.

Slack keeps no ids of messages, so one that is sent again comes twice. Fails with TransientError when Slack
does not take it, with ConfigurationError when the connection or the channel's name can be none of Slack's.
"""

from __future__ import annotations

from typing import Any

from apprise.common import NotifyFormat, NotifyType
from apprise.plugins.slack import NotifySlack, SlackMode

from pressroom.adapters.notices.said import listening, reason
from pressroom.adapters.notices.settings import SlackSettings
from pressroom.domain.errors import ConfigurationError, TransientError


def send_slack(settings: SlackSettings, *, to: str, subject: str, body: str) -> None:
    """Send it. ``to``: a bot's channel, '' for that of a webhook. Blocks."""
    where = f"connection {settings.connection!r}"
    if settings.hook is None and not to:
        raise ConfigurationError(f"{where}: a bot needs the names of channels: `to: ['#editors']`")
    with listening() as said:
        if settings.hook is None:
            slack = _slack(
                where,
                access_token=settings.password.get_secret_value(), mode=SlackMode.BOT, targets=[to],
                **_options(settings),
            )  # fmt: skip
        else:
            a, b, c = settings.hook
            slack = _slack(
                where,
                token_a=a, token_b=b, token_c=c, mode=SlackMode.WEBHOOK, targets=[to] if to else [],
                **_options(settings),
            )  # fmt: skip
        sent = slack.send(
            body=_plain(body),
            title=subject,
            notify_type=NotifyType.INFO,
            body_format=NotifyFormat.TEXT,
        )
    if not sent:
        raise TransientError(f"{where}: Slack did not take it: {reason(said, settings.secrets)}")


def _options(settings: SlackSettings) -> dict[str, Any]:
    seconds = float(settings.timeout_seconds)
    return {
        "include_image": False, "include_footer": False, "include_timestamp": False, "use_blocks": False,
        "redirect": "no", "cto": seconds, "rto": seconds,
    }  # fmt: skip


def _slack(where: str, **options: Any) -> Any:
    try:
        return NotifySlack(**options)  # type: ignore[no-untyped-call]  # apprise has no types
    except (TypeError, ValueError):  # its text has the secret
        raise ConfigurationError(
            f"{where}: this is no webhook, token or channel that Slack could have"
        ) from None


def _plain(text: str) -> str:
    """The text of which Slack makes no mention and no link. A title is treated so by apprise."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
