"""Checks a flow before it runs. Each problem has its place and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.errors import PressroomError
from pressroom.domain.flows import (
    GO_TO,
    AiStep,
    AnyStep,
    FetchStep,
    Flow,
    GateStep,
    MediaStep,
    PingStep,
    PublishStep,
    RouteStep,
)
from pressroom.domain.packets import source_item
from pressroom.domain.publishing import TargetLimits
from pressroom.domain.text import did_you_mean
from pressroom.pipelines.flow.items import RESERVED
from pressroom.pipelines.templates import source_problems

LimitsOf = Callable[[str, Mapping[str, Any]], TargetLimits]
"""A handler's limits for a piece with these arguments."""

RefusedSettings = Callable[[str, Collection[str]], Iterable[tuple[str, str]]]
"""The settings that a definition must not hold for a handler, each with the reason."""

Path = Sequence[str | int]
"""Keys and positions that lead to a place in a definition."""

_ITEM = source_item(
    "one", url="https://example.org/one", title="a title", text="a text", html="<p>a text</p>", author="ann",
    published_at="2027-01-01", tags=["one"], images=["https://example.org/one.png"], language="en",
).to_data()  # fmt: skip


def samples(flow: Flow) -> dict[str, Any]:
    """The variables of a step's templates, with sample values."""
    results: dict[str, Any] = {}
    for step in flow.steps:
        match step:
            case AiStep():
                results[step.name] = {"text": "a text", "step": "a_step", "arguments": {}, **step.output}
            case FetchStep():
                results[step.name] = dict(_ITEM)
            case PublishStep():
                results[step.name] = {
                    "target": "a target",
                    "external_id": "1",
                    "url": "https://example.org/1",
                }
            case MediaStep():
                results[step.name] = {"url": "file:///one.png", "alt": "a picture", "width": 1, "height": 1}
            case _:
                results[step.name] = {"outcome": "approve", "by": "ann", "text": "a text"}
    return {
        "item": dict(_ITEM),
        "packets": [{"step": "a_step", "kind": "text", "data": {"text": "a text"}}],
        "results": results,
        "run": {"id": 1, "flow": flow.slug},
    }


@dataclass(frozen=True)
class FlowProblem:
    """``path``: keys and positions in the definition, from ``steps`` on."""

    path: Path
    what: str


def problems(
    flow: Flow,
    handlers: Collection[str],
    limits_of: LimitsOf,
    read_condition: Callable[[str], object],
    refused_settings: RefusedSettings,
) -> list[FlowProblem]:
    """Every problem of the flow. ``read_condition`` raises for an invalid condition."""
    names = [step.name for step in flow.steps]
    wrong: list[FlowProblem] = []
    known = samples(flow)
    for position, step in enumerate(flow.steps):
        where: Path = ["steps", position]
        if names.index(step.name) < position:
            wrong.append(FlowProblem([*where, "name"], f"{step.name!r} is the name of two steps: rename one"))
        if step.name in RESERVED:
            wrong.append(
                FlowProblem([*where, "name"], f"{step.name!r} has a meaning of its own: choose another name")
            )
        wrong += _way(flow, position, step)
        wrong += _conditions(where, step, read_condition)
        wrong += _templates(where, step, known)
        if isinstance(step, PublishStep):
            wrong += _publish(flow, position, step, handlers, limits_of)
            if step.to in handlers:
                wrong += [
                    FlowProblem([*where, "settings", name], what)
                    for name, what in refused_settings(step.to, step.settings)
                ]
        if isinstance(step, AiStep):
            wrong += _tools(flow, position, step)
    wrong += _unreachable(flow)
    return wrong


def _way(flow: Flow, position: int, step: AnyStep) -> Iterator[FlowProblem]:
    """Problems of the steps that a step leads to: they must be later ones."""
    where: Path = ["steps", position]
    jump = GO_TO.match(step.on_failure)
    if jump is not None:
        yield from _later(flow, position, jump[1], [*where, "on_failure"])
    if isinstance(step, RouteStep):
        for number, rule in enumerate(step.rules):
            yield from _later(flow, position, rule.to, [*where, "rules", number, "to"])
        yield from _later(flow, position, step.otherwise, [*where, "otherwise"])


