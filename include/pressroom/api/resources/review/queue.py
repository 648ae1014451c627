"""The queue of what waits for a person: articles, posts, gates of flows, publications that went wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.items import FlowFilter, MissionFilter, SiteFilter, workflow_of
from pressroom.api.kit.views import workflow_ids
from pressroom.domain.definitions import Role
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.public_ids import ARTICLE, CONTENT, GATE, PUBLICATION, public_id
from pressroom.engine.review import (
    MOST,
    QueueOrder,
    QueueRule,
    WaitingKind,
    WaitingThing,
    waiting_things,
)

router = APIRouter(prefix="/review", tags=["review"])

PREFIXES: dict[WaitingKind, str] = {
    "article": ARTICLE, "post": CONTENT, "gate": GATE, "publication": PUBLICATION,
}  # fmt: skip
TITLE_CHARS = 200


class WaitingView(BaseModel):
    """Something that waits for a person. ``workflow``: its name. ``place``: a post's platform, a
    publication's target, a gate's step. ``score``: what the checks give a piece, of 100. ``content_hash``:
    what an approval names; '' for what is not approved. ``due_at``: when a gate's time is over.
    """

    id: str
    kind: WaitingKind
    title: str
    workflow: str
    site_id: int | None
    mission_id: str | None
    flow_id: str | None
    place: str | None
    score: int | None
    word_count: int | None
    content_hash: str
    created_at: datetime
    due_at: datetime | None
    problem: str

    @classmethod
    def of(cls, thing: WaitingThing, name: str, kind: str) -> Self:
        """The view of it. ``name``, ``kind``: its workflow's."""
        return cls(**{
            **vars(thing), **workflow_ids(kind, thing.workflow_id), "workflow": name,
            "id": public_id(PREFIXES[thing.kind], thing.id), "title": shorten(thing.title, TITLE_CHARS),
        })  # fmt: skip


class WaitingCount(BaseModel):
    """How much of a workflow waits."""

    number: int
    kind: str
    slug: str
    name: str
    waiting: int


class QueueView(BaseModel):
    """``waiting``: how much waits in all; ``entries``: the first of it."""

    waiting: int
    workflows: list[WaitingCount]
    entries: list[WaitingView]


@router.get("")
def list_queue(
    *,
    site: SiteFilter = None,
    mission: MissionFilter = None,
    flow: FlowFilter = None,
    order: Annotated[
        QueueOrder, Query(description="risk: what went wrong first, then gates, then the lowest scores")
    ] = "risk",
    min_score: Annotated[int | None, Query(ge=0, le=100, description="only pieces that have it")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> QueueView:
    """What waits for a person. What is decided makes room for the next."""
    return queue_of(scope, QueueRule(workflow_of(site, mission, flow), order, min_score, None, limit))


def queue_of(scope: Scope, rule: QueueRule) -> QueueView:
    """The queue, or what a visitor's link reaches of it: no publications, which speak of the set-up."""
    if scope.caller.link is not None:
        rule = replace(rule, kinds=("article", "post", "gate"))
    with scope.transaction() as tx:
        counted = tx.rows("review_counts", kinds=None if rule.kinds is None else list(rule.kinds))
        rows = [row for row in counted if scope.caller.reaches((row["kind"], row["id"]))]
        things = waiting_things(tx, rule)
    of = {row["id"]: row for row in rows}
    counts = [
        WaitingCount(
            number=row["id"], kind=row["kind"], slug=row["slug"], name=row["name"], waiting=row["pieces"]
        )
        for row in rows
    ]
    entries = [
        WaitingView.of(each, of[each.workflow_id]["name"], of[each.workflow_id]["kind"])
        for each in things
        if each.workflow_id in of
    ]
    waiting = sum(each.waiting for each in counts if rule.workflow in (None, each.number))
    return QueueView(waiting=waiting, workflows=counts, entries=entries)
