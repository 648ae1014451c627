"""The steps of flows that need little around them: AI, fetch (more material), media, ping and route."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from pressroom.domain.errors import PressroomError
from pressroom.domain.flows import AiStep, FetchStep, MediaStep, PingStep, RouteStep
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.markup.html import clip
from pressroom.domain.model import ImageRequest, Prompt, Tool
from pressroom.domain.packets import nothing_claimed
from pressroom.domain.text import counted
from pressroom.pipelines.answers import LONGEST, Answer, Chars
from pressroom.pipelines.flow.items import Ending, FlowItem, Outcome
from pressroom.pipelines.prompts import DATA_RULE, render_source
from pressroom.pipelines.tools import Tools

SKIP = "skip_item"

SYSTEM = (
    "You work on one item of a content flow. Do what the instruction says with the item's material, and"
    " nothing else. When the item is not fit for it, call skip_item and say why."
)


async def fetch(step: FetchStep, item: FlowItem, tools: Tools) -> Outcome:
    """Fetch more material for an item."""
    sources = await tools.outside.fetch(step.source, nothing_claimed)
    return Outcome(
        [("source", source.to_data()) for source in sources], label=counted(len(sources), "source")
    )


async def media(step: MediaStep, item: FlowItem, tools: Tools) -> Outcome:
    """Draw and store a picture. Files are named by content hash, so a repeat stores one file."""
    variables = item.variables(tools.run_id, tools.flow)
    prompt = clip(await render_source(step.prompt, variables, where=f"the prompt of {step.name}"), 1000)
    alt = clip(await render_source(step.alt, variables, where=f"alt of {step.name}"), 300)
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
        message = await render_source(step.message, variables, where=f"the message of {step.name}")
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


class SkipItem(Answer):
    """The reason to end the item here."""

    reason: Annotated[str, Chars(300, needed=True)]


class TextAnswer(Answer):
    """The answer as text."""

    text: Annotated[str, Chars(4 * LONGEST, needed=True)]


async def ask(step: AiStep, position: int, item: FlowItem, tools: Tools) -> Outcome:
    """One or two calls. Raises what ``generate`` and ``choose`` raise."""
    prompt = await _prompt(step, item.variables(tools.run_id, tools.flow), tools)
    packets: list[tuple[str, Mapping[str, Any]]] = []
    label = ""
    if step.output:
        form = _form(tuple(step.output.items()))
        answer = (await tools.text.generate(prompt, form)).model_dump(by_alias=True)
        packets.append(("output", answer))
        label = shorten(next(iter(answer.values()), ""), 80)
    offered = _tools(step, position, tools)
    if offered:
        choices = await tools.text.choose(prompt, [*offered.values(), _skip_tool()])
        skipped = next((choice for choice in choices if choice.tool == SKIP), None)
        # A model that skips the item and also publishes is undecided: the skip wins.
        if skipped is not None:
            reason = str(skipped.arguments.model_dump()["reason"])
            return Outcome(
                [*packets, ("note", {"skipped": reason})], Ending.AGENT_SKIPPED, reason, f"skipped: {reason}"
            )
        by_tool = {tool.name: name for name, tool in offered.items()}
        packets += [
            (
                "tool_call",
                {"step": by_tool[choice.tool], "arguments": choice.arguments.model_dump(mode="json")},
            )
            for choice in choices
        ]
        label = label or f"calls {', '.join(by_tool[choice.tool] for choice in choices)}"
    elif not step.output:
        text = (await tools.text.generate(prompt, TextAnswer)).text
        packets.append(("text", {"text": text}))
        label = shorten(text, 80)
    return Outcome(packets, label=label)


async def _prompt(step: AiStep, variables: Mapping[str, Any], tools: Tools) -> Prompt:
    user = await render_source(step.prompt, variables, where=f"the prompt of the step {step.name}")
    system = await render_source(step.system, variables, where=f"the system prompt of {step.name}") or SYSTEM
    return Prompt(f"flow:{step.name}", f"{system}\n{DATA_RULE}", user, step.max_tokens, step.temperature)


@lru_cache(maxsize=64)
def _form(output: tuple[tuple[str, str], ...]) -> type[BaseModel]:
    """The type of a step's ``output``: name and description of each field. Field names have a prefix, because
    pydantic models have methods such as ``copy``.
    """
    fields: dict[str, Any] = {
        f"the_{name}": (Annotated[str, Chars(LONGEST, needed=True)], Field(alias=name, description=about))
        for name, about in output
    }
    form: type[BaseModel] = create_model("Output", __base__=Answer, **fields)
    return form


def _tools(step: AiStep, position: int, tools: Tools) -> dict[str, Tool[Any]]:
    """Publish step → its handler as a tool. Tools come from the definition only, never from an item."""
    offered = {}
    for publish in tools.flow.visible(position):
        target = tools.outside.target(publish)
        offered[publish.name] = Tool(f"publish_{publish.name}", target.description, target.arguments)
    return offered


def _skip_tool() -> Tool[SkipItem]:
    return Tool(SKIP, "End the item here, without publishing it.", SkipItem)
