"""The clusters of sites: groups of keywords for which articles are planned."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, CLUSTER, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.items import DisabledFilter, ItemResource, Line, Named, SiteFilter
from pressroom.api.kit.paging import Page, Paged
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.pipelines.site.grouping import DESCRIPTION_CHARS, NAME_CHARS

router = APIRouter(prefix="/clusters", tags=["clusters"])

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARS), Line, Named]
Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_CHARS), Line]


class ClusterView(BaseModel):
    """A cluster. ``keywords`` and ``ideas``: how many it has, disabled ones included."""

    id: int
    site_id: int
    name: str
    description: str
    status: Literal["new", "planned"]
    disabled: bool
    created_at: datetime
    keywords: int
    ideas: int


class NewCluster(Body):
    """A cluster to make. Names are told apart without regard to case and punctuation."""

    site_id: int = Field(ge=1, le=LARGEST)
    name: Name
    description: Description = ""


class ClusterChanges(Body):
    """What is left out stays as it is."""

    name: Name = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    disabled: bool = Field(default_factory=bool)


CLUSTERS = ItemResource(
    "cluster", ClusterView, page="clusters_page", row="cluster_row", change="cluster_change",
    create="cluster_create", name="name", named="cluster_named",
)  # fmt: skip


@router.get("")
def list_clusters(
    paging: Paged,
    site: SiteFilter = None,
    status: Literal["new", "planned"] | None = None,
    disabled: DisabledFilter = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[ClusterView]:
    """Clusters, newest first."""
    return CLUSTERS.list(scope, paging, site, status=status, disabled=disabled)


@router.post("", status_code=201)
def create_cluster(body: NewCluster, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> ClusterView:
    """Make a cluster. The clusters stage puts keywords into it that belong there."""
    return CLUSTERS.add(scope, body.site_id, body.model_dump(exclude={"site_id"}))


@router.patch("/{id}")
def change_cluster(body: ClusterChanges, scope: Scope = allowed(Role.EDITOR, CLUSTER)) -> ClusterView:
    """Rename or describe a cluster, or disable it."""
    return CLUSTERS.set(scope, "change", body.model_dump(exclude_unset=True))


CLUSTERS.add_routes(
    router,
    CLUSTER,
    disable="Leave a cluster out: it gets no ideas, and no keywords unless a model names it exactly.",
    enable="Take a cluster in again.",
)
