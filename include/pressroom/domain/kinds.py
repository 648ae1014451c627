"""Every kind of definition, and those that are workflows."""

from __future__ import annotations

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.flows import Flow
from pressroom.domain.missions import Mission

Workflow = Site | Mission | Flow
"""What has a DAG and runs."""

AnyDefinition = Account | BrandContext | Workflow

KINDS: dict[str, type[AnyDefinition]] = {
    kind.model_fields["kind"].default: kind for kind in (Account, BrandContext, Site, Mission, Flow)
}
