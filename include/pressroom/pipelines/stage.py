"""The contract of a stage: three small functions and a few facts. Everything else is the runner's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pressroom.domain.errors import WorkflowOver
from pressroom.domain.kinds import word_of
from pressroom.domain.run import Run
from pressroom.pipelines.estimate import Estimate
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

Item = TypeVar("Item")
Output = TypeVar("Output")

Key = int | list[int]
"""Names an item in a plan (and so in XCom): a row's id, or several numbers (see ``Stage.rows``)."""


def rows_of(key: Key) -> int:
    """How many rows a key stands for that is an id, or a group's ids."""
    return len(key) if isinstance(key, list) else 1


LABEL_CHARS = 120


@dataclass(frozen=True)
class Saved:
    """What saving one item made, for the stage's result.

    ``words`` counts words written; ``label`` is the item's line in the activity log, LABEL_CHARS at most.
    """

    created: int = 0
    words: int = 0
    label: str = ""


@dataclass(frozen=True)
class Undone:
    """What undoing a stage did: ``undone`` things taken back, and what could not be, a line each."""

    undone: int = 0
    kept: Sequence[str] = ()


@dataclass(frozen=True)
class Skip:
    """A stage with nothing to do for a reason worth saying."""

    reason: str


@dataclass(frozen=True)
class Stage(Generic[Item, Output]):
    """One stage of a pipeline.

    ``pending`` reads what waits from item status alone: that is what makes clearing and resuming right.
    ``load`` fetches those of the keyed items that still wait: what was saved meanwhile is not among them.
    ``process`` turns one item into one output: no store, no Airflow.
    ``save`` writes output and status change. The runner adds the charge and the event to its transaction.
    ``key`` names the item in failures, reservations and the ledger; unique within the stage.
    ``charge`` is the item's price in credits; ``size`` how many rows it stands for in the result.
    ``rows``: the same of its key, for the plan.
    ``result_fields``: the stage's public result, field name → column of ``stage_results``.
    ``batch_items``: how many items one mapped task works through.
    ``pool``: the Airflow pool that bounds its batches over all sites; None for local work.
    ``serial``: items must see what the ones before them saved, so only one is in work at a time, and each
    is loaded just before its turn.
    ``summarize``: facts for the result read from the store when the stage ends: JSON values by field name.
    ``waits_for``: what people or the clock (the time is given) must do before the stage may plan; None:
    nothing.
    ``poll``: for a stage that only watches: one look at the outside, and when the next one is due; None: it
    is over. Looking again at the same time does no harm.
    ``output``: what the stage made in this run, in the public form; None: nothing yet.
    ``failed``: what a failure that no further try can mend means for the item itself, in the transaction that
    records the failure; None: it stays as it is.
    ``undo``: takes back what the stage did in this run. Doing it twice is the same as once.
    """

    name: str
    title: str
    pending: Callable[[Tx, Run], Sequence[Key] | Skip]
    load: Callable[[Tx, Run, Sequence[Key]], Sequence[Item]]
    process: Callable[[Item, Tools], Awaitable[Output]]
    save: Callable[[Tx, Run, Item, Output], Saved]
    key: Callable[[Item], str]
    result_fields: Mapping[str, str]
    charge: Callable[[Run, Item], Decimal] = lambda run, item: Decimal(0)
    size: Callable[[Item], int] = lambda item: 1
    rows: Callable[[Key], int] = rows_of
    batch_items: Callable[[Any], int] = lambda workflow: 1
    pool: str | None = None
    serial: bool = False
    summarize: Callable[[Tx, Run], Mapping[str, Any]] | None = None
    waits_for: Callable[[Tx, Run, datetime], str | None] | None = None
    poll: Callable[[Store, Run, Tools], Awaitable[datetime | None]] | None = None
    output: Callable[[Tx, Run], Mapping[str, Any] | None] | None = None
    failed: Callable[[Tx, Run, Item, Exception], None] | None = None
    undo: Callable[[Store, Run, Tools], Awaitable[Undone]] | None = None


def must_be_active(run: Run) -> None:
    """Raises WorkflowOver for a workflow that takes no runs."""
    workflow = run.workflow
    if workflow.status != "active":
        raise WorkflowOver(
            f"the {word_of(workflow)} {workflow.slug} is {workflow.status}:"
            " set status: active and apply it, or activate it over the API"
        )


def anyone_may_start(tx: Tx, run: Run, now: datetime) -> None:
    """The ``admit`` of a pipeline that can always run."""


def nothing_to_settle(tx: Tx, run: Run, now: datetime) -> None:
    """The ``settle`` of a pipeline that keeps nothing about its end."""


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of stages.

    ``name``: the kind of workflow that it is for, in lower case. ``estimate``: credits that a run needs.
    ``waiting``: items that wait, by stage, of the workflow with that id.
    ``exclusive``: only one run of a workflow may be live at a time.
    ``admit``: raises WorkflowOver when the workflow takes no runs now. ``settle``: what a run's end means for
    the workflow.
    """

    name: str
    stages: Sequence[Stage[Any, Any]]
    estimate: Callable[[Tx, Run], Estimate]
    waiting: Callable[[Tx, int], Mapping[str, int]]
    admit: Callable[[Tx, Run, datetime], None] = anyone_may_start
    settle: Callable[[Tx, Run, datetime], None] = nothing_to_settle
    exclusive: bool = True

    def stage(self, name: str) -> Stage[Any, Any]:
        """The stage of that name. Raises KeyError."""
        return {stage.name: stage for stage in self.stages}[name]
