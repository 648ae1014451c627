"""Links for people without a login: who sends them, what they open, and their end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from pressroom.api.kit.access import ACCOUNT, LINK, Scope, Subject, SubjectKind, allowed, enter
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.items import Filled, Line
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.pictures import base_of
from pressroom.api.kit.problems import not_found
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST, public_id, row_id
from pressroom.engine import audit, links
from pressroom.engine.links import LinkFor, LinkMaker, LinkRole, Opens
from pressroom.store.quotas import must_have_room

router = APIRouter(prefix="/links", tags=["review"])

USUAL_DAYS, MOST_DAYS = 7, 90
PREFIXES: dict[SubjectKind, str] = {
    "mission": public_ids.MISSION, "flow": public_ids.FLOW, "article": public_ids.ARTICLE,
    "post": public_ids.CONTENT, "gate": public_ids.GATE,
}  # fmt: skip
"""How the ids of what a link can be for begin. A site's has no prefix."""
NAMED: dict[str, tuple[SubjectKind, ...]] = {
    "piece": ("article", "post", "gate"), "mission_id": ("mission",), "flow_id": ("flow",),
}  # fmt: skip
"""The fields that name something by such an id, and what that may be."""


class LinkBody(Body):
    """A link to make. Without ``piece``, ``site_id``, ``mission_id`` and ``flow_id`` it opens the whole
    account's queue. A report is of a site or a mission.
    """

    opens: Opens = "queue"
    piece: str | None = Field(default=None, max_length=40, examples=["art_12", "cnt_12", "gat_3"])
    site_id: int | None = Field(default=None, ge=1, le=LARGEST)
    mission_id: str | None = Field(default=None, max_length=40, examples=["msn_12"])
    flow_id: str | None = Field(default=None, max_length=40, examples=["flw_12"])
    recipient: Annotated[str, Line, Filled] = Field(
        max_length=100, description="for whom it is: the audit log says so"
    )
    role: LinkRole = Field(default="viewer", description="approver: its holder also decides and edits")
    expires_at: AwareDatetime | None = Field(
        default=None, description=f"null: in {USUAL_DAYS} days; at most {MOST_DAYS} days from now"
    )

    @field_validator("expires_at")
    @classmethod
    def _ahead(cls, at: datetime | None) -> datetime | None:
        now = datetime.now(UTC)
        if at is not None and not now < at <= now + timedelta(days=MOST_DAYS):
            raise ValueError(f"must be ahead, and at most {MOST_DAYS} days from now")
        return at

    @model_validator(mode="after")
    def _opens_something(self) -> Self:
        named = [name for name in ("site_id", *NAMED) if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{named[-1]}: a link is for one thing, and {named[0]} is named, too")
        if (self.opens == "piece") != (named == ["piece"]):
            raise ValueError("piece: a link to one piece names it, and no other link does")
        if self.opens == "report" and named not in (["site_id"], ["mission_id"]):
            raise ValueError("site_id: a report is of a site or a mission, so name one")
        if self.role == "approver" and self.opens == "report":
            raise ValueError("role: nothing is decided in a report, so it is for a viewer")
        return self

    def subject(self) -> Subject | None:
        """What it is for; None: the whole account."""
        if self.site_id is not None:
            return Subject("site", self.site_id)
        for field, kinds in NAMED.items():
            text = getattr(self, field)
            if text is not None:
                numbers = ((kind, row_id(PREFIXES[kind], text)) for kind in kinds)
                known = [Subject(kind, number) for kind, number in numbers if number is not None]
                return known[0] if known else Subject(kinds[0])
        return None


class LinkView(BaseModel):
    """A link, without its secret. ``of``: what it is for; null: the whole account. ``valid``: whether it
    opens that now.
    """

    id: str
    opens: Opens
    of: str | None
    role: LinkRole
    recipient: str
    sent_by: str
    valid: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


class NewLink(LinkView):
    """A link just made. ``url``: the link itself, shown this once."""

    url: str


@router.get("")
def list_links(paging: Paged, scope: Scope = allowed(Role.APPROVER, ACCOUNT)) -> Page[LinkView]:
    """The account's links, newest first, those that are over included."""
    with scope.transaction() as tx:
        rows = tx.rows("links", link=None, before=paging.before, limit=paging.fetch)
    return paging.page(rows, view, lambda row: [row["id"]])


@router.post("", status_code=201)
def make_link(request: Request, body: LinkBody, scope: Scope = allowed(Role.APPROVER, ACCOUNT)) -> NewLink:
    """Make a link for somebody without a login. It is shown this once; only a hash of its secret is kept."""
    page = base_of(request).removesuffix("/api/v1")
    return make(scope, body, f"{request.url.scheme}://{request.url.netloc}{page}")


@router.delete("/{id}")
def revoke_link(scope: Scope = allowed(Role.APPROVER, LINK)) -> LinkView:
    """Revoke a link: it opens nothing from now on."""
    return revoke(scope)


def make(scope: Scope, body: LinkBody, page: str) -> NewLink:
    """Make a link. ``page``: the address of the page, as in https://airflow.example/pressroom.

    Raises Problem 404 for what is not the account's.
    """
    subject = body.subject()
    if subject is not None:
        owned = enter(scope.plane, scope.admission, scope.caller, subject, Role.APPROVER)
        if owned.account_id != scope.account_id:
            raise not_found(subject.kind)
    wanted = LinkFor(
        body.opens, body.recipient, body.expires_at or datetime.now(UTC) + timedelta(days=USUAL_DAYS),
        subject.kind if subject else None, subject.id if subject else None, body.role,
    )  # fmt: skip
    with scope.transaction() as tx:
        must_have_room(tx, "links", 1)
        maker = LinkMaker(scope.caller.label, scope.member(tx), scope.caller.key_id)
        number, secret = links.make(tx, wanted, maker)
        target = f"link:{number}"
        scope.note(tx, "link.make", target, before=None, after=audit.state(tx, target))
        [row] = tx.rows("links", link=number, before=None, limit=1)
    return NewLink(url=f"{page}/link#{secret}", **view(row).model_dump())


def revoke(scope: Scope) -> LinkView:
    """Revoke the link that a request is about."""
    with scope.changing("link.revoke", f"link:{scope.id}") as tx:
        tx.run("link_revoke", link=scope.id, by=scope.caller.label)
        [row] = tx.rows("links", link=scope.id, before=None, limit=1)
    return view(row)


def view(row: dict[str, Any]) -> LinkView:
    """The view of a row of ``links``."""
    kind, number = row["kind"], row["number"]
    named = str(number) if kind == "site" else public_id(PREFIXES[kind], number) if kind else None
    return LinkView(**{**row, "id": public_id(public_ids.LINK, row["id"]), "of": named})
