"""Every handler that a publish step can name. Loaded when it is named: each brings its own libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.text import did_you_mean

HANDLERS: Mapping[str, tuple[str, str, str]] = {
    "static_site": ("static_site.target", "StaticSiteSettings", "StaticSite"),
    "wordpress": ("wordpress.target", "WordPressSettings", "WordPress"),
    "webhook": ("webhook", "WebhookSettings", "Webhook"),
    "pinterest": ("pinterest", "PinterestSettings", "PinterestTarget"),
    "x": ("x.target", "XSettings", "XTarget"),
    "bluesky": ("bluesky.target", "BlueskySettings", "BlueskyTarget"),
    "metricool": ("metricool.target", "MetricoolSettings", "MetricoolTarget"),
}
"""name → (module, class of its settings, class of its target)"""


@dataclass(frozen=True)
class Handler:
    """How to open a target: from a connection's id and fields. It is an async context manager."""

    name: str
    open: Callable[[str, Mapping[str, Any]], Any]


def handler_of(name: str) -> Handler:
    """The handler of that name. Raises ConfigurationError, naming the nearest."""
    if name not in HANDLERS:
        raise ConfigurationError(f"there is no handler {name!r}{did_you_mean(name, HANDLERS)}")
    module_name, settings_name, target_name = HANDLERS[name]
    module = import_module(f"pressroom.adapters.targets.{module_name}")
    settings, target = getattr(module, settings_name), getattr(module, target_name)
    return Handler(name, lambda connection, fields: target(settings.from_connection(connection, **fields)))
