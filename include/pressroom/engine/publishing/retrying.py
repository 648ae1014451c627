"""Retrying a publication on request: recorded failures are cleared, and the run that publishes it is chosen.

Nothing is sent here. The publish stage sends it, and first looks for what the target may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.publishing import PublicationStatus
from pressroom.engine.publishing.attempt import OPEN
from pressroom.engine.publishing.ledger import STAGE
from pressroom.engine.runs import control
from pressroom.engine.runs.control import Alive, RunState
from pressroom.pipelines.registry import PUBLISH, dag_id_of
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

RETRIABLE = (PublicationStatus.PLANNED, PublicationStatus.FAILED, *OPEN)


@dataclass(frozen=True)
class RetryPlan:
    """The run that publishes. ``run`` None: a new run of the site's publish part.

    ``by_itself``: the run has not reached its publish stage yet; otherwise it has ended, and that stage has
    to run again.
    """

    run: RunState | None
    by_itself: bool = False


def prepare(tx: Tx, row: WorkflowRow, publication_id: int, alive: Alive | None = None) -> RetryPlan:
    """Let a publication be tried again. Raises RunConflict with the reason why it cannot be."""
    rows = tx.rows("publication_to_retry", publication=publication_id)
    if not rows:
        raise PermanentError(f"there is no publication {publication_id}: `pressroom publications` lists them")
    [before] = rows
    status = PublicationStatus(before["status"])
    if status not in RETRIABLE:
        raise RunConflict(f"publication {publication_id} is {status}: there is nothing to try again")
    if before["claimed"]:
        raise RunConflict(f"a worker is at publication {publication_id}: wait until it is through")
    kind, _, number = before["content"].partition(":")
    if kind == "article":
        return _article(tx, row, int(number), before)
    if kind == "post":
        return _post(tx, row, int(number), alive)
    raise RunConflict(
        "a flow's publication is tried again by the flow's next run, if its source still has the item:"
        " start a run"
    )


def _article(tx: Tx, row: WorkflowRow, article: int, row_of_article: Mapping[str, Any]) -> RetryPlan:
    target = row_of_article["target"]
    _must_be_approved(
        tx, "article_to_publish_again", f"article {article}", site=row.workflow_id, content=article
    )
    if target not in [place.target_name for place in row.run().site.publish.targets]:
        raise RunConflict(f"{row.name} no longer publishes to {target}: add it to its targets first")
    tx.run("clear_item_failure", workflow=row.workflow_id, stage=STAGE, item=f"{article}:{target}")
    about_to_begin = tx.value(
        "publish_run_to_begin", workflow=row.workflow_id, dag_id=dag_id_of(row.workflow, PUBLISH)
    )
    if about_to_begin is None:
        return RetryPlan(None)
    return RetryPlan(control.get(tx, about_to_begin), by_itself=True)


def _post(tx: Tx, row: WorkflowRow, post: int, alive: Alive | None) -> RetryPlan:
    post_row = _must_be_approved(
        tx, "post_to_publish_again", f"post {post}", mission=row.workflow_id, post=post
    )
    if post_row["over"]:
        raise RunConflict(f"the cycle of post {post} is over: its posts are no longer published")
    run = control.get(tx, post_row["run_id"])
    if run.live and control.is_held(tx, run, alive):
        at = f" at its stage {run.current_stage}" if run.current_stage else ""
        raise RunConflict(
            f"run {run.id} of this mission is {run.status}{at}:"
            " cancel it or wait for its end, and try again then"
        )
    tx.run("post_publish_again", mission=row.workflow_id, post=post)
    return RetryPlan(run)


def _must_be_approved(tx: Tx, statement: str, name: str, **which: int) -> Mapping[str, Any]:
    """The piece's row. Raises RunConflict unless it is approved as it is now; a post that its target refused
    counts as approved.
    """
    rows = tx.rows(statement, **which)
    status = rows[0]["status"] if rows else "gone"
    if status not in ("approved", "failed") or not rows[0]["approved"]:
        raise RunConflict(f"{name} is {status}, not approved as it is now: approve it first")
    return rows[0]
