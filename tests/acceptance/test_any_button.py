"""Any button of Airflow and of Pressroom, in any state of a run: the end is the table's, in both systems.

The short routes are walked with all tests, and everything by ``make walk``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from pressroom_dev.local.services import LocalServices
from tests.acceptance.outside import Outside
from tests.acceptance.walk.kinds import WALKERS, MissionWalker, walk_all
from tests.acceptance.walk.table import Pair, Route, plain_run_follows, to_walk, walked
from tests.acceptance.walk.watch import Watch
from tests.support.scripted_openai import ScriptedOpenAI

ROUTES = to_walk()

pytestmark = [
    pytest.mark.acceptance,
    # The walk is in the set-up of the first test.
    pytest.mark.timeout(1800, func_only=False),
    pytest.mark.site(*(route.slug for route in ROUTES)),
]
Wrong = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def wrong(
    services: LocalServices, model: ScriptedOpenAI, outside: Outside, simulators: dict[str, str]
) -> Iterator[Wrong]:
    """All routes are walked at once, before the first test. Slug → pair → what went wrong."""
    model.script.clear()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # or the walk's own lines are lost in it
    airflow = services.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    dag_ids = [f"{route.kind}__{route.slug}" for route in ROUTES]
    with ExitStack() as stack:
        watch = stack.enter_context(Watch(airflow, services.info.database_url, dag_ids))
        walkers = [
            stack.enter_context(WALKERS[route.kind](route, services, model, outside, watch))
            for route in ROUTES
        ]
        for walker in walkers:
            if isinstance(walker, MissionWalker):
                walker.simulator = simulators[walker.slug]
        yield walk_all(walkers)
    model.script.clear()


@pytest.mark.parametrize(
    ("route", "pair"),
    [
        pytest.param(route, pair, id=f"{route.slug}-{place}-{pair.state}-{pair.button}")
        for route, place, pair in walked(ROUTES)
    ],
)
def test_a_button_in_a_state(wrong: Wrong, route: Route, pair: Pair) -> None:
    assert wrong[route.slug].get(f"{pair.state} × {pair.button}") is None


@pytest.mark.parametrize(
    "route", [pytest.param(route, id=route.slug) for route in ROUTES if plain_run_follows(route)]
)
def test_the_next_run_works(wrong: Wrong, route: Route) -> None:
    assert wrong[route.slug].get("the run after all") is None
