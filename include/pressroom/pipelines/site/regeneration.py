"""An article that is to be written anew: it is archived, and its idea is queued again.

The task is a new one, so that the version to come is charged for itself; it carries what the reviewer wants.
"""

from __future__ import annotations

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.store.database import Tx

OPEN = ("draft", "review", "approved", "rejected", "failed")
"""The statuses of articles that are not out, nor archived."""


def regenerate(tx: Tx, site_id: int, content_id: int, guidance: str = "") -> int:
    """Archive an article, and queue its idea again. Returns which version is written next.

    Without ``guidance``, the reason that it was rejected for counts. Raises RunConflict when it is out, being
    published or archived; PermanentError when the site has no such article.
    """
    tx.value("content_lock", site=site_id, content=content_id)
    rows = tx.rows("article_to_rewrite", site=site_id, content=content_id)
    if not rows:
        raise PermanentError(f"this site has no article {content_id}")
    [found] = rows
    status: str = found["status"]
    revision: int = found["revision"] + 1
    if status not in OPEN:
        raise RunConflict(f"article {content_id} is {status}, and cannot be written anew")
    if found["out"]:
        raise RunConflict(f"article {content_id} is out, or may be, and cannot be written anew: edit it")
    if status == "approved" and found["in_work"]:
        raise RunConflict(f"article {content_id} is being published: wait until that is through")
    tx.run("article_archive", site=site_id, content=content_id)
    tx.run("article_failures_forget", site=site_id, content=content_id)
    tx.run("images_never_drawn", site=site_id, content=content_id)
    tx.run("publications_never_sent", contents=[f"article:{content_id}"])
    tx.run("task_supersede", site=site_id, task=found["task_id"])
    wanted = guidance or (found["review_note"] if status == "rejected" else "")
    tx.run("task_again", site=site_id, idea=found["idea_id"], revision=revision, guidance=wanted)
    return revision
