"""Review: where people decide. The stage processes nothing; it counts and lists the articles that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pressroom.domain.public_ids import ARTICLE, public_id
from pressroom.domain.run import Run
from pressroom.pipelines.stage import summing_up
from pressroom.store.database import Tx


def summarize(tx: Tx, run: Run) -> Mapping[str, Any]:
    """``ready_for_review``: articles of the site in review; ``content_ids``: which, oldest first."""
    ids = tx.values("contents_in_review", site=run.site_id)
    return {"ready_for_review": len(ids), "content_ids": [public_id(ARTICLE, number) for number in ids]}


STAGE = summing_up("review", "Review", summarize)
