"""The table of the walk: in which state of a run which button is pressed, and how the run ends.

A route is one workflow and the pairs that it goes through, one after the other: the run of each pair is the
next run of the workflow after the pair before it. All routes are walked at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ALL = "all"
EXTENT = os.environ.get("PRESSROOM_WALK", "")
"""How much is walked: ALL, the slugs of routes with commas between, or else the short routes."""

SITE, MISSION, FLOW = "site", "mission", "flow"

STATES = {
    "queued": "queued: Airflow has not begun it",
    "working": "running, in a work task",
    "retrying": "waiting for its own retry",
    "paused": "paused by Pressroom",
    "dag_paused": "running, its DAG paused in Airflow",
    "review": "waiting for the review of posts",
    "analytics": "waiting for results",
    "approval": "waiting for an approval",
    "webhook": "waiting for a webhook",
    "time": "waiting for a time",
    "failed": "failed",
    "partial": "partial",
    "completed": "completed",
    "cancelled": "cancelled",
    "rolled_back": "rolled back",
    "refused": "refused",
}

BUTTONS = {
    "mark_failed": "mark the DAG run failed",
    "mark_success": "mark the DAG run success",
    "fail_task": "mark the task failed",
    "pass_task": "mark the task success",
    "clear_all": "clear the whole DAG run",
    "clear_failed": "clear only what failed",
    "clear_task": "clear the task",
    "clear_alone": "clear the task without downstream",
    "clear_index": "clear one map index",
    "delete_run": "delete the DAG run",
    "delete_dag": "delete the DAG",
    "pause_dag": "pause the DAG, and unpause it",
    "unpause_dag": "unpause the DAG",
    "trigger": "trigger another run",
    "backfill": "backfill",
    "cancel": "cancel",
    "pause": "pause, and resume",
    "resume": "resume",
    "retry": "retry from a stage",
    "rollback": "roll back",
    "disable": "disable the definition",
    "prune": "prune the definition",
    "edit": "edit the definition",
    "approve": "approve on Airflow's page",
    "reject": "reject on Airflow's page",
}

AGREES = {"completed": "success", "partial": "success", "cancelled": "success", "failed": "failed"}
"""A run's status → the state of its DAG run."""
GONE = "deleted"


@dataclass(frozen=True)
class Pair:
    """``end``: the run's status when all is over; ``airflow``: its DAG run's state, if the status does not
    say it. ``why``: what is not plain about that; ``reason``: words of the reason that the run gives.
    """

    state: str
    button: str
    end: str
    airflow: str = ""
    why: str = ""
    reason: str = ""

    @property
    def dag_run(self) -> str:
        """The state of the DAG run at the end."""
        return self.airflow or AGREES[self.end]


@dataclass(frozen=True)
class Route:
    """``slug`` names the workflow, and is in all of its prompts. ``shape``: which definition it has.
    ``short``: it is walked with every ``make test``.
    """

    kind: str
    slug: str
    pairs: tuple[Pair, ...]
    shape: str = ""
    short: bool = False


UNDONE = "what was not done is left undone"
MARKED = "marked as failed in Airflow"
FORGOTTEN = "Airflow no longer has its DAG run"
NOT_CLEARED = "what follows was not cleared"

