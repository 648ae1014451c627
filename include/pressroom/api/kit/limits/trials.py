"""The check of definitions, for routes. A call that has to wait for it does so in the event loop, and behind
calls of its own account only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from pressroom.api.kit.limits.shares import Lent
from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.trial import Trial, check_bounded
from pressroom.domain.definitions import Definition

D = TypeVar("D", bound=Definition)

AT_ONCE = 2
"""Processes: one account has one of them at most. The second is started when two accounts need one."""

_processes = Lent([Trial(gives_way=True) for _ in range(AT_ONCE)], "checking definitions")
"""They are the server's, whatever app asks, because each holds an Airflow."""


class Trials:
    """The processes of one server in which definitions are tried."""

    async def check(
        self, owner: str, model: type[D], data: Mapping[str, Any], most: int
    ) -> tuple[D | None, list[DefinitionProblem]]:
        """As ``check_bounded``. Raises Problem 429 when the owner has too much to be checked."""
        async with _processes.one(owner) as trial:
            # A limiter of its own: these threads are none of those that all routes of the server share.
            return await to_thread.run_sync(
                partial(check_bounded, model, data, most=most, trial=trial), limiter=CapacityLimiter(1)
            )
