"""Publications: each piece of content on each of its targets, with its status there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, model_validator

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.access import PUBLICATION as PUBLICATION_ID
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.idempotency import IdempotencyDep
from pressroom.api.kit.items import FlowFilter, MissionFilter, SiteFilter, workflow_of
from pressroom.api.kit.paging import MOST, Page, Paged
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.kit.views import workflow_ids
from pressroom.api.resources.jobs.starting import start, start_again
from pressroom.domain.definitions import Role
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.grants.access import Access
from pressroom.domain.public_ids import ARTICLE, CONTENT, JOB, LARGEST, PUBLICATION, public_id, row_id
from pressroom.domain.publishing import PublicationStatus
from pressroom.engine import audit
from pressroom.engine.publishing import ledger as publishing
from pressroom.engine.publishing import retrying
from pressroom.engine.publishing import unpublish as withdrawing
from pressroom.engine.publishing.retrying import RetryPlan
from pressroom.engine.publishing.unpublish import Withdrawal
from pressroom.pipelines.registry import PUBLISH
from pressroom.store import grants
from pressroom.store.database import Tx
from pressroom.store.workflows import WorkflowRow

router = APIRouter(prefix="/publications", tags=["publications"])


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
        return cls(**{
            **row,
            "id": public_id(PUBLICATION, row["id"]),
            "kind": kind,
            "content": content,
            **workflow_ids(row["kind"], row["workflow_id"]),
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


class SettleBody(Body):
    """What a person saw at the target. ``external_id``: the id under which the target has the piece."""

    sent: bool
    external_id: str | None = Field(default=None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.sent and self.external_id is None:
            raise ValueError("external_id: say under which id the target has it")
        if not self.sent and self.external_id is not None:
            raise ValueError("external_id: leave it out for a piece that was not sent")
        return self


class PublicationRetried(BaseModel):
    """A publication that is tried again. ``job``: the one that does it."""

    id: str
    status: PublicationStatus
    job: str
    detail: str


@router.get("")
def list_publications(
    paging: Paged,
    status: PublicationStatus | None = None,
    site: SiteFilter = None,
    mission: MissionFilter = None,
    flow: FlowFilter = None,
    content: Annotated[
        str | None, Query(max_length=40, description="only this piece's", examples=["art_12", "cnt_12"])
    ] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[PublicationView]:
    """The account's publications, newest first."""
    filters: dict[str, Any] = {
        "statuses": [status] if status else list(PublicationStatus),
        "workflow": workflow_of(site, mission, flow),
        "before": LARGEST if paging.before is None else paging.before, "limit": paging.fetch,
    }  # fmt: skip
    with scope.transaction() as tx:
        if content is not None:
            ids = tx.values("publication_page_of_content", content=_ledger_name(content), **filters)
        else:
            ids = tx.values("publication_page", **filters)
        publications = shown(tx, ids)
    return paging.page(publications, lambda each: each, lambda each: [row_id(PUBLICATION, each.id)])


def _ledger_name(content: str) -> str:
    """How the publication ledger names a piece."""
    article, post = row_id(ARTICLE, content), row_id(CONTENT, content)
    return f"article:{article}" if article is not None else f"post:{post}"


@router.get("/{id}")
def get_publication(scope: Scope = allowed(Role.VIEWER, PUBLICATION_ID)) -> PublicationView:
    """One publication."""
    return publication_view(scope)


@router.post("/{id}/settle")
def settle_publication(
    body: SettleBody, scope: Scope = allowed(Role.APPROVER, PUBLICATION_ID)
) -> PublicationView:
    """Settle an unknown publication, after having looked at the target."""
    return settle(scope, body)


def settle(scope: Scope, body: SettleBody) -> PublicationView:
    """Settle the publication that a request is about. Raises RunConflict when it is not unknown."""
    with scope.changing("publication.settle", f"publication:{scope.id}") as tx:
        publishing.settle(tx, scope.workflow_id or 0, scope.id, sent=body.sent, external_id=body.external_id)
    return publication_view(scope)


@router.post("/{id}/unpublish")
async def unpublish_publication(scope: Scope = allowed(Role.APPROVER, PUBLICATION_ID)) -> PublicationView:
    """Take a publication back from its target; an article then waits for review again. Idempotent.

    When the target can no longer take it back, the answer is 409 and the publication stays as it is.
    """

    target = f"publication:{scope.id}"

    def begin(tx: Tx) -> tuple[dict[str, Any] | None, Withdrawal, Access]:
        access = grants.access(tx, scope.account_id)
        return audit.state(tx, target), withdrawing.begin(tx, scope.id), access

    def ended(tx: Tx) -> None:
        scope.note(tx, "publication.unpublish", target, before=before, after=audit.state(tx, target))

    before, withdrawal, access = await scope.run(begin)
    open_target = partial(scope.plane.target, access)
    try:
        await withdrawing.unpublish(scope.store, scope.account_id, withdrawal, open_target)
    except ConfigurationError as error:
        raise Problem(409, f"it was not taken back: {error}") from error
    finally:
        await scope.run(ended)  # also of a target that did not: somebody wanted it
    return await run_in_threadpool(publication_view, scope)


@router.post("/{id}/retry", status_code=202, response_model=PublicationRetried)
async def retry_publication(
    idempotency: IdempotencyDep, scope: Scope = allowed(Role.APPROVER, PUBLICATION_ID)
) -> JSONResponse:
    """Try a publication again: an article's in a run of its site's publish part, a post's in its mission's
    job.
    """
    return await idempotency.once(scope, 202, lambda: retry(scope, idempotency.run_name(scope)))


async def retry(scope: Scope, run_name: str) -> PublicationRetried:
    """Have the publication that a request is about tried again. ``run_name``: the id of a DAG run, if that
    takes a new one. Raises RunConflict with the reason why it cannot be.
    """

    def prepare(row: WorkflowRow) -> RetryPlan:
        with scope.changing("publication.retry", f"publication:{scope.id}") as tx:
            return retrying.prepare(tx, row, scope.id, scope.plane.alive)

    row = await scope.run(scope.workflow)
    plan = await run_in_threadpool(prepare, row)
    if plan.by_itself and plan.run is not None:
        job, detail = plan.run.id, "the job is about to begin, and publishes it"
    elif plan.run is not None:
        await start_again(scope, row, plan.run, publishing.STAGE)
        job, detail = plan.run.id, f"the job runs again from its stage {publishing.STAGE}"
    else:
        state = await start(scope, row, {}, run_name, part=PUBLISH)
        job, detail = state.id, "a new job publishes it"
    now = await run_in_threadpool(publication_view, scope)
    return PublicationRetried(id=now.id, status=now.status, job=public_id(JOB, job), detail=detail)


def publication_view(scope: Scope) -> PublicationView:
    with scope.transaction() as tx:
        publications = shown(tx, [scope.id])
    if not publications:
        raise not_found("publication")
    return publications[0]
