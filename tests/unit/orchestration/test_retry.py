"""Retries: the error's class decides, and the other side's Retry-After."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from airflow.sdk import RetryAction, RetryDecision

from pressroom.domain import errors
from pressroom.domain.errors import PermanentError, PressroomError, TransientError
from pressroom.orchestration.tasks.run_operator import FIRST_DELAY, LONGEST_DELAY, ErrorClassPolicy


def decision(error: BaseException, try_number: int = 1) -> RetryDecision:
    return ErrorClassPolicy().evaluate(error, try_number, 5)


def tree(kind: type[PressroomError]) -> Iterator[type[PressroomError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


@pytest.mark.parametrize(
    "kind", [each for each in tree(PermanentError) if each is not errors.DefinitionError]
)
def test_a_permanent_error_fails_at_once_and_says_no_more_than_its_class(kind: type[PermanentError]) -> None:
    found = decision(kind("the key sk-secret was refused"))
    assert found.action is RetryAction.FAIL
    assert found.reason == f"{kind.__name__}: another try cannot help"


@pytest.mark.parametrize("kind", list(tree(TransientError)))
def test_a_transient_error_is_tried_again(kind: type[TransientError]) -> None:
    assert decision(kind("timed out")).action is RetryAction.RETRY


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyError("x"), OSError("disk"), TimeoutError()])
def test_any_other_error_is_left_to_the_tasks_own_retries(error: Exception) -> None:
    assert decision(error) == RetryDecision.default()


@pytest.mark.parametrize("seconds", [0.0, 1.5, 7.0, LONGEST_DELAY * 3])
@pytest.mark.parametrize("try_number", [1, 5])
def test_retry_after_is_honoured_to_the_second(seconds: float, try_number: int) -> None:
    found = decision(TransientError("429", retry_after=seconds), try_number)
    assert found.action is RetryAction.RETRY
    assert found.retry_delay == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("try_number", "seconds"),
    [
        (0, FIRST_DELAY),
        (1, FIRST_DELAY),
        (2, 2 * FIRST_DELAY),
        (3, 4 * FIRST_DELAY),
        (5, 16 * FIRST_DELAY),
        (30, LONGEST_DELAY),
    ],
)
def test_without_it_the_delay_doubles_up_to_a_bound_with_a_quarter_of_jitter(
    try_number: int, seconds: float
) -> None:
    delays = [decision(TransientError("503"), try_number).retry_delay for _ in range(200)]
    found = [delay.total_seconds() for delay in delays if delay is not None]
    assert len(found) == 200
    assert min(found) >= 0.75 * seconds
    assert max(found) <= 1.25 * seconds
    assert max(found) - min(found) > 0.1 * seconds  # in lockstep, all would come back together
