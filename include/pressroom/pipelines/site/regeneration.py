"""Regenerating an article: it is archived, and its idea is queued again.

The new version has a task of its own, so that it is charged, with the reviewer's guidance.
"""

from __future__ import annotations

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.store.database import Tx

OPEN = ("draft", "review", "approved", "rejected", "failed")
"""The statuses of articles that are neither published nor archived."""


def regenerate(tx: Tx, site_id: int, content_id: int, guidance: str = "") -> int:
    """Archive an article and queue its idea again. Returns the number of the next version.

    Without ``guidance``, the reason of its rejection is used. Raises RunConflict when a target has or may
    have the article, or it is archived; PermanentError when the site has no such article.
    """
    tx.value("content_lock", site=site_id, content=content_id)
    rows = tx.rows("article_to_rewrite", site=site_id, content=content_id)
    if not rows:
        raise PermanentError(f"this site has no article {content_id}")
    [row] = rows
    status: str = row["status"]
    revision: int = row["revision"] + 1
    if status not in OPEN:
        raise RunConflict(f"article {content_id} is {status}, and cannot be written anew")
    if row["out"]:
        raise RunConflict(f"article {content_id} is out, or may be, and cannot be written anew: edit it")
    if status == "approved" and row["in_work"]:
        raise RunConflict(f"article {content_id} is being published: wait until that is through")
    tx.run("article_archive", site=site_id, content=content_id)
    tx.run("article_failures_forget", site=site_id, content=content_id)
    tx.run("images_never_drawn", site=site_id, content=content_id)
    tx.run("publications_never_sent", contents=[f"article:{content_id}"])
    tx.run("task_supersede", site=site_id, task=row["task_id"])
    wanted = guidance or (row["review_note"] if status == "rejected" else "")
    tx.run("task_again", site=site_id, idea=row["idea_id"], revision=revision, guidance=wanted)
    return revision
