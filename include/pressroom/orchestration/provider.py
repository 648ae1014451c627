"""Pressroom as a provider of Airflow's: its connection types, their forms and their Test button.

Every component of Airflow reads this, so nothing is imported here.
"""

from __future__ import annotations

from typing import Any

HOOKS = "pressroom.orchestration.tools.service_hooks"


def provider_info() -> dict[str, Any]:
    """What Airflow asks of a provider."""
    return {
        "package-name": "pressroom",
        "name": "Pressroom",
        "description": "Connections to what Pressroom writes with and publishes to.",
        "connection-types": [
            _type("model", "text and picture models", "ModelHook", password="API key"),
            _type("wordpress", "WordPress", "WordPressHook", login="User", password="Application password"),
            _type("metricool", "Metricool", "MetricoolHook", login="User id", password="Token"),
            _type("bluesky", "Bluesky", "BlueskyHook", login="Handle", password="App password"),
            _type("pinterest", "Pinterest", "PinterestHook", password="Access token"),
            _type("x", "X", "XHook", password="Access token"),
            _type("email", "e-mail", "MailHook", login="User", password="Password"),
            _type("slack", "Slack", "SlackHook", password="Webhook's address or bot's token"),
            _type("webhook", "webhook", "WebhookHook", password="Secret that signs"),
        ],
    }


def _type(name: str, title: str, hook: str, *, password: str, login: str | None = None) -> dict[str, Any]:
    labels = {"host": "Address", "password": password, "extra": "Settings"}
    return {
        "connection-type": f"pressroom_{name}",
        "hook-name": f"Pressroom: {title}",
        "hook-class-name": f"{HOOKS}.{hook}",
        "ui-field-behaviour": {
            "hidden-fields": [] if login else ["login"],
            "relabeling": labels | ({"login": login} if login else {}),
            "placeholders": {"host": "https://example.org", "extra": '{"timeout_seconds": 30}'},
        },
    }
