"""The simple steps of flows: fetch (more material), media, ping and route."""

from __future__ import annotations

import asyncio

from pressroom.domain.errors import PressroomError
from pressroom.domain.flows import FetchStep, MediaStep, PingStep, RouteStep
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.markup.lines import clip
from pressroom.domain.model import ImageRequest
from pressroom.domain.packets import nothing_claimed
from pressroom.domain.text import counted
from pressroom.pipelines.flow.items import Ending, FlowItem, Outcome
from pressroom.pipelines.prompts import render_source
from pressroom.pipelines.tools import Tools


async def fetch(step: FetchStep, item: FlowItem, tools: Tools) -> Outcome:
    """Fetch more material for an item."""
    sources = await tools.outside.fetch(step.source, nothing_claimed)
    return Outcome(
        [("source", source.to_data()) for source in sources], label=counted(len(sources), "source")
    )


async def media(step: MediaStep, item: FlowItem, tools: Tools) -> Outcome:
    """Draw and store a picture. Files are named by content hash, so a repeat stores one file."""
    variables = item.variables(tools.run_id, tools.flow)
    prompt = clip(render_source(step.prompt, variables, where=f"the prompt of {step.name}"), 1000)
    alt = clip(render_source(step.alt, variables, where=f"alt of {step.name}"), 300)
    settings = tools.flow.images
    result = await tools.images.draw(
        ImageRequest(
            prompt=prompt,
            title=clip(str(item.source.get("title") or prompt), 100),
            width=settings.width,
            height=settings.height,
            colors=tuple(tools.brand.colors) if tools.brand else (),
            label=tools.flow.name,
        )
    )
    url = await asyncio.to_thread(tools.media.put, result.data, result.media_type)
    data = {
        "url": url, "media_type": result.media_type, "alt": alt or prompt[:300], "width": result.width,
        "height": result.height,
    }  # fmt: skip
    return Outcome([("media", data)], label=shorten(prompt, 60))


async def ping(step: PingStep, item: FlowItem, tools: Tools) -> Outcome:
    """Send a signed webhook. A failure is recorded, and the item goes on."""
    payload = {
        "flow": tools.flow.slug,
        "run": tools.run_id,
        "step": step.name,
        "item": {"id": item.id, "source_id": item.source_id, "title": item.source.get("title")},
        "url": item.source.get("url"),
        "published": [dict(packet.data) for packet in item.packets if packet.kind == "published"],
    }
    try:
        variables = item.variables(tools.run_id, tools.flow)
        message = render_source(step.message, variables, where=f"the message of {step.name}")
        await tools.outside.notify(step.connection, "ping", {**payload, "message": message})
    except PressroomError as error:
        return Outcome([("note", {"not_delivered": str(error)})], label=f"not delivered: {error}")
    return Outcome([("note", {"delivered": step.connection})], label=f"told {step.connection}")


async def route(step: RouteStep, item: FlowItem, tools: Tools) -> Outcome:
    """Go where the first rule that holds says."""
    variables = item.variables(tools.run_id, tools.flow)
    for rule in step.rules:
        if tools.outside.condition(rule.when).holds(variables):
            return _to(rule.to, rule.when)
    return _to(step.otherwise, "otherwise")


def _to(to: str, why: str) -> Outcome:
    ending = Ending.SKIPPED.value if to == "skip" else to
    return Outcome(
        [("note", {"to": to, "because": why})], ending, why if to == "skip" else "", f"{why} → {to}"
    )
