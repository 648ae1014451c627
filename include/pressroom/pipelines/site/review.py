"""Review: where people decide. The stage processes nothing; it counts and lists the articles that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pressroom.domain.public_ids import ARTICLE, public_id
from pressroom.domain.run import Run
from pressroom.pipelines.stage import summing_up
from pressroom.store.database import Tx

LISTED = 100
"""Articles that a run's result names. They wait for as long as nobody looks, and each run has a result."""


def summarize(tx: Tx, run: Run) -> Mapping[str, Any]:
    """``ready_for_review``: how many articles of the site are in review; ``content_ids``: the newest of them,
    LISTED at most, oldest first.
    """
    [waiting] = tx.rows("contents_in_review", site=run.site_id, most=LISTED)
    ids = [public_id(ARTICLE, number) for number in waiting["newest"]]
    return {"ready_for_review": waiting["number"], "content_ids": ids}


STAGE = summing_up("review", "Review", summarize)
