"""A post that is to be written anew: it is archived, and its place in the calendar is planned again.

The slot is a new one, at the same time and with the same choices, so that the version to come is charged for
itself; it carries what the reviewer wants.
"""

from __future__ import annotations

from dataclasses import dataclass

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.pipelines.mission.publish import content_key
from pressroom.store.database import Tx

OPEN = ("draft", "pending_review", "approved", "rejected", "failed")
"""The statuses of posts that are not out, nor archived."""


@dataclass(frozen=True)
class Rewritten:
    """Which version is written next, and the run whose stage ``content`` does it."""

    revision: int
    run_id: int


def regenerate(tx: Tx, mission_id: int, post_id: int, guidance: str = "") -> Rewritten:
    """Archive a post, with the slot's other version if there is one, and plan its slot again.

    Without ``guidance``, the reason that it was rejected for counts. Raises RunConflict when it is out, being
    published or archived, or its cycle is over; PermanentError when the mission has no such post.
    """
    tx.value("slot_of_post_lock", mission=mission_id, post=post_id)
    rows = tx.rows("post_to_rewrite", mission=mission_id, post=post_id)
    if not rows:
        raise PermanentError(f"this mission has no post {post_id}")
    [found] = rows
    status, slot = found["status"], found["slot_id"]
    if status not in OPEN:
        raise RunConflict(f"post {post_id} is {status}, and cannot be written anew")
    if found["out"]:
        raise RunConflict(f"post {post_id}, or its other version, is out, or may be: it stays as it is")
    if found["in_work"]:
        raise RunConflict(f"post {post_id} is being published: wait until that is through")
    if found["withdrawn"] or found["measured"] or found["slot_status"] != "written":
        raise RunConflict(f"the cycle of post {post_id} is over: nothing of it is written any more")
    archived = tx.values("posts_of_slot_archive", mission=mission_id, slot=slot)
    if post_id not in archived:
        raise RunConflict(f"post {post_id} has changed meanwhile: read it again")
    tx.run("post_failures_forget", mission=mission_id, posts=[str(one) for one in archived])
    tx.run("publications_never_sent", contents=[content_key(one) for one in archived])
    tx.run("slot_withdraw", mission=mission_id, slot=slot)
    wanted = guidance or (found["review_note"] if status == "rejected" else "")
    revision = tx.value("slot_again", mission=mission_id, slot=slot, guidance=wanted)
    return Rewritten(revision, found["run_id"])
