"""The targets that a publish step can name. Loaded when one is named: each brings its own libraries.

A target is at ``pressroom.adapters.targets.<name>``, a module or a package, which has ``Settings`` (with
``from_connection``) and ``Target`` (opened with them, an async context manager).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.publishing import TargetLimits
from pressroom.domain.text import did_you_mean

HANDLERS = ("static_site", "wordpress", "webhook", "pinterest", "x", "bluesky", "metricool")


def open_target(handler: str, connection: str, fields: Mapping[str, Any]) -> Any:
    """The target behind a connection. Raises ConfigurationError: no such handler, or wrong fields."""
    module = _module(handler)
    return module.Target(module.Settings.from_connection(connection, **fields))


def limits_of(handler: str, settings: Mapping[str, Any]) -> TargetLimits:
    """What a piece with these arguments must keep to, as far as it is known without the connection.

    Raises ConfigurationError when there is no such handler.
    """
    limits: TargetLimits = _module(handler).Target.arguments.limits_for(settings)
    return limits


def refused_settings(handler: str, settings: Collection[str]) -> list[tuple[str, str]]:
    """The names of settings that a definition must not hold for a handler, each with the reason.

    Raises ConfigurationError when there is no such handler.
    """
    return list(_module(handler).Target.arguments.refused_settings(settings))


def _module(handler: str) -> Any:
    if handler not in HANDLERS:
        raise ConfigurationError(f"there is no handler {handler!r}{did_you_mean(handler, HANDLERS)}")
    return import_module(f"pressroom.adapters.targets.{handler}")
