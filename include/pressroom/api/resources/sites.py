"""Sites: what they are, and whether their pipeline runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request, Response

from pressroom.api.kit.access import ACCOUNT, SITE, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.resources.definitions import (
    DefinitionPreview,
    DefinitionView,
    Documented,
    MergePatch,
    Resource,
    SeenVersion,
)
from pressroom.domain.definitions import Role, Site
from pressroom.domain.kinds import KINDS

router = APIRouter(prefix="/sites", tags=["sites"])

NewSite = Annotated[
    dict[str, Any],
    Documented(Site),
    Body(
        description="as in YAML; account can be left out",
        examples=[{"slug": "garden", "name": "Garden"}],
    ),
]


class SiteView(DefinitionView):
    """A site. ``definition``: the whole of it, defaults included."""

    id: int
    definition: Site


SITES = Resource(KINDS["Site"], "/sites", None, SiteView)


@router.get("")
def list_sites(
    paging: Paged,
    status: Literal["active", "disabled"] | None = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[SiteView]:
    """The account's sites, latest first."""
    return SITES.page(scope, paging, status)


@router.post("", status_code=201)
async def create_site(
    body: NewSite, request: Request, response: Response, scope: Scope = allowed(Role.EDITOR, ACCOUNT)
) -> SiteView:
    """Create a site. Its slug names its DAG, so it must differ from the slugs of all accounts' sites."""
    return await SITES.create(scope, request, response, body)


@router.get("/{id}")
def get_site(scope: Scope = allowed(Role.VIEWER, SITE)) -> SiteView:
    """A site."""
    return SITES.get(scope)


@router.patch("/{id}")
async def update_site(
    patch: MergePatch, seen: SeenVersion = None, scope: Scope = allowed(Role.EDITOR, SITE)
) -> SiteView:
    """Change a site. A live run goes on with what it began with, batch by batch."""
    return await SITES.patch(scope, patch, seen)


@router.post("/{id}/preview")
def preview_site(patch: MergePatch, scope: Scope = allowed(Role.EDITOR, SITE)) -> DefinitionPreview:
    """What a change would make of a site, and what is wrong with it. Nothing is saved."""
    return SITES.preview(scope, patch)


@router.post("/{id}/disable")
async def disable_site(scope: Scope = allowed(Role.EDITOR, SITE)) -> SiteView:
    """Disable a site: it takes no new runs. What it made stays."""
    return await SITES.turn(scope, "disable", "disabled")


@router.post("/{id}/enable")
async def enable_site(scope: Scope = allowed(Role.EDITOR, SITE)) -> SiteView:
    """Enable a site again."""
    return await SITES.turn(scope, "enable", "active")
