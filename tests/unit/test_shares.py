"""Places that several owners share: who gets one, who waits, who is refused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from pressroom.api.kit.limits.shares import Shares
from pressroom.api.kit.problems import Problem


async def refusal(shares: Shares, owner: str, held: AsyncExitStack) -> Problem | None:
    """Why the owner gets no further place; None: the place is held."""
    try:
        await held.enter_async_context(shares.place(owner))
    except Problem as refused:
        return refused
    return None


@pytest.mark.parametrize(("total", "expected"), [(2, (1, 1)), (6, (3, 2, 1)), (8, (4, 2, 1, 1))])
async def test_each_gets_half_of_what_the_others_left(total: int, expected: tuple[int, ...]) -> None:
    shares = Shares(total, "at work", patience=0.01)
    async with AsyncExitStack() as held:
        got = []
        for owner in map(str, range(len(expected))):
            number = 0
            while (refused := await refusal(shares, owner, held)) is None:
                number += 1
            assert refused.status == 429
            assert refused.headers["Retry-After"]
            got.append(number)
    assert tuple(got) == expected


async def test_who_has_least_comes_next() -> None:
    shares, order = Shares(2, "at work"), []

    async def work(owner: str) -> None:
        async with shares.place(owner):
            order.append(owner)
            await asyncio.sleep(0)

    async with shares.place("greedy"), asyncio.TaskGroup() as tasks:
        for owner in ["greedy", "greedy", "greedy", "modest"]:
            tasks.create_task(work(owner))
        await asyncio.sleep(0)
        assert order == ["modest"]
        tasks.create_task(work("modest"))
        await asyncio.sleep(0.01)
        assert order == ["modest", "modest"]
        for task in [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]:
            task.cancel()
    async with shares.place("greedy"):
        pass


async def test_a_wait_that_is_given_up_takes_nothing_along() -> None:
    shares = Shares(2, "at work")
    async with shares.place("a"):
        waiting = [asyncio.ensure_future(shares.place("a").__aenter__()) for _ in range(3)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    for _ in range(3):
        async with shares.place("a"), shares.place("b"):
            pass


async def test_only_so_many_wait() -> None:
    shares = Shares(2, "at work", most_waiting=1)
    async with shares.place("a"):
        waiting = asyncio.ensure_future(shares.place("a").__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="at work at once"):
            async with shares.place("a"):
                pass
        waiting.cancel()