def _later(flow: Flow, position: int, to: str, path: Path) -> Iterator[FlowProblem]:
    names = [step.name for step in flow.steps]
    if to in ("next", "end", "skip"):
        return
    if to not in names:
        yield FlowProblem(path, f"there is no step {to!r}{did_you_mean(to, names)}")
    elif names.index(to) <= position:
        yield FlowProblem(path, f"{to!r} is not a later step: a flow has no loops")


def _conditions(where: Path, step: AnyStep, read_condition: Callable[[str], object]) -> Iterator[FlowProblem]:
    texts: list[tuple[Path, str]] = [([*where, "when"], step.when)] if step.when else []
    if isinstance(step, RouteStep):
        texts += [([*where, "rules", number, "when"], rule.when) for number, rule in enumerate(step.rules)]
    for path, text in texts:
        try:
            read_condition(text)
        except PressroomError as error:
            yield FlowProblem(path, str(error))


def _templates(where: Path, step: AnyStep, known: Mapping[str, Any]) -> Iterator[FlowProblem]:
    match step:
        case AiStep():
            texts = {"prompt": step.prompt, "system": step.system}
        case PingStep():
            texts = {"message": step.message}
        case GateStep():
            texts = {"subject": step.subject}
        case MediaStep():
            texts = {"prompt": step.prompt, "alt": step.alt}
        case _:
            texts = {}
    for name, text in texts.items():
        for line, what in source_problems(text, known):
            yield FlowProblem(
                [*where, name], what if line is None else f"line {line} of the template: {what}"
            )


def _publish(
    flow: Flow, position: int, step: PublishStep, handlers: Collection[str], limits_of: LimitsOf
) -> Iterator[FlowProblem]:
    where: Path = ["steps", position]
    if step.to in handlers:
        pictures = any(isinstance(other, MediaStep) for other in flow.steps[:position])
        if limits_of(step.to, step.settings).picture_required and not pictures:
            yield FlowProblem(
                where,
                f"{step.settings.get('network', step.to)} takes nothing without a picture, and no media step"
                f" comes before {step.name!r}: put one there",
            )
    else:
        yield FlowProblem([*where, "to"], f"there is no handler {step.to!r}{did_you_mean(step.to, handlers)}")
    seen_by = [
        other
        for other in range(position)
        if isinstance(flow.steps[other], AiStep) and step in flow.visible(other)
    ]
    if step.mode == "ai" and not seen_by:
        yield FlowProblem(
            where,
            f"no AI step before {step.name!r} may call it: set mode: auto, put an AI step right before it,"
            " or name it in an earlier AI step's tools",
        )


def _tools(flow: Flow, position: int, step: AiStep) -> Iterator[FlowProblem]:
    if isinstance(step.tools, str):
        return
    publishers = [other.name for other in flow.steps if isinstance(other, PublishStep)]
    for number, name in enumerate(step.tools):
        path: Path = ["steps", position, "tools", number]
        if name not in publishers:
            yield FlowProblem(path, f"there is no publish step {name!r}{did_you_mean(name, publishers)}")
            continue
        _, publish = flow.step(name)
        if isinstance(publish, PublishStep) and publish.mode == "auto":
            yield FlowProblem(path, f"{name!r} is mode: auto, so nobody calls it")


def _unreachable(flow: Flow) -> Iterator[FlowProblem]:
    names = [step.name for step in flow.steps]
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        position = waiting.pop()
        if position in reached or position >= len(flow.steps):
            continue
        reached.add(position)
        step = flow.steps[position]
        ways = (
            [step.otherwise, *(rule.to for rule in step.rules)] if isinstance(step, RouteStep) else ["next"]
        )
        if isinstance(step, RouteStep) and step.when is not None:
            ways.append("next")  # it may be skipped
        jump = GO_TO.match(step.on_failure)
        ways += [jump[1]] if jump else ["next"] if step.on_failure == "continue" else []
        for way in ways:
            if way == "next":
                waiting.append(position + 1)
            elif way in names:
                waiting.append(names.index(way))
    for position, step in enumerate(flow.steps):
        if position not in reached:
            yield FlowProblem(
                ["steps", position], f"{step.name!r} is never reached: lead a route to it, or take it out"
            )
