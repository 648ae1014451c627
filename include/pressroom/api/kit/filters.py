"""Filters that several lists have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from pressroom.api.kit.problems import invalid
from pressroom.domain import public_ids
from pressroom.domain.public_ids import LARGEST, row_id

SiteFilter = Annotated[int | None, Query(ge=1, le=LARGEST, description="the site's number")]
MissionFilter = Annotated[str | None, Query(max_length=30, examples=["msn_12"])]
FlowFilter = Annotated[str | None, Query(max_length=30, examples=["flw_12"])]
JobFilter = Annotated[str | None, Query(max_length=30, examples=["job_12"])]


def number_of(prefix: str, text: str | None) -> int | None:
    """Row number named by a filter. None: no filter given. 0 (matches nothing): not an id of this kind."""
    return None if text is None else row_id(prefix, text) or 0


def named_workflow(
    site: int | None = None, mission: str | None = None, flow: str | None = None
) -> tuple[str, int] | None:
    """(kind, number) of the workflow to filter by; None: no filter. Raises Problem 422 for several."""
    asked = {
        "site": site, "mission": number_of(public_ids.MISSION, mission),
        "flow": number_of(public_ids.FLOW, flow),
    }  # fmt: skip
    named = [(kind, number) for kind, number in asked.items() if number is not None]
    if len(named) > 1:
        kinds = [kind for kind, _ in named]
        remedy = f"name {' or '.join(f'a {kind}' for kind in kinds)}"
        detail = f"filter by {' or by '.join(kinds)}, not by several"
        raise invalid(f"query.{kinds[-1]}", detail, remedy=remedy)
    return named[0] if named else None


def workflow_of(site: int | None = None, mission: str | None = None, flow: str | None = None) -> int | None:
    """The number of the workflow to filter by; None: no filter. Raises Problem 422 for several."""
    named = named_workflow(site, mission, flow)
    return None if named is None else named[1]