ROUTES = (
    # What `make test` walks: each state and each button at least once, with as few long runs as can be.
    Route(FLOW, "walkfa", (
        Pair("working", "mark_success", "partial", why=UNDONE, reason="1 item not done"),
        Pair("working", "fail_task", "failed"),
        Pair("working", "pause_dag", "completed"),
        Pair("queued", "delete_run", "failed", GONE, reason=FORGOTTEN),
        Pair("working", "trigger", "completed", why="the other run, too: a flow may have several"),
        Pair("retrying", "clear_task", "completed"),
    ), short=True),
    Route(FLOW, "walkfb", (
        Pair("working", "pass_task", "partial", why=UNDONE),
        Pair("working", "pause", "completed"),
        Pair("working", "prune", "completed"),
        Pair("dag_paused", "unpause_dag", "completed"),
        Pair("working", "disable", "completed", why="it takes no new runs until it is active again"),
        Pair("retrying", "cancel", "cancelled"),
        Pair("paused", "resume", "completed"),
    ), short=True),
    Route(FLOW, "walkfd", (
        Pair("failed", "clear_failed", "completed"),
        Pair("failed", "clear_alone", "failed", why=NOT_CLEARED, reason="1 item not done"),
        Pair("queued", "cancel", "cancelled"),
        Pair("partial", "clear_index", "completed"),
        Pair("cancelled", "clear_all", "completed"),
    ), short=True),
    Route(FLOW, "walkga", (
        Pair("approval", "edit", "completed", why="by the definition that it began with"),
        Pair("approval", "approve", "completed"),
        Pair("approval", "reject", "completed", why="nothing is published"),
    ), "approval", short=True),
    Route(FLOW, "walkgc", (
        Pair("webhook", "delete_dag", "failed", GONE, reason=FORGOTTEN),
    ), "webhook", short=True),
    Route(FLOW, "walkgd", (
        Pair("time", "cancel", "cancelled"),
    ), "time", short=True),
    Route(SITE, "walksa", (
        Pair("working", "backfill", "completed", why="Airflow refuses: the DAG takes no backfill"),
        Pair("refused", "clear_all", "completed"),
    ), "scheduled", short=True),
    Route(MISSION, "walkma", (
        Pair(
            "analytics", "mark_failed", "failed", why="and rolled back: its posts are withdrawn",
            reason=MARKED,
        ),
        Pair("review", "cancel", "cancelled"),
    ), "rollback", short=True),
    Route(MISSION, "walkmc", (
        Pair("completed", "rollback", "cancelled"),
        Pair("rolled_back", "retry", "completed"),
    ), short=True),
    # What `make walk` walks besides.
    Route(MISSION, "walkmb", (
        Pair("review", "mark_failed", "failed"),
        Pair("working", "cancel", "cancelled"),
        Pair(
            "analytics", "delete_dag", "failed", GONE, why="and not rolled back: nothing is left to do it",
            reason="it is not rolled back",
        ),
    ), "rollback"),
    Route(MISSION, "walkmd", (
        Pair("analytics", "mark_success", "partial", why=UNDONE),
        Pair("rolled_back", "clear_all", "completed"),
        Pair("analytics", "pause", "completed"),
    )),
    Route(MISSION, "walkme", (
        Pair("working", "mark_failed", "failed", why="and rolled back"),
        Pair("analytics", "cancel", "cancelled"),
    ), "rollback"),
    Route(SITE, "walksb", (
        Pair("working", "fail_task", "failed"),
        Pair("working", "prune", "completed"),
        Pair("dag_paused", "cancel", "cancelled"),
        Pair("queued", "delete_run", "failed", GONE),
        Pair("working", "mark_failed", "failed"),
        Pair("working", "cancel", "cancelled"),
    )),
    Route(SITE, "walksc", (
        Pair("failed", "clear_failed", "completed"),
        Pair("failed", "clear_alone", "failed", why=NOT_CLEARED),
        Pair("failed", "retry", "completed"),
        Pair("partial", "clear_all", "completed"),
        Pair("completed", "clear_all", "completed", why="nothing is charged again"),
    )),
    Route(SITE, "walksd", (
        Pair("retrying", "trigger", "completed", why="it keeps its lock, and the other run is refused"),
        Pair("paused", "mark_failed", "failed"),
        Pair("cancelled", "clear_all", "completed"),
        Pair("paused", "resume", "completed"),
        Pair("retrying", "cancel", "cancelled"),
    )),
    Route(SITE, "walkse", (
        Pair("working", "mark_success", "partial", why=UNDONE),
        Pair("working", "clear_index", "completed"),
        Pair("working", "trigger", "completed", why="the other run is refused, and failed"),
    )),
    Route(FLOW, "walkfc", (
        Pair("queued", "mark_failed", "failed", reason=MARKED),
        Pair("queued", "delete_dag", "failed", GONE),
        Pair("retrying", "mark_failed", "failed"),
        Pair("paused", "cancel", "cancelled"),
        Pair("working", "edit", "completed", why="by the definition that it began with"),
    )),
    Route(FLOW, "walkfe", (
        Pair("failed", "clear_all", "completed"),
        Pair("failed", "retry", "completed"),
        Pair("failed", "delete_run", "failed", GONE),
        Pair("completed", "clear_all", "completed", why="nothing is published again"),
        Pair("completed", "delete_run", "completed", GONE),
    )),
    Route(FLOW, "walkff", (
        Pair("working", "mark_failed", "failed"),
        Pair("working", "clear_all", "completed"),
        Pair("working", "delete_run", "completed", why="Airflow refuses: the DAG run is running"),
        Pair("working", "cancel", "cancelled"),
        Pair("working", "delete_dag", "completed", why="Airflow refuses: a task is running"),
    )),
    Route(FLOW, "walkgb", (
        Pair("approval", "pass_task", "partial", why=UNDONE),
        Pair("approval", "mark_success", "partial", why=UNDONE),
        Pair("approval", "delete_dag", "failed", GONE),
        Pair("approval", "pause", "completed"),
    ), "approval"),
    Route(FLOW, "walkge", (
        Pair("approval", "mark_failed", "failed"),
        Pair("approval", "cancel", "cancelled"),
        Pair("approval", "clear_all", "completed"),
        Pair("approval", "fail_task", "failed"),
    ), "approval"),
    Route(FLOW, "walkgf", (
        Pair("webhook", "mark_failed", "failed"),
        Pair("webhook", "cancel", "cancelled"),
        Pair("webhook", "clear_all", "completed"),
    ), "webhook"),
    Route(FLOW, "walkgg", (
        Pair("time", "mark_failed", "failed"),
    ), "time"),
)  # fmt: skip


def to_walk(extent: str = EXTENT) -> tuple[Route, ...]:
    """The routes that are walked."""
    wanted = extent.split(",")
    return tuple(
        route for route in ROUTES if extent == ALL or route.slug in wanted or (not extent and route.short)
    )


def plain_run_follows(route: Route, extent: str = EXTENT) -> bool:
    """Whether another run is started after the route's last pair. Not where time counts and that one ended as
    a plain run does: its end has freed the lock.
    """
    return bool(extent) or route.pairs[-1].end != "completed"


def walked(routes: Iterable[Route] = ROUTES) -> Iterator[tuple[Route, int, Pair]]:
    """Every pair of the routes, with its route and its place there."""
    for route in routes:
        for place, pair in enumerate(route.pairs):
            yield route, place, pair
