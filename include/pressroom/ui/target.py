"""What a target would be sent, as a page to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from pressroom.domain.markup.html import place, sanitize
from pressroom.ui.environment import environment

OWN_PLACE = ("title", "html", "text", "slug", "excerpt", "meta_description")
"""The arguments that the page shows in places of their own."""


@dataclass(frozen=True)
class TargetPageFacts:
    """``arguments``: as the target takes them, by name. ``pictures``: (address, alternative text) in order.

    ``problem``: why it would get nothing, '' if it would.
    """

    target: str
    arguments: Mapping[str, Any]
    pictures: Sequence[tuple[str, str]]
    problem: str


def target_page(facts: TargetPageFacts) -> str:
    """The page. Pictures but the first stand after the headings, as targets place them."""
    arguments = facts.arguments
    figures = [
        str(Markup('<figure><img src="{}" alt="{}"></figure>').format(url, alt))
        for url, alt in facts.pictures[1:]
    ]
    html = str(arguments.get("html") or "")
    body = Markup(place(sanitize(html), figures)) if html else escape("")  # noqa: S704  # sanitised here
    others = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in arguments.items()
        if name not in OWN_PLACE and value not in ("", None, [], {})
    }
    return _pages().get_template("target.html.j2").render(
        facts=facts, body=body, others=others, lead=facts.pictures[:1],
        inline=not html and facts.pictures[1:],
        **{name: str(arguments.get(name) or "") for name in OWN_PLACE if name != "html"},
    )  # fmt: skip


@cache
def _pages() -> Environment:
    return environment()
