"""Tries definitions: their templates are rendered, and their DAGs are built, serialized and scheduled as by
Airflow.

``definitions.trial`` has this done in a process with limits, of which it is the only caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pressroom.definitions.checking import DefinitionProblem, check
from pressroom.domain.kinds import KINDS, Workflow
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.dags.fitting import WorkflowCannotBeBuilt, serialized, unfit
from pressroom.pipelines.registry import parts_of, pipeline_of

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""As if its schedule had been set then: a time at which a schedule has missed slots."""


def problems_of(
    definitions: Sequence[Mapping[str, Any]], most: int | None
) -> list[list[tuple[list[int | str], str, int | None]]]:
    """What is wrong with each definition: path, text and line of each problem, at most ``most``."""
    return [
        [(list(each.path), each.text, each.line) for each in problems(data, most)] for data in definitions
    ]


def problems(data: Mapping[str, Any], most: int | None = None) -> list[DefinitionProblem]:
    """What is wrong with a definition, by its model, its templates and Airflow. ``data`` has its kind."""
    definition, wrong = check(KINDS[data["kind"]].model, data, most=most)
    if isinstance(definition, Workflow):
        wrong = list(dag_problems(definition))[:most]
    return wrong


def dag_problems(workflow: Workflow) -> Iterator[DefinitionProblem]:
    """Why Airflow could not hold the workflow's DAGs."""
    for part in parts_of(workflow):
        try:
            dag = build_dag(pipeline_of(workflow, part), workflow, part, since=SINCE)
            wrong = [f"{what} {why}" for what, why in unfit(dag)]
            if not wrong:
                serialized(dag)
        except WorkflowCannotBeBuilt as error:
            wrong = [str(error)]
        except Exception as error:  # noqa: BLE001 - Airflow refuses by errors of many classes
            wrong = [f"Airflow cannot build its DAG: {error}"]
        if wrong:
            key = _schedule_key(workflow)
            yield from (DefinitionProblem(key, each) for each in wrong)
            return


def _schedule_key(workflow: Workflow) -> tuple[str, ...]:
    """The key that decides the schedule: of all that a definition says, Airflow interprets nothing else."""
    match workflow.kind:
        case "Site":
            return ("automation", "cron")
        case "Mission":
            return ("starts_at",)
        case "Flow":
            return ("trigger", "asset" if workflow.trigger.asset else "cron")


def warm_up() -> None:
    """Have Airflow load what it loads late: each fork would load it again, at its own cost."""
    page = {"name": "page", "type": "publish", "to": "static_site", "mode": "auto", "when": "true"}
    ping = {"name": "tell", "type": "ping", "connection": "a", "message": "{{ item.title }}"}
    trigger = {"cron": "0 2 * * *"}
    problems(
        {"kind": "Flow", "account": "a", "slug": "a", "name": "A", "trigger": trigger, "steps": [page, ping]}
    )
