"""The contract of a stage: three small functions and a few facts. The runner does everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Never, TypeVar

from pressroom.domain.errors import WorkflowOver
from pressroom.domain.kinds import word_of
from pressroom.domain.run import Run
from pressroom.pipelines.needs import Need
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

ESTIMATE_BUFFER = Decimal("1.2")
"""How many times the available credits or cents must cover an estimate before work begins."""

Item = TypeVar("Item")
Output = TypeVar("Output")

Key = int | list[int]
"""Names an item in a plan, and so in XCom: a row's id, or several numbers (see ``Stage.rows``)."""


@dataclass(frozen=True)
class Estimate:
    """Expected credits and items by stage."""

    credits: Mapping[str, Decimal]
    items: Mapping[str, int]

    @property
    def total(self) -> Decimal:
        """Credits of the whole run."""
        return sum(self.credits.values(), Decimal(0))

    @property
    def required(self) -> Decimal:
        """The balance that the run needs to start."""
        return (self.total * ESTIMATE_BUFFER).quantize(Decimal("0.01"))

    def sufficient(self, balance: Decimal) -> bool:
        """Whether a balance covers the estimate with its buffer."""
        return balance >= self.total * ESTIMATE_BUFFER


def rows_of(key: Key) -> int:
    """The number of rows that a key stands for: an id, or the ids of a group."""
    return len(key) if isinstance(key, list) else 1


def id_of(item: Any) -> str:
    """The key of an item that is a row."""
    return str(item.id)


LABEL_CHARS = 120


@dataclass(frozen=True)
class Saved:
    """What saving one item made, for the stage's result.

    ``words``: words written. ``label``: the item's line in the activity log, at most LABEL_CHARS.
    """

    created: int = 0
    words: int = 0
    label: str = ""


@dataclass(frozen=True)
class Undone:
    """What undoing a stage did. ``undone``: the number of undone items; ``kept``: what stayed, a line
    each.
    """

    undone: int = 0
    kept: Sequence[str] = ()


@dataclass(frozen=True)
class Skip:
    """The stage has nothing to do, for this reason."""

    reason: str


def waiting(pending: Sequence[Key] | Skip) -> Sequence[Key]:
    """The items of ``Stage.pending``; none when the stage is skipped."""
    return () if isinstance(pending, Skip) else pending


@dataclass(frozen=True)
class Wait:
    """Some items of a stage wait for people. ``until``: when the stage goes on without them."""

    reason: str
    until: datetime


@dataclass(frozen=True)
class Stage(Generic[Item, Output]):
    """One stage of a pipeline.

    ``pending`` reads the waiting items from item status alone, so that clearing and resuming work.
    ``load`` reads those of the keyed items that still wait; items saved meanwhile are not among them.
    ``process`` turns one item into one output, without store and Airflow.
    ``save`` writes the output and the status change. The runner adds charge and event to its transaction.
    ``key`` names the item in failures, reservations and the ledger. It is unique within the stage.
    ``named``: the item's name for people, '' for none: a title, not its content.
    ``charge``: the item's price in credits. ``size``: the number of rows that it stands for in the result.
    ``rows``: the same of its key, for the plan.
    ``result_fields``: the stage's public result, field name → column of ``stage_results``.
    ``batch_items``: the number of items in one mapped task.
    ``pool``: the Airflow pool that bounds its batches over all sites; None for local work.
    ``by_batch``: what it asks of the text model may be asked in a batch of the provider's.
    ``serial``: each item must see what the items before it saved. Only one is in work at a time, and each is
    loaded just before its turn.
    ``needs``: what the stage needs of the outside in such a run, verified before the run begins.
    ``setup_of``: the part of the set-up that an item depends on. When that part is wrong, the items that
    share it wait, and the others go on.
    ``summarize``: facts for the result, read from the store when the stage ends: field name → JSON value.
    ``waits_for``: whether people may still give the stage items, so that it must not end; None when not. The
    items that are ready do not wait with them. Such a stage spends nothing.
    ``meanwhile``: what else is looked at while the stage waits; returns as ``poll`` does.
    ``poll``: for a stage that only watches: takes one look outside, and returns when the next one is due;
    None after the last. Two looks at the same time do no harm.
    ``output``: what the stage made in this run, in its public form; None for nothing yet.
    ``bears_setup``: a wrong set-up is a failure of the item like any other, and stops no neighbour.
    ``waits``: its items wait for an answer or for the time; nothing works on them.
    ``failed``: what a final failure does to the item, in the transaction that records it; None for nothing.
    ``undo``: undoes what the stage did in this run. Undoing twice is the same as once.
    """

    name: str
    title: str
    pending: Callable[[Tx, Run], Sequence[Key] | Skip]
    load: Callable[[Tx, Run, Sequence[Key]], Sequence[Item]]
    process: Callable[[Item, Tools], Awaitable[Output]]
    save: Callable[[Tx, Run, Item, Output], Saved]
    result_fields: Mapping[str, str]
    key: Callable[[Item], str] = id_of
    named: Callable[[Item], str] = lambda item: ""
    charge: Callable[[Run, Item], Decimal] = lambda run, item: Decimal(0)
    size: Callable[[Item], int] = lambda item: 1
    rows: Callable[[Key], int] = rows_of
    setup_of: Callable[[Item], str] = lambda item: ""
    batch_items: Callable[[Any], int] = lambda workflow: 1
    pool: str | None = None
    by_batch: bool = False
    serial: bool = False
    bears_setup: bool = False
    waits: bool = False
    summarize: Callable[[Tx, Run], Mapping[str, Any]] | None = None
    waits_for: Callable[[Tx, Run], Wait | None] | None = None
    meanwhile: Callable[[Store, Run, Tools], Awaitable[datetime | None]] | None = None
    poll: Callable[[Store, Run, Tools], Awaitable[datetime | None]] | None = None
    output: Callable[[Tx, Run], Mapping[str, Any] | None] | None = None
    failed: Callable[[Tx, Run, Item, Exception], None] | None = None
    undo: Callable[[Store, Run, Tools], Awaitable[Undone]] | None = None
    needs: Callable[[Run], Sequence[Need]] = lambda run: ()


