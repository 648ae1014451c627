"""Cycle → strategy and calendar. The model supplies words; numbers and times are computed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pendulum

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.strategy import Slot, Weights
from pressroom.domain.text import counted
from pressroom.pipelines.mission.calendar.open_times import NOTICE
from pressroom.pipelines.mission.calendar.planning import pillar_shares, plan_calendar
from pressroom.pipelines.mission.calendar.plans import plan_of
from pressroom.pipelines.mission.cycle import find_cycle
from pressroom.pipelines.mission.learning.changes import proven_topics, weights_in_force
from pressroom.pipelines.mission.writing.answers import shares as in_hundredths
from pressroom.pipelines.mission.writing.themes import Pillar, StrategyBrief, pillars_and_tone, topics_for
from pressroom.pipelines.needs import TEXT
from pressroom.pipelines.stage import Key, Saved, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "strategy"

SHOWN = 12
"""The most earlier topics, and the most proven topics, in a prompt."""


@dataclass(frozen=True)
class PlannedSlot:
    """A slot with its topic."""

    slot: Slot
    topic: str
    angle: str


@dataclass(frozen=True)
class Strategy:
    """The strategy of one cycle."""

    pillars: Sequence[Pillar]
    tone: str
    slots: Sequence[PlannedSlot]
    weights: Weights = field(default_factory=dict)


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """The run's cycle, until it has a strategy."""
    cycle = find_cycle(tx, run)
    return [cycle.id] if cycle is not None and cycle.strategy is None else []


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[StrategyBrief]:
    """The cycle, unless it has a strategy by now."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.id not in keys or cycle.strategy is not None:
        return []
    weights = weights_in_force(tx, run.mission_id) if run.mission.learning.enabled else {}
    return [
        StrategyBrief(
            cycle,
            weights,
            tx.value("earlier_strategy", mission=run.mission_id, number=cycle.number),
            tx.values("topics_used", mission=run.mission_id, most=SHOWN),
            proven_topics(tx, run.mission_id, SHOWN),
        )
    ]


async def process(brief: StrategyBrief, tools: Tools) -> Strategy:
    """One or two AI calls, whatever the number of slots. Raises what ``generate`` raises."""
    mission = tools.mission
    pillars, tone = await pillars_and_tone(brief, tools)
    now = await tools.social.clock.now()
    # Intake counted the slots from this time on. Only a strategy made much later has fewer.
    earliest = max(datetime.fromisoformat(brief.cycle.context["earliest_slot"]), now + NOTICE)
    plan = plan_of(
        mission,
        brief.cycle.starts_at,
        brief.cycle.ends_at,
        {pillar.name: pillar.weight for pillar in pillars},
        earliest,
    )
    # Seeded by the cycle's id: a strategy made again after a crash has the same calendar.
    slots = plan_calendar(plan, brief.weights, seed=brief.cycle.id)
    needed = Counter(slot.choices["pillar"] for slot in slots)
    topics = await topics_for(brief, pillars, needed, tone, tools)
    turns: Counter[str] = Counter()
    planned = []
    for slot in slots:
        pillar = slot.choices["pillar"]
        choice = topics[pillar][turns[pillar] % len(topics[pillar])]
        turns[pillar] += 1
        planned.append(PlannedSlot(slot, choice.topic, choice.angle))
    return Strategy(pillars, tone, planned, brief.weights)


def save(tx: Tx, run: Run, brief: StrategyBrief, output: Strategy) -> Saved:
    """The strategy, the weights it was made with, and its calendar."""
    mix: dict[str, Counter[str]] = defaultdict(Counter)
    for slot in output.slots:
        mix[slot.slot.platform.value][slot.slot.choices["format"]] += 1
    strategy = {
        "content_pillars": [vars(pillar) for pillar in output.pillars],
        "content_mix": {platform: dict(formats) for platform, formats in mix.items()},
        "tone_guidelines": output.tone,
    }
    parameters = {str(platform): dict(factors) for platform, factors in output.weights.items()}
    if not tx.run("cycle_strategy", cycle=brief.cycle.id, strategy=strategy, parameters=parameters):
        raise AlreadyDone(f"cycle {brief.cycle.number} has a strategy already")
    tx.many(
        "slot_insert",
        [
            {
                "mission": run.mission_id, "cycle": brief.cycle.id, "at": slot.slot.at,
                "platform": slot.slot.platform.value, "choices": dict(slot.slot.choices),
                "explores": slot.slot.explores, "topic": slot.topic, "angle": slot.angle,
            }
            for slot in output.slots
        ],
    )  # fmt: skip
    return Saved(
        created=len(output.slots),
        label=f"{counted(len(output.pillars), 'pillar')}, {counted(len(output.slots), 'slot')}",
    )


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """content_pillars, content_calendar by local date, tone_guidelines, cycle, content_mix."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.strategy is None:
        return None
    zone = pendulum.timezone(run.mission.constraints.timezone)
    days: dict[str, list[dict[str, Any]]] = {}
    for row in tx.rows("slots_of_cycle", cycle=cycle.id):
        at: datetime = row["at"].astimezone(zone)
        days.setdefault(at.date().isoformat(), []).append(
            {
                "time": f"{at:%H:%M}",
                "platform": Platform(row["platform"]).value,
                "pillar": row["choices"]["pillar"],
                "topic": row["topic"],
                "format": row["choices"]["format"],
            }
        )
    return {
        "cycle": cycle.number,
        "content_pillars": _pillars(cycle.strategy["content_pillars"], cycle.parameters or {}, run),
        "content_calendar": [{"date": day, "slots": slots} for day, slots in days.items()],
        "content_mix": cycle.strategy["content_mix"],
        "tone_guidelines": cycle.strategy["tone_guidelines"],
    }


def _pillars(
    pillars: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], run: Run
) -> list[dict[str, Any]]:
    """The pillars. ``weight``: the share that the calendar gives each, by what was learned, on average over
    the platforms; ``planned_weight``: what the model gave it.
    """
    planned = [float(pillar["weight"]) for pillar in pillars]
    by_platform = []
    for platform in run.mission.platforms:
        learned = parameters.get(str(platform), {}).get("pillar", {})
        wishes = [max(0.0, learned.get(pillar["name"], 1.0)) for pillar in pillars]
        by_platform.append(pillar_shares(planned, wishes))
    weights = in_hundredths([sum(each) for each in zip(*by_platform, strict=True)])
    return [
        {"name": pillar["name"], "weight": weight, "planned_weight": own}
        for pillar, weight, own in zip(pillars, weights, planned, strict=True)
    ]


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Withdraw the calendar and clear the cycle's strategy."""

    def withdraw(tx: Tx) -> Undone:
        cycle = find_cycle(tx, run)
        if cycle is None:
            return Undone()
        withdrawn = tx.run("slots_withdraw", cycle=cycle.id)
        tx.run("cycle_no_strategy", cycle=cycle.id)
        return Undone(withdrawn)

    return await store.run(run.account_id, withdraw)


STAGE: Stage[StrategyBrief, Strategy] = Stage(
    name=NAME,
    title="Strategy and calendar",
    pending=pending,
    load=load,
    process=process,
    save=save,
    key=lambda brief: str(brief.cycle.id),
    result_fields={"slots_planned": "created", "credits_used": "credits"},
    charge=lambda run, brief: run.account.charges.calendar,
    pool="pressroom_text",
    output=output,
    undo=undo,
    needs=lambda run: (TEXT,),
)
