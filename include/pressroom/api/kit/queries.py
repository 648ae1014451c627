"""Query parameters: one that a route does not have is refused, so that a misspelt filter is not ignored."""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from pressroom.api.kit.problems import invalid
from pressroom.domain.text import did_you_mean


def only_known(request: Request) -> None:
    """Raises Problem 422 for a query parameter that the route does not have, with the nearest that it has."""
    route = request.scope["route"]
    known = _names(route) if isinstance(route, APIRoute) and request.query_params else set()
    for name in request.query_params:
        if name not in known:
            hint = did_you_mean(name, known) or (". This call has none" if not known else "")
            raise invalid(f"query.{name}", f"there is no such query parameter{hint}")


def _names(route: APIRoute) -> set[str]:
    names: set[str] = set()
    waiting: list[Dependant] = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        names |= {field.alias for field in dependant.query_params}
        waiting += dependant.dependencies
    return names
