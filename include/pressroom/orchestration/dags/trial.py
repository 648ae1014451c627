"""The process in which definitions are tried: their templates are rendered, and their DAGs are built,
serialized and scheduled as by Airflow.

``python -m pressroom.orchestration.dags.trial`` reads questions of ``definitions.trial`` from its input and
writes an answer to each, as lines of JSON: what is wrong with each of its definitions. A question is worked
on by a fork of its own, with limits on time and memory: what a definition does to it harms nothing else, and
Airflow's import is paid once. The process ends with its parent, and when it was not asked for a while.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pressroom.definitions.checking import DefinitionProblem, check
from pressroom.definitions.trial import CPU_SECONDS, LONGEST_SECONDS, MEMORY_BYTES
from pressroom.domain.kinds import KINDS, Workflow
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.dags.fitting import WorkflowCannotBeBuilt, serialized, unfit
from pressroom.pipelines.registry import parts_of, pipeline_of

IDLE_SECONDS = 600.0
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""As if its schedule had been set then: a time at which a schedule has missed slots."""
_STATM = Path("/proc/self/statm")


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


def main() -> None:
    """Answer until the input ends. What anything here prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warm_up()
    gc.freeze()
    questions = sys.stdin
    while select.select([questions], [], [], IDLE_SECONDS)[0] and (line := questions.readline()):
        answers.write(_answer(line) + "\n")
        answers.flush()


def _answer(question: str) -> str:
    """The answer of a fork; null when it took too much."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            _limit()
            asked = json.loads(question)
            wrong = [problems(data, asked["most"]) for data in asked["definitions"]]
            text = json.dumps([[[list(each.path), each.text, each.line] for each in some] for some in wrong])
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(text)
        finally:
            os._exit(0)  # without a word, whatever it was: an answer that is missing says it all
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = _read(pipe.fileno())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return text or "null"


def _read(handle: int) -> str:
    until = time.monotonic() + LONGEST_SECONDS
    parts: list[bytes] = []
    while select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(handle, 1 << 16)
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
    return ""


def _limit() -> None:
    """Limit this process: what it has by now is its parent's, and not counted."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(used) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _STATM.exists():  # elsewhere than on Linux, memory is not limited
        pages = int(_STATM.read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
