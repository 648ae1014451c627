"""The clusters of sites: groups of keywords, which articles are planned for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, CLUSTER, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.filters import SiteFilter
from pressroom.api.kit.items import (
    DisabledFilter,
    Line,
    Named,
    check_site,
    one,
    told_apart,
    with_normalized,
)
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.domain.text import normalize, quoted
from pressroom.pipelines.site.grouping import DESCRIPTION_CHARS, NAME_CHARS
from pressroom.store.database import Tx

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


@router.get("")
def list_clusters(
    paging: Paged,
    site: SiteFilter = None,
    status: Literal["new", "planned"] | None = None,
    disabled: DisabledFilter = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[ClusterView]:
    """Clusters, newest first."""
    with scope.transaction() as tx:
        check_site(tx, site)
        rows = tx.rows(
            "clusters_page",
            before=paging.before,
            limit=paging.fetch,
            site=site,
            status=status,
            disabled=disabled,
        )
    return paging.page(rows, _view, lambda row: [row["id"]])


@router.post("", status_code=201)
def create_cluster(body: NewCluster, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> ClusterView:
    """Make a cluster. Keywords come to it by the stage, when it finds that they belong there."""
    with scope.transaction() as tx:
        check_site(tx, body.site_id)
        number = tx.value(
            "cluster_create", site=body.site_id, label=body.name, normalized=normalize(body.name),
            description=body.description,
        )  # fmt: skip
        if number is None:
            raise _conflict(body.name)
        scope.note(tx, "cluster.create", f"cluster:{number}", name=body.name)
        return _view(one(tx, "cluster_row", "cluster", id=number))


@router.get("/{id}")
def get_cluster(scope: Scope = allowed(Role.VIEWER, CLUSTER)) -> ClusterView:
    """One cluster."""
    with scope.transaction() as tx:
        return _view(one(tx, "cluster_row", "cluster", id=scope.id))


@router.patch("/{id}")
def change_cluster(body: ClusterChanges, scope: Scope = allowed(Role.EDITOR, CLUSTER)) -> ClusterView:
    """Rename or describe a cluster, or disable it."""
    return _change(scope, "cluster.change", body.model_dump(exclude_unset=True))


@router.post("/{id}/disable")
def disable_cluster(scope: Scope = allowed(Role.EDITOR, CLUSTER)) -> ClusterView:
    """Leave a cluster out: it gets no ideas, and no keywords unless a model names it exactly."""
    return _change(scope, "cluster.disable", {"disabled": True})


@router.post("/{id}/enable")
def enable_cluster(scope: Scope = allowed(Role.EDITOR, CLUSTER)) -> ClusterView:
    """Take a cluster in again."""
    return _change(scope, "cluster.enable", {"disabled": False})


def _change(scope: Scope, action: str, changes: dict[str, Any]) -> ClusterView:
    def taken(tx: Tx) -> Problem | None:
        return _taken(tx, scope.workflow_id, changes["name"], scope.id) if "name" in changes else None

    with told_apart(scope, taken), scope.changing(action, f"cluster:{scope.id}", **changes) as tx:
        tx.run("cluster_change", id=scope.id, changes=with_normalized(changes, "name"))
        return _view(one(tx, "cluster_row", "cluster", id=scope.id))


def _taken(tx: Tx, site: int | None, name: str, own: int) -> Problem | None:
    found = tx.value("cluster_named", site=site, normalized=normalize(name))
    return None if found in (None, own) else _conflict(name)


def _conflict(name: str) -> Problem:
    return Problem(409, f"name: the site has a cluster {quoted(name)} already", remedy="choose another name")


def _view(row: dict[str, Any]) -> ClusterView:
    return ClusterView(**row)
