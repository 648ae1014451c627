"""Measured cycle → what did better, and the weights that the next cycle's strategy goes by. No AI call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.missions import Constraints, Metric
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.strategy import TIMING, WEEKDAYS, Learned, Observation, Weights
from pressroom.domain.text import counted
from pressroom.pipelines.mission.cycle import Cycle, find_cycle
from pressroom.pipelines.mission.learning import advice
from pressroom.pipelines.mission.learning.advice import Update
from pressroom.pipelines.mission.learning.changes import Change, weights_in_force
from pressroom.pipelines.mission.learning.learn import Levels, describe, learn
from pressroom.pipelines.mission.results.kpis import Result
from pressroom.pipelines.stage import Key, Saved, Skip, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "optimize"

DEFAULT_METRIC: Metric = "engagements"


@dataclass(frozen=True)
class Lesson:
    """What there is to learn from. ``previous``: the weights in force; ``metric``: what shall get better."""

    cycle: Cycle
    observations: Sequence[Observation]
    previous: Weights
    levels: Levels
    metric: Metric


def pending(tx: Tx, run: Run) -> Sequence[Key] | Skip:
    """The run's cycle, once it is measured and until it is optimized."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.measured_at is None:
        return Skip("the cycle is not measured yet")
    return [] if cycle.optimized_at is not None else [cycle.id]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Lesson]:
    """All mature posts of the mission, whatever their cycle, with what their slots had decided."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.id not in keys or cycle.measured_at is None or cycle.optimized_at is not None:
        return []
    kpis = run.mission.kpis
    return [
        Lesson(
            cycle,
            _observations(tx, run),
            weights_in_force(tx, run.mission_id),
            _levels(tx, run),
            kpis[0].metric if kpis else DEFAULT_METRIC,
        )
    ]


def _observations(tx: Tx, run: Run) -> list[Observation]:
    mature = timedelta(hours=run.mission.measuring.mature_hours)
    choices = {row["post"]: row["choices"] for row in tx.rows("choices_of_posts", mission=run.mission_id)}
    return [
        Observation(
            post=result.post,
            platform=Platform(result.platform),
            choices=choices[result.post],
            impressions=result.impressions,
            engagements=result.engagements,
            link_clicks=result.link_clicks,
            new_followers=result.new_followers,
        )
        for result in tx.all("mature_results", Result, mission=run.mission_id, mature=mature)
    ]


def _levels(tx: Tx, run: Run) -> Levels:
    """What slots can choose from: the days and times that the mission names, and what slots had so far."""
    constraints = run.mission.constraints
    given = {
        "weekday": WEEKDAYS[:5] if constraints.cadence == "weekdays" else WEEKDAYS,
        "time": [f"{one:%H:%M}" for one in sorted(set(constraints.posting_times))],
    }
    had: dict[Platform, dict[str, list[str]]] = {platform: {} for platform in run.mission.platforms}
    for row in tx.rows("levels_of_slots", mission=run.mission_id):
        had.setdefault(Platform(row["platform"]), {})[row["factor"]] = row["levels"]
    return {
        platform: {
            factor: tuple(dict.fromkeys([*given.get(factor, ()), *factors.get(factor, ())]))
            for factor in [*given, *(factor for factor in factors if factor not in given)]
        }
        for platform, factors in had.items()
    }


def fixed_factors(constraints: Constraints) -> frozenset[str]:
    """Factors that weights cannot move.

    Topics are not drawn by weight: strategy is told which did best. With as many posts every day, the day is
    no choice either.
    """
    return frozenset({"topic"} if constraints.cadence == "flexible" else {"topic", "weekday"})


async def process(lesson: Lesson, tools: Tools) -> Learned:
    """Learn, in a thread of its own: the statistics take seconds."""
    return await asyncio.to_thread(
        learn,
        lesson.observations,
        lesson.previous,
        lesson.levels,
        metric=lesson.metric,
        minimum_posts=tools.mission.learning.minimum_posts,
        seed=lesson.cycle.id,
        fixed=fixed_factors(tools.mission.constraints),
    )


def save(tx: Tx, run: Run, lesson: Lesson, learned: Learned) -> Saved:
    """Insights, changes with their evidence, and the output. Raises AlreadyDone when the cycle is optimized.

    With learning switched off, what was found is kept and nothing changes.
    """
    cycle = lesson.cycle
    if not tx.run("cycle_optimized", cycle=cycle.id):
        raise AlreadyDone(f"cycle {cycle.number} is optimized already")
    found = [
        {
            "type": "timing" if finding.factor in TIMING else "content",
            "platform": str(finding.platform),
            "factor": finding.factor,
            "level": finding.level,
            "finding": describe(finding, lesson.metric),
            "confidence": advice.confidence(finding),
            "action": advice.action(finding),
            "evidence": advice.evidence(finding, learned),
        }
        for finding in learned.findings
    ]
    enabled = run.mission.learning.enabled
    updates = advice.updates(lesson.previous, learned) if enabled else []
    of_mission = {"mission": run.mission_id, "cycle": cycle.id}
    tx.many("insight_insert", [{**of_mission, **insight} for insight in found])
    tx.many("strategy_change_insert", [{**of_mission, **_row(update, lesson, learned)} for update in updates])
    tx.run("optimization_insert", cycle=cycle.id, output=_public(lesson, learned, found, updates, on=enabled))
    told = f"{counted(len(found), 'insight')}, {counted(len(updates), 'change')} of the strategy"
    return Saved(created=len(updates), label=f"cycle {cycle.number}: {told}")


def _row(update: Update, lesson: Lesson, learned: Learned) -> dict[str, Any]:
    posts = sum(1 for one in lesson.observations if one.platform == update.platform)
    return {
        "platform": str(update.platform),
        "factor": update.factor,
        "before": dict(update.before),
        "after": dict(update.after),
        "evidence": {
            "posts": posts,
            "metric": lesson.metric,
            "method": learned.method,
            "compared": learned.compared,
            "findings": [
                {
                    "level": finding.level,
                    "finding": describe(finding, lesson.metric),
                    **advice.evidence(finding, learned),
                }
                for finding in learned.findings
                if (finding.platform, finding.factor) == (update.platform, update.factor)
            ],
            "expected_ratio": learned.improvement.get(update.platform),
            "previous": dict(update.before),
            "posterior": dict(update.after),
        },
    }


def _public(
    lesson: Lesson,
    learned: Learned,
    found: Sequence[Mapping[str, Any]],
    updates: Sequence[Update],
    *,
    on: bool,
) -> dict[str, Any]:
    ratio = advice.improvement(
        lesson.observations, learned, {update.platform for update in updates}, lesson.metric
    )
    return {
        "insights": [dict(insight) for insight in found],
        "strategy_updates": advice.strategy_updates(updates),
        "predicted_improvement": {lesson.metric: advice.percent(ratio)} if updates else {},
        "recommendations": advice.recommendations(learned, on=on),
        "too_little_data": {str(platform): why for platform, why in learned.too_little.items()},
        "method": learned.method,
        "metric": lesson.metric,
        "posts": len(lesson.observations),
        "learning_enabled": on,
    }


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """What was stored, and every change as it stands now: in force, replaced or reverted."""
    cycle = find_cycle(tx, run)
    stored: Mapping[str, Any] | None = tx.value("optimization", cycle=cycle.id) if cycle else None
    if cycle is None or stored is None:
        return None
    rows = tx.all("strategy_changes", Change, mission=run.mission_id, change=None, cycle=cycle.id)
    return {
        **stored,
        "changes": [
            {
                "id": row.id,
                "platform": row.platform,
                "factor": row.factor,
                "before": row.before,
                "after": row.after,
                "in_force": row.in_force,
                "reverted": row.reverted,
                "reverted_by": row.reverted_by,
            }
            for row in reversed(rows)
        ],
    }


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Forget the cycle's insights and changes: the weights before them are in force again."""

    def forget(tx: Tx) -> Undone:
        cycle = find_cycle(tx, run)
        if cycle is None:
            return Undone()
        tx.run("cycle_not_optimized", cycle=cycle.id)
        tx.run("optimization_delete", cycle=cycle.id)
        insights = tx.run("insights_delete", cycle=cycle.id)
        return Undone(insights + tx.run("strategy_changes_delete", cycle=cycle.id))

    return await store.run(run.account_id, forget)


STAGE: Stage[Lesson, Learned] = Stage(
    name=NAME,
    title="Optimize",
    pending=pending,
    load=load,
    process=process,
    save=save,
    key=lambda lesson: str(lesson.cycle.id),
    result_fields={"cycles_optimized": "processed", "strategy_changes": "created"},
    output=output,
    undo=undo,
)
