"""Everything that waits for a person: articles, posts, gates of flows, and publications that went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pressroom.pipelines.site import approval
from pressroom.pipelines.site.checks import rate
from pressroom.store.database import Tx

WaitingKind = Literal["article", "post", "gate", "publication"]
QueueOrder = Literal["risk", "oldest", "newest"]
MOST = 500
RATED_AT_ONCE = 5
"""Of articles from before articles were rated: a page that is opened waits for it."""


@dataclass(frozen=True)
class WaitingThing:
    """Something that waits. ``place``: a post's platform, a publication's target, a gate's step.

    ``score``: what its checks give it, of 100; None: it has none. ``rank``: 0 for what is most urgent.
    ``due_at``: when a gate's time is over; ``problem``: what went wrong with a publication.
    """

    kind: WaitingKind
    id: int
    workflow_id: int
    title: str
    word_count: int | None
    place: str | None
    created_at: datetime
    content_hash: str
    score: int | None
    due_at: datetime | None
    problem: str
    rank: int


@dataclass(frozen=True)
class QueueRule:
    """Which part of the queue, and in which order. ``least``: pieces with this score and more alone."""

    workflow: int | None = None
    order: QueueOrder = "risk"
    least: int | None = None
    kinds: tuple[WaitingKind, ...] | None = None
    limit: int = 200


def waiting_things(tx: Tx, rule: QueueRule) -> list[WaitingThing]:
    """The queue of the transaction's account. Articles from before articles were rated come first, and some
    of them are rated now.
    """
    things = tx.all(
        "review_queue", WaitingThing, workflow=rule.workflow, order=rule.order, least=rule.least,
        kinds=list(rule.kinds) if rule.kinds is not None else None, limit=min(rule.limit, MOST),
    )  # fmt: skip
    lacking = [
        each for each in things if each.kind == "article" and (each.score is None or not each.content_hash)
    ][:RATED_AT_ONCE]
    if not lacking:
        return things
    known = {each: _known(tx, each) for each in lacking}
    rated = [known.get(each, each) for each in things]
    return _by_risk(rated) if rule.order == "risk" else rated


def _known(tx: Tx, thing: WaitingThing) -> WaitingThing:
    """An article with its score and the hash that an approval of it names."""
    seen = approval.article(tx, thing.workflow_id, thing.id)
    score = rate(tx, thing.workflow_id, thing.id)
    return replace(thing, score=score, content_hash=seen.content_hash)


def _by_risk(things: Sequence[WaitingThing]) -> list[WaitingThing]:
    return sorted(
        things,
        key=lambda each: (
            each.rank,
            -1 if each.score is None else each.score,
            each.created_at,
            each.kind,
            each.id,
        ),
    )
