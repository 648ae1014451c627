"""A publish step: what an AI step asked for, or what the item holds, brought to its target once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from html import unescape
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from pressroom.domain.definitions import dump
from pressroom.domain.errors import PermanentError
from pressroom.domain.flows import AiStep, AnyStep, FetchStep, Flow, MediaStep, PublishStep
from pressroom.domain.markup.html import from_text, plain, sanitize, text_of
from pressroom.domain.publishing import (
    Approval,
    Content,
    Picture,
    Piece,
    Submission,
    arguments_from,
    arguments_of,
)
from pressroom.domain.text import to_json
from pressroom.pipelines.flow.items import FlowItem, Outcome
from pressroom.pipelines.tools import Tools

STEP: TypeAdapter[AnyStep] = TypeAdapter(AnyStep)
_BODIES = ("html", "body", "text", "content", "article")
_TITLES = ("title", "headline", "name")


async def process(step: PublishStep, position: int, item: FlowItem, tools: Tools) -> Outcome:
    """Publish. Where an AI step could have asked and did not, it is passed over; that none could is wrong."""
    target = tools.outside.target(step)
    if step.mode == "auto":
        arguments = arguments_from(target, content_of(item, tools.flow.language), step.to)
    else:
        call = _call(step, position, item, tools.flow)
        if call is None:
            return Outcome([("note", {"passed_over": "no AI step asked for it"})], label="not asked for")
        arguments = arguments_of(target, call, step.to)
    arguments = arguments_of(
        target, {**arguments.model_dump(mode="json"), **step.settings}, step.to, step.settings
    )
    drawn = [packet.data for packet in item.packets if packet.kind == "media"]
    most = arguments.limits_for(dict(arguments)).pictures
    pictures = [await _picture(data, tools) for data in drawn[:most]]
    content = content_key(item, turn(step, position, tools.flow), arguments.place)
    account = tools.flow.account
    piece: Piece[Any] = Piece(key_of(account, content, step), arguments, pictures, account=account)
    submission = Submission(
        content, hash_of(arguments, pictures), piece, approval=_approval(step, position, item, tools.flow)
    )
    publication = await tools.outside.publish(step, submission)
    data = {
        "target": publication.target,
        "external_id": publication.external_id,
        "url": publication.public_url,
        "status": publication.status.value,
    }
    return Outcome(
        [("published", data)], label=f"{step.to}: {publication.public_url or publication.external_id}"
    )


def turn(step: PublishStep, position: int, flow: Flow) -> int:
    """Which of the flow's steps that publish to the same place this is, from 1."""
    return 1 + sum(
        isinstance(other, PublishStep) and (other.to, other.connection_id) == (step.to, step.connection_id)
        for other in flow.steps[:position]
    )


def content_key(item: FlowItem, turn: int = 1, place: str = "") -> str:
    """How the publication ledger names what the item was made of: the same for every flow over its feed.

    ``turn``: a flow that publishes to one place more than once means a piece of its own each time; ``place``:
    where it appears within the target, as ``TargetArguments.place`` has it.
    """
    # A migration computes the same for what earlier versions published.
    told = "\x1f".join(filter(None, (item.feed, item.source_id, place)))
    digest = hashlib.sha256(told.encode()).hexdigest()[:32]
    return f"source:{digest}" if turn == 1 else f"source:{digest}:{turn}"


def key_of(account: str, content: str, step: PublishStep) -> str:
    """What is left at the target, to be found again. Two accounts that take up one source have two pieces."""
    name = f"{account}/{content}|{step.connection_id}|{step.to}"
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def hash_of(arguments: BaseModel, pictures: list[Picture]) -> str:
    """SHA-256 over what is published."""
    facts = [
        arguments.model_dump(mode="json"),
        [hashlib.sha256(picture.data).hexdigest() for picture in pictures],
    ]
    return hashlib.sha256(to_json(facts).encode()).hexdigest()


def content_of(item: FlowItem, language: str) -> Content:
    """What there is to publish of an item: the newest answer, and where it lacks something the source."""
    source = item.source
    answer = item.last("output", "text")
    data: Mapping[str, Any] = answer.data if answer else {}
    body = next((str(data[name]) for name in _BODIES if data.get(name)), "")
    title = next((str(data[name]) for name in _TITLES if data.get(name)), "") or str(
        source.get("title") or ""
    )
    html = (
        sanitize(body)
        if "<" in body
        else sanitize(from_text(unescape(body)))
        if body
        else sanitize(str(source.get("html") or ""))
    )
    text = text_of(html, "\n\n") if html else str(source.get("text") or "")
    return Content(
        title=plain(title) or plain(text)[:80],
        text=text,
        html=html or sanitize(from_text(text)),
        excerpt=plain(str(data.get("excerpt") or ""))[:300],
        tags=tuple(str(tag) for tag in source.get("tags") or ()),
        link=str(source.get("url") or ""),
        language=str(source.get("language") or "") or language,
    )


def _approval(step: PublishStep, position: int, item: FlowItem, flow: Flow) -> Approval | None:
    """What gates let through: the steps from there on to this one that make or send content.

    A gate that was taken out since says nothing about this flow, so its approval is void.
    """
    approved, sending = {}, {}
    places = {other.name: place for place, other in enumerate(flow.steps)}
    for gate, steps in item.approved.items():
        place = places.get(gate)
        if place is not None and place > position:
            continue
        approved[gate] = _deciding(_behind(steps or [], gate, step.name))
        sending[gate] = None if place is None else _deciding(flow.steps[place + 1 : position + 1])
    return Approval(approved, sending) if sending else None


def _deciding(steps: Iterable[AnyStep]) -> dict[str, Any]:
    makers = FetchStep | AiStep | MediaStep | PublishStep
    return {step.name: dump(step) for step in steps if isinstance(step, makers)}


def _behind(steps: Sequence[Mapping[str, Any]], gate: str, last: str) -> Iterator[AnyStep]:
    """Of steps as they were kept, those behind the gate, to the last. None that this version cannot read."""
    behind = False
    for step in steps:
        if behind:
            with suppress(ValidationError):
                yield STEP.validate_python(step)
        behind = (behind or step.get("name") == gate) and step.get("name") != last


def _call(step: PublishStep, position: int, item: FlowItem, flow: Flow) -> Mapping[str, Any] | None:
    """The newest call for this step; None when an AI step saw it and did not call. Raises PermanentError."""
    for packet in reversed(item.packets):
        if packet.kind == "tool_call" and packet.data["step"] == step.name:
            arguments: Mapping[str, Any] = packet.data["arguments"]
            return arguments
    ran = {packet.step for packet in item.packets}
    for other, candidate in enumerate(flow.steps[:position]):
        if isinstance(candidate, AiStep) and candidate.name in ran and step in flow.visible(other):
            return None
    raise PermanentError(
        f"no AI step before {step.name} may call it: set mode: auto, or widen an AI step's tools"
    )


async def _picture(data: Mapping[str, Any], tools: Tools) -> Picture:
    url = str(data["url"])
    content = await asyncio.to_thread(tools.media.get, url)
    public = url if url.startswith(("http://", "https://")) else ""
    return Picture(content, str(data["media_type"]), str(data.get("alt") or ""), public)
