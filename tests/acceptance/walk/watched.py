"""A workflow on the walk: what both systems say of it, and what is done with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pressroom.domain.errors import RunConflict, TransientError
from pressroom_dev.local.services import LocalServices
from tests.acceptance.newsroom import Newsroom
from tests.acceptance.outside import Outside
from tests.acceptance.walk.table import GONE, Route
from tests.acceptance.walk.watch import RunSeen, TaskKey, Watch
from tests.support.scripted_openai import ScriptedOpenAI

LONGEST = 240.0
"""Seconds for coming into a state, and for an end."""

BUSY = {"running", "queued", "scheduled", "restarting"}
TEARDOWNS = ("rollback", "close_run")
IN_HAND = ("running", "deferred", "awaiting_input", "up_for_retry", "failed", "up_for_reschedule")


class WrongEnd(AssertionError):
    """A pair did not end as the table says."""


def same(what: str, is_: Any, should: Any) -> None:
    """Raise WrongEnd when they differ."""
    if is_ != should:
        raise WrongEnd(f"{what}: {is_}, to be {should}")


class Watched(Newsroom):
    """A workflow with its watch, and the services outside that it uses."""

    work_task = ""
    """The task that works in the states of this kind."""

    def __init__(
        self, route: Route, services: LocalServices, model: ScriptedOpenAI, outside: Outside, watch: Watch
    ) -> None:
        super().__init__(route.slug, services, model, kind=route.kind)
        self.route, self.outside, self.watch = route, outside, watch
        self.number = 0
        self.changed = False
        self.other: str | None = None

    # Looking --------------------------------------------------------------------------------------------

    def seen(self, run: str) -> RunSeen | None:
        """The run as Pressroom has it."""
        return self.watch.picture.runs.get((self.dag_id, run))

    def dag_run(self, run: str) -> str:
        """The state of the DAG run."""
        return self.watch.picture.dag_runs.get((self.dag_id, run), GONE)

    def tasks(self, run: str) -> dict[TaskKey, str]:
        """The states of the run's task instances."""
        return dict(self.watch.picture.tasks.get((self.dag_id, run), {}))

    def status(self, run: str) -> str:
        seen = self.seen(run)
        return seen.status if seen else "unknown"

    def quiet(self, run: str) -> bool:
        """Whether no task of the run has, or is about to have, a worker."""
        return not BUSY & set(self.tasks(run).values())

    def in_hand(self, run: str) -> TaskKey:
        """The task that the run is at."""
        at = {
            (task, index): state
            for (task, index), state in self.tasks(run).items()
            if state in IN_HAND and task not in TEARDOWNS
        }
        return min(at, key=lambda key: IN_HAND.index(at[key]))

    def wait(self, ready: Callable[[], Any], what: str, seconds: float = LONGEST) -> None:
        """Until it is so. Raises WrongEnd."""
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                raise WrongEnd(f"waited {seconds:g} s for {what}; {self.standing()}")
            time.sleep(0.1)

    def standing(self) -> str:
        """Where the newest run is, in both systems."""
        runs = {
            seen.id: run for (dag_id, run), seen in self.watch.picture.runs.items() if dag_id == self.dag_id
        }
        if not runs:
            return "no run was opened"
        run = runs[max(runs)]
        seen = self.seen(run)
        tasks = ", ".join(f"{task}[{index}] {state}" for (task, index), state in self.tasks(run).items())
        return (
            f"the run is {self.status(run)} ({seen and seen.error}), Airflow's {self.dag_run(run)}: {tasks}"
        )

    def state_is(self, run: str, task: str, *states: str) -> bool:
        return any(state in states for (name, _), state in self.tasks(run).items() if name == task)

    # Acting ---------------------------------------------------------------------------------------------

    def press(self, do: Callable[[], Any]) -> Any:
        """Do it; once more when Airflow was changing the same rows."""
        for left in reversed(range(8)):
            try:
                return do()
            except (TransientError, RunConflict):
                if not left:
                    raise
                time.sleep(0.5)
        raise AssertionError

    def job(self, run: str) -> str:
        seen = self.seen(run)
        assert seen, f"Pressroom has no run {run}"
        return f"pipeline/jobs/job_{seen.id}"

    def hold(self) -> None:
        """From now on the model's calls for this workflow last until ``let_go``."""
        self.model.script.say(self.slug, action="hold")

    def let_go(self) -> None:
        """The model answers well again."""
        self.model.script.say(self.slug)
        self.model.script.say(f"{self.slug} bad")

    def conf(self) -> dict[str, Any]:
        return {}

    def something_to_do(self, *, bad: bool = False) -> None:
        """Have something wait for the next run. ``bad``: of which the model refuses a part."""

    def start(self, *, bad: bool = False) -> str:
        """Start a run in Airflow."""
        self.number += 1
        self.something_to_do(bad=bad)
        conf = self.conf() if not bad else self.conf() | self.bad_conf()
        return str(self.press(lambda: self.trigger(**conf)))

    def bad_conf(self) -> dict[str, Any]:
        return {}

    def start_job(self) -> str:
        """Start a run over Pressroom's API. Returns the DAG run's id."""
        self.number += 1
        self.something_to_do()
        body = {**self.job_subject(), **self.conf()}
        return str(self.api.pressroom("POST", "pipeline/jobs", body)["dag_run_id"])

    def job_subject(self) -> dict[str, Any]:
        return {"site_id": self.row.workflow_id}