Pending = Callable[[Tx, Run], Sequence[Key]]
Load = Callable[[Tx, Run, Sequence[Key]], Sequence[Item]]


def rows_of_site(waiting: str, read: str, kind: type[Item], **also: Any) -> tuple[Pending, Load[Item]]:
    """``pending`` and ``load`` of a stage whose items are rows of a site.

    The statement ``waiting`` gives the ids of the rows that wait, and ``read`` the rows, as ``kind``.
    ``also``: further parameters of ``read``.
    """

    def pending(tx: Tx, run: Run) -> Sequence[Key]:
        ids: list[Key] = tx.values(waiting, site=run.site_id, ids=None)
        return ids

    def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Item]:
        ids = tx.values(waiting, site=run.site_id, ids=list(keys))
        return tx.all(read, kind, site=run.site_id, ids=ids, **also)

    return pending, load


def summing_up(
    name: str, title: str, summarize: Callable[[Tx, Run], Mapping[str, Any]]
) -> Stage[Never, None]:
    """A stage that works through nothing: people do what it is about, and its result counts that."""

    async def nothing(item: Never, tools: Tools) -> None: ...

    return Stage(
        name, title, pending=lambda tx, run: [], load=lambda tx, run, keys: [], process=nothing,
        save=lambda tx, run, item, output: Saved(), result_fields={}, summarize=summarize,
    )  # fmt: skip


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
    """The ``settle`` of a pipeline that records nothing at its end."""


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of stages.

    ``name``: its kind of workflow, in lower case. ``estimate``: the credits that a run needs. ``waiting``:
    stage → waiting items of the workflow with this id. ``places``: stage → items of the run with this id that
    are at it, or failed there when the run has ended, where each item goes through the stages on its own;
    None where a stage works through all of them. ``exclusive``: only one run of a workflow may be live at a
    time. ``admit``: raises WorkflowOver when the workflow takes no runs now. ``settle``: updates the workflow
    when a run ends.
    """

    name: str
    stages: Sequence[Stage[Any, Any]]
    estimate: Callable[[Tx, Run], Estimate]
    waiting: Callable[[Tx, int], Mapping[str, int]]
    places: Callable[[Tx, int], Mapping[str, int]] | None = None
    admit: Callable[[Tx, Run, datetime], None] = anyone_may_start
    settle: Callable[[Tx, Run, datetime], None] = nothing_to_settle
    exclusive: bool = True

    def stage(self, name: str) -> Stage[Any, Any]:
        """The stage with this name. Raises KeyError."""
        return {stage.name: stage for stage in self.stages}[name]
