"""The HTTP provider's hook under Pressroom's own connection types, one for each service.

Airflow finds a type by ``orchestration.provider``, and calls its hook for the Test button, for ``airflow
connections test`` and for whoever asks a connection for its hook. Runs do not need it: the adapters read the
fields of a connection themselves, whatever its type is.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.exceptions import AirflowException

from pressroom.adapters.connection import ConnectionFields, web_address
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings
from pressroom.adapters.notices.settings import MailSettings, SlackSettings
from pressroom.adapters.targets.registry import open_target
from pressroom.domain.errors import ConfigurationError, PressroomError
from pressroom.orchestration.tools.connections import fields_of


class ServiceHook(HttpHook):
    """A connection as Pressroom means it: a bare host is https, a port stands before the path, and the extra
    holds settings, not headers. ``tested``: what a test that went well says.
    """

    tested: ClassVar[str] = "the service takes this connection"

    def test_connection(self) -> tuple[bool, str]:
        """The check that a run begins with, as far as it concerns the connection alone. Nothing is spent."""
        try:
            fields = fields_of(self.get_connection(self.http_conn_id))
            note = asyncio.run(self._check(fields))
        except (PressroomError, AirflowException) as error:
            return False, str(error).removeprefix(f"connection {self.http_conn_id!r}: ")
        return True, note or self.tested

    async def _check(self, fields: ConnectionFields) -> str:
        raise NotImplementedError

    def _set_base_url(self, connection: Any) -> None:
        try:
            self.base_url = web_address(self.http_conn_id, fields_of(connection))
        except ConfigurationError as error:
            raise AirflowException(str(error)) from None
        self._base_url_initialized = True

    def _configure_session_from_extra(
        self, session: Any, connection: Any, extra_options: dict[str, Any]
    ) -> Any:
        self.merged_extra = {"timeout": connection.extra_dejson.get("timeout_seconds"), **extra_options}
        return session


class ModelHook(ServiceHook):
    """A server of models that speaks OpenAI's API."""

    conn_type = "pressroom_model"
    hook_name = "Pressroom: text and picture models"

    async def _check(self, fields: ConnectionFields) -> str:
        async with OpenAIText(ConnectionSettings.from_connection(self.http_conn_id, **fields)) as model:
            return await model.check()


class MailHook(ServiceHook):
    """A mail server that notices go over."""

    conn_type = "pressroom_email"
    hook_name = "Pressroom: e-mail"
    tested = "the mail server takes this connection; nothing was sent"

    async def _check(self, fields: ConnectionFields) -> str:
        from pressroom.adapters.notices.mail import check_mail  # apprise takes seconds to import

        await asyncio.to_thread(check_mail, MailSettings.from_connection(self.http_conn_id, **fields))
        return ""


class SlackHook(ServiceHook):
    """Slack, for notices."""

    conn_type = "pressroom_slack"
    hook_name = "Pressroom: Slack"
    tested = "its settings are right; Slack can only be asked by sending something, so nothing was sent"

    async def _check(self, fields: ConnectionFields) -> str:
        SlackSettings.from_connection(self.http_conn_id, **fields)
        return ""


class TargetHook(ServiceHook):
    """What pieces are published to. ``handler``: its name in a publish step."""

    handler: ClassVar[str]

    async def _check(self, fields: ConnectionFields) -> str:
        async with open_target(self.handler, self.http_conn_id, fields) as target:
            await target.check()
        return ""


class WordPressHook(TargetHook):
    """A WordPress site."""

    conn_type = "pressroom_wordpress"
    hook_name = "Pressroom: WordPress"
    handler = "wordpress"


class MetricoolHook(TargetHook):
    """A brand at Metricool."""

    conn_type = "pressroom_metricool"
    hook_name = "Pressroom: Metricool"
    handler = "metricool"


class BlueskyHook(TargetHook):
    """An account at Bluesky."""

    conn_type = "pressroom_bluesky"
    hook_name = "Pressroom: Bluesky"
    handler = "bluesky"


class PinterestHook(TargetHook):
    """An account at Pinterest."""

    conn_type = "pressroom_pinterest"
    hook_name = "Pressroom: Pinterest"
    handler = "pinterest"


class XHook(TargetHook):
    """An account at X."""

    conn_type = "pressroom_x"
    hook_name = "Pressroom: X"
    handler = "x"


class WebhookHook(TargetHook):
    """A receiver of signed requests."""

    conn_type = "pressroom_webhook"
    hook_name = "Pressroom: webhook"
    handler = "webhook"
    tested = "its settings are right; a receiver can only be asked by sending something, so nothing was sent"
