"""The process in which definitions are tried: several at once, and what one of them does to the others."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pressroom.definitions.trial import TOGETHER, Trial
from pressroom.domain.definitions import Site

ENDLESS = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
FILLS_MEMORY = (
    "{% set n = namespace(t='aaaa') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}"
)
WRONG = "{{ no_such_thing }}"


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    trial = Trial()
    yield trial
    trial.close()


def site(number: int, template: str | None = None) -> Site:
    prompts = {} if template is None else {"ideas": {"system": template}}
    return Site.model_validate(
        {"account": "a", "slug": f"s-{number}", "name": "S", "subject": "tea", "prompts": prompts}
    )


@pytest.mark.parametrize(("template", "what"), [(ENDLESS, "processor time"), (FILLS_MEMORY, "memory")])
def test_what_takes_too_much_is_found_among_others(trial: Trial, template: str, what: str) -> None:
    tried = [site(0), site(1, template), site(2, WRONG), site(3)]
    fine, greedy, wrong, last = trial.problems(tried, most=5)
    assert (fine, last) == ([], [])
    assert len(greedy) == 1
    assert what in greedy[0].text
    assert "no_such_thing" in wrong[0].text
    assert wrong[0].path == ("prompts", "ideas", "system")


def test_each_of_more_than_are_tried_together_has_its_answer(trial: Trial) -> None:
    number = TOGETHER + 2
    found = trial.problems([site(n, WRONG if n == TOGETHER else None) for n in range(number)])
    assert [n for n, wrong in enumerate(found) if wrong] == [TOGETHER]


def test_nothing_is_asked_of_nothing() -> None:
    trial = Trial("no.such.module")
    assert trial.problems([]) == []


def test_definitions_are_tried_where_many_files_are_open() -> None:
    """As in a server with a thousand open streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2000), hard))
    trial = Trial()
    with ExitStack() as files:
        for _ in range(1100):
            files.enter_context(Path(os.devnull).open())
        assert trial.problems([site(0)]) == [[]]
    trial.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
