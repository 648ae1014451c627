"""Review: where people decide. The stage processes nothing; it counts and lists the articles that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Never

from pressroom.domain.run import Run
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "review"


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """Nothing: people do the review."""
    return []


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Never]:
    """Nothing, because ``pending`` names nothing."""
    return []


async def process(item: Never, tools: Tools) -> None:
    """Never called."""


def save(tx: Tx, run: Run, item: Never, output: None) -> Saved:
    """Never called."""
    return Saved()


def summarize(tx: Tx, run: Run) -> Mapping[str, Any]:
    """``ready_for_review``: articles of the site in review; ``content_ids``: which, oldest first."""
    ids = tx.values("contents_in_review", site=run.site_id)
    return {"ready_for_review": len(ids), "content_ids": ids}


STAGE: Stage[Never, None] = Stage(
    name=NAME,
    title="Review",
    pending=pending,
    load=load,
    process=process,
    save=save,
    key=str,
    result_fields={},
    summarize=summarize,
)
