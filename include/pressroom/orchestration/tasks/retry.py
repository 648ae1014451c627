"""Retries decided by the error's class, with the other side's Retry-After honoured."""

from __future__ import annotations

import random
from datetime import timedelta

from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.definitions.context import Context

from pressroom.domain.errors import PermanentError, TransientError

FIRST_DELAY = 4.0
LONGEST_DELAY = 300.0


class ErrorClassPolicy(RetryPolicy):
    """PermanentError fails at once; TransientError waits for its retry_after, else backs off; other errors
    follow Airflow's own rule.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        if isinstance(exception, PermanentError):
            return RetryDecision.fail(f"{type(exception).__name__}: another try cannot help")
        if not isinstance(exception, TransientError):
            return RetryDecision.default()
        if exception.retry_after is not None:
            return RetryDecision.retry(
                delay=timedelta(seconds=exception.retry_after),
                reason=f"Retry-After {exception.retry_after:g} s",
            )
        # Full back-off in lockstep would send every waiting batch at the same moment again.
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** max(0, try_number - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
        return RetryDecision.retry(delay=timedelta(seconds=delay), reason="transient error")
