"""The contract of a stage: three small functions and a few facts. Everything else is the runner's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.model import ImageProvider, MediaStore, Similarity, Text
from pressroom.store.database import Tx

Item = TypeVar("Item")
Output = TypeVar("Output")

Key = int | list[int]
"""Names an item in a plan (and so in XCom): a row's id, or the ids of a group of rows."""


@dataclass(frozen=True)
class Run:
    """One execution of a site's pipeline, with the definitions it works by."""

    id: int
    account_id: int
    site_id: int
    account: Account
    site: Site
    brand: BrandContext | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def articles(self) -> int | None:
        """Articles this run may write; None: all that wait."""
        asked: int | None = self.params.get("articles")
        return asked or self.site.automation.articles_per_run


@dataclass(frozen=True)
class Tools:
    """A stage's collaborators, as arguments: a unit test hands in fakes.

    ``text`` and ``images`` are already bound to the item, so that what they spend is booked to it.
    """

    account: Account
    site: Site
    brand: BrandContext | None
    text: Text
    images: ImageProvider
    media: MediaStore
    similarity: Similarity


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
    ``result_fields``: the stage's public result, field name → column of ``stage_results``.
    ``batch_items``: how many items one mapped task works through.
    ``pool``: the Airflow pool that bounds its batches over all sites; None for local work.
    ``serial``: items must see what the ones before them saved, so only one is in work at a time, and each
    is loaded just before its turn.
    ``summarize``: facts for the result read from the store when the stage ends: JSON values by field name.
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
    batch_items: Callable[[Site], int] = lambda site: 1
    pool: str | None = None
    serial: bool = False
    summarize: Callable[[Tx, Run], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of stages."""

    name: str
    stages: Sequence[Stage[Any, Any]]

    def stage(self, name: str) -> Stage[Any, Any]:
        """The stage of that name. Raises KeyError."""
        return {stage.name: stage for stage in self.stages}[name]
