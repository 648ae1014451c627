"""The page on buttons says what the walk through a real Airflow checks."""

from __future__ import annotations

from tests.acceptance.walk.kinds import WALKERS
from tests.acceptance.walk.page import PAGE, page
from tests.acceptance.walk.table import BUTTONS, STATES, to_walk, walked

HELPERS = {"press_button", "be_ready"}
"""Methods of the walker that are no button and no state."""


def test_the_page_is_the_walks_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.acceptance.walk.page"


def test_sixty_pairs_and_every_state_and_button_are_walked() -> None:
    pairs = [(route.kind, pair.state, pair.button) for route, _, pair in walked()]
    assert len(set(pairs)) >= 60
    assert {state for _, state, _ in pairs} == set(STATES)
    assert {button for *_, button in pairs} == set(BUTTONS)


def test_every_state_and_button_is_walked_with_all_tests() -> None:
    pairs = [pair for _, _, pair in walked(to_walk(""))]
    assert {pair.state for pair in pairs} == set(STATES)
    assert {pair.button for pair in pairs} == set(BUTTONS)


def test_the_walker_knows_every_state_and_button_of_the_table_and_no_other() -> None:
    names = {name for walker in WALKERS.values() for name in dir(walker)}
    assert {name for name in names if name.startswith("press_")} - HELPERS == {f"press_{b}" for b in BUTTONS}
    assert {name for name in names if name.startswith("be_")} - HELPERS == {f"be_{s}" for s in STATES}


def test_a_pair_is_walked_once_in_a_route() -> None:
    steps = [(route.slug, pair.state, pair.button) for route, _, pair in walked()]
    assert len(steps) == len(set(steps))
