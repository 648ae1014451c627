"""Brand contexts: the voice, topics and rules that content is written with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel

from pressroom.api.kit.access import ACCOUNT, BRAND, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import Problem
from pressroom.api.resources.definitions import (
    DefinitionPreview,
    Documented,
    MergePatch,
    Resource,
    SeenVersion,
)
from pressroom.definitions import saving
from pressroom.domain import public_ids
from pressroom.domain.definitions import BrandContext, Role
from pressroom.domain.kinds import KINDS

router = APIRouter(prefix="/brand-contexts", tags=["brand contexts"])

NewBrand = Annotated[
    dict[str, Any],
    Documented(BrandContext),
    Body(
        description="as in YAML; account can be left out",
        examples=[{"slug": "main", "name": "Main", "voice": "calm and precise"}],
    ),
]


class BrandView(BaseModel):
    """A brand context. ``definition``: the whole of it, defaults included."""

    id: str
    slug: str
    updated_at: datetime
    version: str
    note: str | None = None
    definition: BrandContext


BRANDS = Resource(KINDS["BrandContext"], "/brand-contexts", public_ids.BRAND, BrandView)


@router.get("")
def list_brand_contexts(paging: Paged, scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> Page[BrandView]:
    """The account's brand contexts, latest first."""
    return BRANDS.page(scope, paging)


@router.post("", status_code=201)
async def create_brand_context(
    body: NewBrand, request: Request, response: Response, scope: Scope = allowed(Role.EDITOR, ACCOUNT)
) -> BrandView:
    """Create a brand context."""
    return await BRANDS.create(scope, request, response, body)


@router.get("/{id}")
def get_brand_context(scope: Scope = allowed(Role.VIEWER, BRAND)) -> BrandView:
    """A brand context."""
    return BRANDS.get(scope)


@router.patch("/{id}")
async def update_brand_context(
    patch: MergePatch, seen: SeenVersion = None, scope: Scope = allowed(Role.EDITOR, BRAND)
) -> BrandView:
    """Change a brand context. A mission's cycle uses the version from the cycle's beginning."""
    return await BRANDS.patch(scope, patch, seen)


@router.post("/{id}/preview")
def preview_brand_context(patch: MergePatch, scope: Scope = allowed(Role.EDITOR, BRAND)) -> DefinitionPreview:
    """What a change would make of a brand context, and what is wrong with it. Nothing is saved."""
    return BRANDS.preview(scope, patch)


@router.delete("/{id}", status_code=204)
def delete_brand_context(scope: Scope = allowed(Role.OWNER, BRAND)) -> None:
    """Delete a brand context. Refused with 409 while a site, mission or flow uses it."""
    try:
        with scope.changing("brand.delete", f"brand:{scope.id}") as tx:
            saving.delete_brand(tx, scope.id)
    except saving.InUse as used:
        raise Problem(409, str(used), remedy="give them another brand, or none, first") from None
