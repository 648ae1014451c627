"""Measured cycle → findings, and the weights of the next cycle's strategy. No AI call."""

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
from pressroom.pipelines.mission.cycle import Cycle, find_cycle, unlearn
from pressroom.pipelines.mission.learning import advice
from pressroom.pipelines.mission.learning.advice import Update
from pressroom.pipelines.mission.learning.changes import StrategyChange, weights_in_force
from pressroom.pipelines.mission.learning.learn import Levels, describe, learn
from pressroom.pipelines.mission.results.kpis import Result
from pressroom.pipelines.stage import Key, Saved, Skip, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "optimize"

DEFAULT_METRIC: Metric = "engagements"


@dataclass(frozen=True)
class Lesson:
    """The input of learning. ``previous``: the weights in force; ``metric``: the metric to improve."""

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
    """The mature posts of all cycles of the mission, with their slots' choices."""
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
    """The levels that slots choose from: the mission's days and times, and all levels that slots had."""
    constraints = run.mission.constraints
    named = {
        "weekday": WEEKDAYS[:5] if constraints.cadence == "weekdays" else WEEKDAYS,
        "time": [f"{posting_time:%H:%M}" for posting_time in sorted(set(constraints.posting_times))],
    }
    had: dict[Platform, dict[str, list[str]]] = {platform: {} for platform in run.mission.platforms}
    for row in tx.rows("levels_of_slots", mission=run.mission_id):
        had.setdefault(Platform(row["platform"]), {})[row["factor"]] = row["levels"]
    return {
        platform: {
            factor: tuple(dict.fromkeys([*named.get(factor, ()), *factors.get(factor, ())]))
            for factor in [*named, *(factor for factor in factors if factor not in named)]
        }
        for platform, factors in had.items()
    }


def fixed_factors(constraints: Constraints) -> frozenset[str]:
    """Factors that have no weights.

    Topics are not drawn by weight: the strategy prompt lists the best ones. A cadence with the same number of
    posts every day leaves no choice of the day.
    """
    return frozenset({"topic"} if constraints.cadence == "flexible" else {"topic", "weekday"})


async def process(lesson: Lesson, tools: Tools) -> Learned:
    """Learn, in a thread, because the statistics take seconds."""
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
    """Save insights, changes with their evidence, and the output. Raises AlreadyDone when it was done before.

    With learning switched off, insights are saved and no weight changes.
    """
    cycle = lesson.cycle
    if not tx.run("cycle_optimized", cycle=cycle.id):
        raise AlreadyDone(f"cycle {cycle.number} is optimized already")
    insights = [
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
    tx.many("insight_insert", [{**of_mission, **insight} for insight in insights])
    tx.many("strategy_change_insert", [{**of_mission, **_row(update, lesson, learned)} for update in updates])
    tx.run(
        "optimization_insert", cycle=cycle.id, output=_public(lesson, learned, insights, updates, on=enabled)
    )
    counts = f"{counted(len(insights), 'insight')}, {counted(len(updates), 'change')} of the strategy"
    return Saved(created=len(updates), label=f"cycle {cycle.number}: {counts}")


def _row(update: Update, lesson: Lesson, learned: Learned) -> dict[str, Any]:
    posts = sum(1 for observation in lesson.observations if observation.platform == update.platform)
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
    insights: Sequence[Mapping[str, Any]],
    updates: Sequence[Update],
    *,
    on: bool,
) -> dict[str, Any]:
    ratio = advice.improvement(
        lesson.observations, learned, {update.platform for update in updates}, lesson.metric
    )
    return {
        "insights": [dict(insight) for insight in insights],
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
    """The stored output, and every change with its present state: in force, replaced or reverted."""
    cycle = find_cycle(tx, run)
    stored: Mapping[str, Any] | None = tx.value("optimization", cycle=cycle.id) if cycle else None
    if cycle is None or stored is None:
        return None
    rows = tx.all("strategy_changes", StrategyChange, mission=run.mission_id, change=None, cycle=cycle.id)
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
    """Delete the cycle's insights and changes: the weights before them are in force again."""

    def withdraw(tx: Tx) -> Undone:
        cycle = find_cycle(tx, run)
        return Undone(unlearn(tx, cycle.id) if cycle is not None else 0)

    return await store.run(run.account_id, withdraw)


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
