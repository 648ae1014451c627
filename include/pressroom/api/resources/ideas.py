"""The ideas of sites: each may become an article."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, IDEA, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.items import (
    ClusterFilter,
    DisabledFilter,
    Filled,
    ItemResource,
    Line,
    Named,
    SiteFilter,
)
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem, invalid
from pressroom.definitions.keywords_csv import LONGEST_KEYWORD
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.pipelines.site.ideas import (
    ANGLE_CHARS,
    HEADING_CHARS,
    MOST_HEADINGS,
    MOST_KEYWORDS,
    TITLE_CHARS,
    Type,
)

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


IDEAS = ItemResource(
    "idea", IdeaView, page="ideas_page", row="idea_row", change="idea_change", create="idea_create",
    name="title", named="idea_titled", quota="ideas",
    fixed=lambda: Problem(
        409, "this idea is queued: a task is made of it, so it can no longer be changed",
        remedy="edit or reject the article that comes of it",
    ),
)  # fmt: skip


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
    return IDEAS.list(scope, paging, site, cluster=cluster_id, status=status, disabled=disabled)


@router.post("", status_code=201)
def create_idea(body: NewIdea, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> IdeaView:
    """Add an idea of one's own: the next run makes a task of it, and then an article."""

    def other_cluster() -> Problem:
        return invalid("body.cluster_id", "the site has no such cluster", remedy="GET clusters lists them")

    return IDEAS.add(scope, body.site_id, body.model_dump(exclude={"site_id"}), other_cluster)


@router.patch("/{id}")
def change_idea(body: IdeaChanges, scope: Scope = allowed(Role.EDITOR, IDEA)) -> IdeaView:
    """Edit an idea that is new, or disable it. Refused once it is queued: its task is made of it by then."""
    return IDEAS.set(scope, "change", body.model_dump(exclude_unset=True))


IDEAS.add_routes(
    router,
    IDEA,
    disable="Leave a new idea out: no run makes a task of it.",
    enable="Take a new idea in again.",
)
