"""An AI step: the model reads the item's packets, and answers in a form, with a text, or by calling tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from pressroom.domain.flows import AiStep
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.model import Prompt, Tool
from pressroom.pipelines.answers import LONGEST, Answer, Chars
from pressroom.pipelines.flow.items import Ending, FlowItem, Outcome
from pressroom.pipelines.prompts import DATA_RULE, render_source
from pressroom.pipelines.tools import Tools

SKIP = "skip_item"

SYSTEM = (
    "You work on one item of a content flow. Do what the instruction says with the item's material, and"
    " nothing else. When the item is not fit for it, call skip_item and say why."
)


class SkipItem(Answer):
    """The reason to end the item here."""

    reason: Annotated[str, Chars(300)]


class TextAnswer(Answer):
    """The answer as text."""

    text: Annotated[str, Chars(4 * LONGEST)]


async def process(step: AiStep, position: int, item: FlowItem, tools: Tools) -> Outcome:
    """One or two calls. Raises what ``generate`` and ``choose`` raise."""
    prompt = _prompt(step, item.variables(tools.run_id, tools.flow), tools)
    packets: list[tuple[str, Mapping[str, Any]]] = []
    label = ""
    if step.output:
        answer = (await tools.text.generate(prompt, _form(step))).model_dump(by_alias=True)
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


def _prompt(step: AiStep, variables: Mapping[str, Any], tools: Tools) -> Prompt:
    user = render_source(step.prompt, variables, where=f"the prompt of the step {step.name}")
    system = render_source(step.system, variables, where=f"the system prompt of {step.name}") or SYSTEM
    return Prompt(f"flow:{step.name}", f"{system}\n{DATA_RULE}", user, step.max_tokens, step.temperature)


def _form(step: AiStep) -> type[BaseModel]:
    """The type of the step's output. Field names have a prefix, because pydantic models have methods such as
    ``copy``.
    """
    fields: dict[str, Any] = {
        f"the_{name}": (Annotated[str, Chars(LONGEST)], Field(alias=name, description=about))
        for name, about in step.output.items()
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
