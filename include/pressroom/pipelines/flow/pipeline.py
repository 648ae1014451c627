"""A flow's steps as stages. An item is at one of them at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import (
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
from pressroom.domain.packets import SourceItem, source_item
from pressroom.domain.run import ITEM, Run
from pressroom.domain.text import counted
from pressroom.pipelines import needs
from pressroom.pipelines.flow import publish, steps
from pressroom.pipelines.flow.items import Ending, FlowItem, Outcome, fail, load_items, move
from pressroom.pipelines.needs import Need
from pressroom.pipelines.stage import Estimate, Key, Pipeline, Saved, Stage, must_be_active
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

START = "start"
"""The first stage of a flow that does not begin with a fetch. Its one item comes from the trigger."""

POOLS = {"ai": "pressroom_text", "media": "pressroom_images", "publish": "pressroom_publish"}


def flow_pipeline(flow: Flow) -> Pipeline:
    """The pipeline of one flow: a stage that brings items in, then a stage for each step."""
    first = flow.steps[0]
    opening = _opening(first if isinstance(first, FetchStep) else None)
    rest = range(1 if isinstance(first, FetchStep) else 0, len(flow.steps))
    return Pipeline(
        "flow",
        [opening, *(step_stage(flow, position) for position in rest)],
        estimate=lambda tx, run: Estimate({}, {}),
        waiting=lambda tx, flow_id: _waiting(tx, flow, flow_id),
        places=lambda tx, run_id: {row["step"]: row["items"] for row in tx.rows("flow_places", run=run_id)},
        admit=lambda tx, run, now: must_be_active(run),
        exclusive=False,
    )


def _waiting(tx: Tx, flow: Flow, flow_id: int) -> Mapping[str, int]:
    counts: dict[str, int] = tx.value("flow_waiting", flow=flow_id)
    names = {step.name for step in flow.steps}
    return {step: count for step, count in counts.items() if step in names}


# How items come in ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Intake:
    """What an opening stage brings in. ``seen``: the ids of all that the source shows."""

    items: Sequence[SourceItem]
    seen: Collection[str] = ()


def _opening(fetch: FetchStep | None) -> Stage[Run, Intake]:
    async def process(run: Run, tools: Tools) -> Intake:
        if fetch is None:
            return Intake([_from_trigger(run)])
        seen: dict[str, None] = {}

        async def known(ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
            seen.update(dict.fromkeys(ids))
            return await tools.outside.known(ids, also)

        return Intake(await tools.outside.fetch(fetch.source, known), seen)

    def save(tx: Tx, run: Run, _: Run, intake: Intake) -> Saved:
        rest = run.flow.steps[1 if fetch is not None else 0 :]
        first = rest[0].name if rest else name
        feed, created = run.flow.feed_name, 0
        items = intake.items if fetch is None else _begun(tx, run, fetch.source, intake)
        for position, item in enumerate(items):
            item_id = tx.value(
                "flow_item_insert", flow=run.workflow_id, run=run.id, feed=feed, source_id=item.source_id,
                position=position, source=item.to_data(), step=first,
            )  # fmt: skip
            if item_id is None:  # another run of the flow was quicker
                continue
            if not tx.run(
                "flow_claim", flow=run.workflow_id, feed=feed, source_id=item.source_id, item=item_id
            ):
                tx.run(
                    "flow_item_end", run=run.id, item=item_id, status=Ending.SKIPPED,
                    reason="taken up by another run", refused=False,
                )  # fmt: skip
                continue
            tx.run("packet_append", item=item_id, step=name, kind="source", data=item.to_data())
            created += 1
            if not rest:  # nothing but a fetch
                tx.run(
                    "flow_item_end", run=run.id, item=item_id, status=Ending.DONE, reason="", refused=False
                )
                tx.run("claim_commit", flow=run.workflow_id, item=item_id)
        return Saved(created=created, label=counted(created, "item"))

    name = fetch.name if fetch is not None else START
    return Stage(
        name=name,
        title=f"{name}: fetch" if fetch is not None else "What the trigger brought",
        pending=lambda tx, run: [] if tx.values("flow_items_of_run", run=run.id) else [run.id],
        load=lambda tx, run, keys: [] if tx.values("flow_items_of_run", run=run.id) else [run],
        process=process,
        save=save,
        result_fields={"items": "created"},
        bears_setup=fetch is not None and fetch.on_failure != "stop",
        needs=lambda run: () if fetch is None else needs_of(run.flow, 0),
    )


def _begun(tx: Tx, run: Run, source: FetchSettings, intake: Intake) -> Sequence[SourceItem]:
    """The items to take up. The first time that a flow reads a feed, the others that are there count as taken
    up, unless the flow starts with all.
    """
    most = source.most_at_start
    items = intake.items if most is None else intake.items[:most]
    dates = [item.published_at for item in items if item.published_at is not None]
    feed = {"flow": run.workflow_id, "feed": run.flow.feed_name}
    if not tx.run("flow_feed_begin", **feed, all=most is None, old_before=min(dates, default=None)):
        return intake.items
    if most is not None:
        left = set(intake.seen) - {item.source_id for item in items}
        tx.run("flow_claim_old", **feed, ids=sorted(left))
    return items


def _from_trigger(run: Run) -> SourceItem:
    sent = run.params.get(ITEM) or {}
    return source_item(
        str(sent.get("id") or f"run:{run.id}"),
        url=str(sent.get("url") or ""),
        title=str(sent.get("title") or f"Run {run.id}"),
        text=str(sent.get("text") or ""),
        tags=_texts(sent.get("tags")),
        images=_texts(sent.get("images")),
        extra={
            key: value
            for key, value in sent.items()
            if key not in ("id", "url", "title", "text", "tags", "images")
        },
    )


def _texts(value: object) -> list[str]:
    """A list of texts from a trigger's data, which may be anything: a text is a list of one, others are
    empty.
    """
    if isinstance(value, str):
        return [value]
    return [str(text) for text in value] if isinstance(value, list) else []


# What they go through -----------------------------------------------------------------------------------


def step_stage(flow: Flow, position: int) -> Stage[FlowItem, Outcome]:
    """The stage of the step at a position."""
    step = flow.steps[position]

    def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[FlowItem]:
        return load_items(tx, run, step.name, [key for key in keys if isinstance(key, int)])

    def save(tx: Tx, run: Run, item: FlowItem, outcome: Outcome) -> Saved:
        move(tx, run, item, step, outcome)
        title = str(item.source.get("title") or item.source_id)
        return Saved(created=1, label=f"{title[:60]}: {outcome.label}" if outcome.label else title[:100])

    def failed(tx: Tx, run: Run, item: FlowItem, error: Exception) -> None:
        fail(tx, run, item, step, error)

    async def process(item: FlowItem, tools: Tools) -> Outcome:
        return await run_step(step, position, item, tools)

    return Stage(
        name=step.name,
        title=f"{step.name}: {step.type}",
        pending=lambda tx, run: [],  # items come by their own tasks, not by a plan
        load=load,
        process=process,
        save=save,
        result_fields={"items": "created"},
        bears_setup=step.on_failure != "stop",
        waits=step.type == "gate",
        pool=POOLS.get(step.type),
        failed=failed,
        needs=lambda run: needs_of(flow, position),
    )


def needs_of(flow: Flow, position: int) -> Sequence[Need]:
    """What the step at a position needs of the outside. Its ``on_failure`` may let items do without."""
    found = _needs(flow, position)
    if flow.steps[position].on_failure == "stop":
        return found
    return [replace(need, optional=True) for need in found]


def _needs(flow: Flow, position: int) -> Sequence[Need]:
    match flow.steps[position]:
        case FetchStep(source=source):
            return (needs.source(source, optional=False),)
        case AiStep():
            return (needs.TEXT,)
        case PublishStep() as step:
            drawn = any(isinstance(earlier, MediaStep) for earlier in flow.steps[:position])
            return (
                needs.target(step, step.settings),
                *((needs.MEDIA, needs.pictures(step)) if drawn else ()),
            )
        case GateStep(by=by, notify=str(connection)):
            # Without a link nobody can answer a webhook's gate; the others can be answered on Airflow's page.
            return (needs.receiver(connection, optional=by != "webhook"),)
        case PingStep(connection=connection):
            return (needs.receiver(connection, optional=True),)
        case MediaStep():
            return (needs.IMAGES, needs.MEDIA)
        case _:
            return ()


async def run_step(step: AnyStep, position: int, item: FlowItem, tools: Tools) -> Outcome:
    """Run the step on the item. Skips the step when its condition does not hold."""
    variables = item.variables(tools.run_id, tools.flow)
    if step.when is not None and not tools.outside.condition(step.when).holds(variables):
        return Outcome([("note", {"passed_over": step.when})], label=f"passed over: not {step.when}")
    match step:
        case AiStep():
            return await steps.ask(step, position, item, tools)
        case PublishStep():
            return await publish.process(step, position, item, tools)
        case FetchStep():
            return await steps.fetch(step, item, tools)
        case MediaStep():
            return await steps.media(step, item, tools)
        case PingStep():
            return await steps.ping(step, item, tools)
        case RouteStep():
            return await steps.route(step, item, tools)
        case GateStep():
            raise TypeError("a gate is not worked through: it waits")
