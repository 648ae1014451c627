"""Notices for DAGs of the user's own: an Airflow notifier that hands a message to Pressroom's outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from airflow.sdk.bases.notifier import BaseNotifier

from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.domain.text import to_json
from pressroom.engine.notices import outbox
from pressroom.orchestration.tools import connections
from pressroom.store.database import Tx
from pressroom.store.workflows import account_by_slug, parse

ONCE = ("dag_id", "task_id", "run_id", "map_index", "try_number")
"""What tells one event from another."""


class PressroomNotifier(BaseNotifier):
    """Tells an account's channels what happened in any DAG::

        @dag(on_failure_callback=PressroomNotifier(account="acme", message="{{ dag.dag_id }} failed"))

    The message goes to the channels that are about ``message``, by their quiet hours and digests. The
    scheduler sends it, so neither the task nor the callback waits for a mail server. All texts are templates.
    ``reason``, ``remedy``: why it happened, and what to do; ``url``: '' for the page; ``channel``: only this
    one.
    """

    template_fields = ("message", "reason", "remedy", "url")

    def __init__(
        self,
        *,
        account: str,
        message: str,
        reason: str = "",
        remedy: str = "",
        url: str = "",
        channel: str | None = None,
    ) -> None:
        super().__init__()
        self.account, self.channel = account, channel
        self.message, self.reason, self.remedy, self.url = message, reason, remedy, url

    def notify(self, context: Mapping[str, Any]) -> None:
        """Put the message into the outbox; the same event of Airflow's once. Raises PressroomError."""
        store = connections.store()
        with store.transaction() as tx:
            own = tx.for_account(account_by_slug(tx, self.account).account_id)
            reached = outbox.put_message(
                own, key=self._key(context), text=self.message, reason=self.reason, remedy=self.remedy,
                url=self.url, channel=self.channel,
            )  # fmt: skip
            if not reached:
                self._must_be_heard(own)

    def _must_be_heard(self, own: Tx) -> None:
        """Raises ConfigurationError when the account has no channel that takes the message."""
        channels = [
            parse(NoticeChannel, row["definition"], row["name"]) for row in own.rows("notice_channels")
        ]
        if any(NoticeKind.MESSAGE in each.about and self.channel in (None, each.name) for each in channels):
            return  # it was put there before
        which = "channel" if self.channel is None else f"channel {self.channel!r}"
        raise ConfigurationError(
            f"the account {self.account} has no {which} that is about messages: `pressroom notices list"
            f" {self.account}` shows what it has"
        )

    def _key(self, context: Mapping[str, Any]) -> str:
        ti = context.get("ti") or context.get("task_instance") or context.get("dag_run")
        event = [str(getattr(ti, name, "")) for name in ONCE]
        text = to_json([event, self.account, self.channel, self.message, self.reason, self.url])
        return hashlib.sha256(text.encode()).hexdigest()
