"""Flows: lists of steps that users compose."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request, Response

from pressroom.api.kit.access import ACCOUNT, FLOW, Scope, allowed
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.resources.definitions import (
    DefinitionPreview,
    DefinitionView,
    Documented,
    MergePatch,
    Resource,
    SeenVersion,
)
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS

router = APIRouter(prefix="/flows", tags=["flows"])

NewFlow = Annotated[
    dict[str, Any],
    Documented(Flow),
    Body(
        description="as in YAML; account can be left out",
        examples=[
            {
                "slug": "digest",
                "name": "Digest",
                "steps": [
                    {
                        "name": "read", "type": "fetch",
                        "source": {"type": "rss", "url": "https://example.org/feed"},
                    },
                    {"name": "write", "type": "ai", "prompt": "Sum up {{ item.title }} in one sentence."},
                ],
            }
        ],
    ),
]  # fmt: skip


class FlowView(DefinitionView):
    """A flow. ``definition``: the whole of it, defaults included."""

    id: str
    definition: Flow


FLOWS = Resource(KINDS["Flow"], "/flows", public_ids.FLOW, FlowView)


@router.get("")
def list_flows(
    paging: Paged,
    status: Literal["active", "disabled"] | None = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[FlowView]:
    """The account's flows, latest first."""
    return FLOWS.page(scope, paging, status)


@router.post("", status_code=201)
async def create_flow(
    body: NewFlow, request: Request, response: Response, scope: Scope = allowed(Role.EDITOR, ACCOUNT)
) -> FlowView:
    """Create a flow. Its slug names its DAG, so it must differ from the slugs of all accounts' flows."""
    return await FLOWS.create(scope, request, response, body)


@router.get("/{id}")
def get_flow(scope: Scope = allowed(Role.VIEWER, FLOW)) -> FlowView:
    """A flow."""
    return FLOWS.get(scope)


@router.patch("/{id}")
async def update_flow(
    patch: MergePatch, seen: SeenVersion = None, scope: Scope = allowed(Role.EDITOR, FLOW)
) -> FlowView:
    """Change a flow."""
    return await FLOWS.patch(scope, patch, seen)


@router.post("/{id}/preview")
def preview_flow(patch: MergePatch, scope: Scope = allowed(Role.EDITOR, FLOW)) -> DefinitionPreview:
    """What a change would make of a flow, and what is wrong with it. Nothing is saved."""
    return FLOWS.preview(scope, patch)


@router.post("/{id}/disable")
async def disable_flow(scope: Scope = allowed(Role.EDITOR, FLOW)) -> FlowView:
    """Disable a flow: it takes no new runs."""
    return await FLOWS.turn(scope, "disable", "disabled")


@router.post("/{id}/enable")
async def enable_flow(scope: Scope = allowed(Role.EDITOR, FLOW)) -> FlowView:
    """Enable a flow again."""
    return await FLOWS.turn(scope, "enable", "active")
