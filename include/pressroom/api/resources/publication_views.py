"""Publications, as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel

from pressroom.api.kit.paging import MOST
from pressroom.domain.public_ids import ARTICLE, CONTENT, FLOW, JOB, LARGEST, MISSION, PUBLICATION, public_id
from pressroom.domain.publishing import PublicationStatus
from pressroom.store.database import Tx


class PublicationView(BaseModel):
    """One piece of content on one target. ``content``: art_… or cnt_…; of a flow's, what its source calls it.

    ``job``: the one that tried last. ``error``: what went wrong then, '' when nothing did.
    """

    id: str
    kind: Literal["article", "post", "item"]
    content: str
    target: str
    status: PublicationStatus
    site_id: int | None
    mission_id: str | None
    flow_id: str | None
    job: str
    content_hash: str
    scheduled_for: datetime
    attempts: int
    error: str
    external_id: str | None
    preview_url: str
    public_url: str
    attempted_at: datetime | None
    accepted_at: datetime | None
    confirmed_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """The view of a row of ``publications_shown``."""
        named, _, number = row["content"].partition(":")
        kind = named if named in _PREFIXES else "item"
        content = public_id(_PREFIXES[kind], int(number)) if kind in _PREFIXES else row["content"]
        workflow = row["workflow_id"]
        return cls(**{
            **row,
            "id": public_id(PUBLICATION, row["id"]),
            "kind": kind,
            "content": content,
            "site_id": workflow if row["kind"] == "site" else None,
            "mission_id": public_id(MISSION, workflow) if row["kind"] == "mission" else None,
            "flow_id": public_id(FLOW, workflow) if row["kind"] == "flow" else None,
            "job": public_id(JOB, row["run_id"]),
        })  # fmt: skip


_PREFIXES = {"article": ARTICLE, "post": CONTENT}


def of_content(tx: Tx, content: str) -> list[PublicationView]:
    """A piece's publications, one for each of its targets. ``content``: as the ledger names it."""
    ids = tx.values(
        "publication_page_of_content", content=content, workflow=None, before=LARGEST, limit=MOST,
        statuses=list(PublicationStatus),
    )  # fmt: skip
    return shown(tx, ids)


def shown(tx: Tx, ids: Sequence[int]) -> list[PublicationView]:
    """Publications by their numbers, the highest first."""
    return [PublicationView.of(row) for row in tx.rows("publications_shown", ids=list(ids))]
