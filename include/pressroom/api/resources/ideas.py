"""The ideas of sites: articles to be."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, IDEA, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.filters import SiteFilter
from pressroom.api.kit.items import (
    ClusterFilter,
    DisabledFilter,
    Filled,
    Line,
    Named,
    check_site,
    one,
    told_apart,
    with_normalized,
)
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem, invalid
from pressroom.definitions.keywords_csv import LONGEST_KEYWORD
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.domain.text import normalize, quoted
from pressroom.pipelines.site.ideas import (
    ANGLE_CHARS,
    HEADING_CHARS,
    MOST_HEADINGS,
    MOST_KEYWORDS,
    TITLE_CHARS,
    Type,
)
from pressroom.store.database import Tx

router = APIRouter(prefix="/ideas", tags=["ideas"])

Title = Annotated[str, StringConstraints(min_length=1, max_length=TITLE_CHARS), Line, Named]
Angle = Annotated[str, StringConstraints(max_length=ANGLE_CHARS), Line]
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KEYWORD), Line, Filled]
Heading = Annotated[str, StringConstraints(min_length=1, max_length=HEADING_CHARS), Line, Filled]
Keywords = Annotated[list[Keyword], Field(max_length=MOST_KEYWORDS)]
Outline = Annotated[list[Heading], Field(max_length=MOST_HEADINGS)]


class IdeaView(BaseModel):
    """An idea. ``status`` queued: it is a task now, or an article."""

    id: int
    site_id: int
    cluster_id: int
    title: str
    angle: str
    type: Type
    target_keywords: list[str]
    outline: list[str]
    status: Literal["new", "queued"]
    disabled: bool
    created_at: datetime


class NewIdea(Body):
    """An idea to add. Titles of a site are told apart without regard to case and punctuation."""

    site_id: int = Field(ge=1, le=LARGEST)
    cluster_id: int = Field(ge=1, le=LARGEST)
    title: Title
    angle: Angle = ""
    type: Type = "guide"
    target_keywords: Keywords = Field(default_factory=list)
    outline: Outline = Field(default_factory=list)


class IdeaChanges(Body):
    """What is left out stays as it is."""

    title: Title = Field(default_factory=str)
    angle: Angle = Field(default_factory=str)
    type: Type = Field(default_factory=lambda: "guide")
    target_keywords: Keywords = Field(default_factory=list)
    outline: Outline = Field(default_factory=list)
    disabled: bool = Field(default_factory=bool)


@router.get("")
def list_ideas(
    paging: Paged,
    site: SiteFilter = None,
    cluster_id: ClusterFilter = None,
    status: Literal["new", "queued"] | None = None,
    disabled: DisabledFilter = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[IdeaView]:
    """Ideas, newest first."""
    with scope.transaction() as tx:
        check_site(tx, site)
        rows = tx.rows(
            "ideas_page", before=paging.before, limit=paging.fetch, site=site, cluster=cluster_id,
            status=status, disabled=disabled,
        )  # fmt: skip
    return paging.page(rows, _view, lambda row: [row["id"]])


@router.post("", status_code=201)
def create_idea(body: NewIdea, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> IdeaView:
    """Add an idea of one's own: the next run makes a task of it, and then an article."""
    facts = body.model_dump(exclude={"site_id", "cluster_id"})
    with scope.transaction() as tx:
        check_site(tx, body.site_id)
        number = tx.value(
            "idea_create", site=body.site_id, cluster=body.cluster_id, **with_normalized(facts, "title")
        )
        if number is None and _titled(tx, body.site_id, body.title) is not None:
            raise _conflict(body.title)
        if number is None:
            raise invalid("body.cluster_id", "is no cluster of this site", remedy="GET clusters lists them")
        scope.note(tx, "idea.create", f"idea:{number}", title=body.title)
        return _view(one(tx, "idea_row", "idea", id=number))


@router.get("/{id}")
def get_idea(scope: Scope = allowed(Role.VIEWER, IDEA)) -> IdeaView:
    """One idea."""
    with scope.transaction() as tx:
        return _view(one(tx, "idea_row", "idea", id=scope.id))


@router.patch("/{id}")
def change_idea(body: IdeaChanges, scope: Scope = allowed(Role.EDITOR, IDEA)) -> IdeaView:
    """Edit an idea that is new, or disable it. Refused once it is queued: its task is made of it by then."""
    return _change(scope, "idea.change", body.model_dump(exclude_unset=True))


@router.post("/{id}/disable")
def disable_idea(scope: Scope = allowed(Role.EDITOR, IDEA)) -> IdeaView:
    """Leave a new idea out: no run makes a task of it."""
    return _change(scope, "idea.disable", {"disabled": True})


@router.post("/{id}/enable")
def enable_idea(scope: Scope = allowed(Role.EDITOR, IDEA)) -> IdeaView:
    """Take a new idea in again."""
    return _change(scope, "idea.enable", {"disabled": False})


def _change(scope: Scope, action: str, changes: dict[str, Any]) -> IdeaView:
    def taken(tx: Tx) -> Problem | None:
        if "title" not in changes or _titled(tx, scope.workflow_id, changes["title"]) in (None, scope.id):
            return None
        return _conflict(changes["title"])

    with told_apart(scope, taken), scope.changing(action, f"idea:{scope.id}", **changes) as tx:
        rows = tx.rows("idea_change", id=scope.id, changes=with_normalized(changes, "title"))
        if not rows:
            raise Problem(
                409, "this idea is queued: a task is made of it, so it can no longer be changed",
                remedy="edit or reject the article that comes of it",
            )  # fmt: skip
        return _view(rows[0])


def _titled(tx: Tx, site: int | None, title: str) -> int | None:
    found: int | None = tx.value("idea_titled", site=site, normalized=normalize(title))
    return found


def _conflict(title: str) -> Problem:
    return Problem(409, f"title: the site has an idea {quoted(title)} already", remedy="choose another title")


def _view(row: dict[str, Any]) -> IdeaView:
    return IdeaView(**row)
