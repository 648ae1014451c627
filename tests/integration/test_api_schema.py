"""The API against its own OpenAPI document: whatever is sent, each answer is a documented one.

Schemathesis makes requests up from the document: valid ones, and wrong ones. Half of them speak of what is
really there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from pressroom.api.app import build_control_app
from pressroom.api.kit import streaming
from pressroom.store.database import Store
from tests.support.control_things import furnish
from tests.support.control_world import MEMBERS, StandInPlane
from tests.support.postgres import empty
from tests.support.world import make_world

OWNER = {"X-User": "olga"}
BEFORE_THE_FIXTURE: Any = None
plane = StandInPlane(BEFORE_THE_FIXTURE)
things: dict[str, str] = {}

KINDS = {
    "/sites": "site", "/missions": "mission", "/flows": "flow", "/brand-contexts": "brand",
    "/content": "article", "/publications": "publication", "/keywords": "keyword", "/clusters": "cluster",
    "/ideas": "idea", "/insights": "insight", "/flow-items": "item",
    "/gates": "gate", "/api-keys": "key", "/pipeline/jobs": "job",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def account(database_url: str, emptying: psycopg.Connection[Any]) -> Iterator[None]:
    """An account with one of everything, for all requests of this module."""
    empty(emptying)
    with Store(database_url) as store:
        plane.kept = store
        world = make_world(database_url, store)
        things.update(furnish(world))
        for name, role in MEMBERS.items():
            world.sql("INSERT INTO members VALUES (%s, %s, %s)", world.account_id, name, role)
        yield


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of a live job would go on for minutes."""
    monkeypatch.setattr(streaming, "LONGEST_SECONDS", 0.1)


@pytest.fixture(scope="module")
def schema(account: None) -> Any:
    """What the API says of itself."""
    # Every process collects all tests, and only one of them needs it: it takes two seconds of a core.
    import schemathesis

    api = build_control_app(plane, rate="1000000/minute")
    loaded = schemathesis.openapi.from_asgi("/openapi.json", api, headers=OWNER)
    loaded.hook(map_case)
    return loaded


def map_case(context: Any, case: Any) -> Any:
    """Half of the requests speak of what is there: the others of what somebody made up."""
    if crc32(repr((case.path_parameters, case.query, case.body)).encode()) % 2:
        return case
    kind = next((kind for path, kind in KINDS.items() if case.path.startswith(path)), None)
    if case.path_parameters and "id" in case.path_parameters and kind is not None:
        case.path_parameters["id"] = things[kind]
    if case.path.startswith("/automation") and case.query is not None:
        case.query |= {"site_id": things["site"], "run_id": things["run"]}
    return case


def checks() -> list[Any]:
    """What holds for every answer."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi

    return [
        not_a_server_error, openapi.status_code_conformance, openapi.content_type_conformance,
        openapi.response_schema_conformance, openapi.response_headers_conformance, openapi.unsupported_method,
    ]  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def documented(case: Any) -> None:
    # A definition is tried by a process of its own, which a busy machine is slow to start.
    case.call_and_validate(headers=OWNER, checks=checks(), timeout=100)


def test_a_route_that_takes_a_version_documents_that_it_may_be_another() -> None:
    paths = build_control_app(plane).openapi()["paths"]
    versioned = [
        operation
        for operations in paths.values()
        for operation in operations.values()
        if any(each["name"] == "If-Match" for each in operation.get("parameters", []))
    ]
    assert len(versioned) >= 4
    assert all("412" in operation["responses"] for operation in versioned)


@pytest.mark.timeout(600)
def test_every_answer_is_a_documented_one(schema: Any, subtests: pytest.Subtests) -> None:
    """Of each route. Every process collects all tests, and to make the requests up takes 7 s of a core: so it
    is left to the test.
    """
    from schemathesis.core.result import Ok
    from schemathesis.pytest.lazy import get_all_tests

    routes = list(get_all_tests(schema=schema, test_func=documented, settings=None, given_kwargs=None))
    assert len(routes) > 100
    for route in routes:
        assert isinstance(route, Ok), route
        operation, answers = route.ok()
        with subtests.test(operation.label):
            answers()
