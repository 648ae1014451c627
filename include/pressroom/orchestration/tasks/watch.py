"""What a triggerer waits for in the database, looked up together: a few statements every two seconds, however
many triggers wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pressroom.domain.errors import RunConflict
from pressroom.engine.runs import control
from pressroom.engine.runs.control import RunState
from pressroom.store.database import SYSTEM, Store, Tx

POLL_SECONDS = 2.0
GATHER_SECONDS = 0.05
"""How long the first look waits for others to come."""


@dataclass(frozen=True)
class Question:
    """What a trigger asks: how its run is; with ``item`` and ``step``, also the outcome of that gate."""

    run: int
    item: int = 0
    step: str = ""


@dataclass(frozen=True)
class RunAnswer:
    """The answer. ``state``: None without such a run; ``outcome``: of the gate, None while it is open."""

    state: RunState | None
    outcome: str | None = None

    @property
    def run(self) -> RunState:
        """The run's state. Raises RunConflict when there is no such run."""
        if self.state is None:
            raise RunConflict("the run does not exist any more")
        return self.state


class RunWatch:
    """Gathers the questions of all triggers of an event loop, and answers them by one look.

    Asking again comes to the next look, so a trigger that asks in a loop sees a new state every POLL_SECONDS.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: dict[Question, asyncio.Future[RunAnswer]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._last = float("-inf")

    async def ask(self, question: Question) -> RunAnswer:
        """The answer of the next look. Raises TransientError when the store is away."""
        answer = self._asked.setdefault(question, asyncio.get_running_loop().create_future())
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # The same answer may be awaited by others, so a trigger that ends must not cancel it.
        return await asyncio.shield(answer)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            await asyncio.sleep(max(GATHER_SECONDS, self._last + POLL_SECONDS - loop.time()))
            self._last = loop.time()
            asked, self._asked = self._asked, {}
            try:
                seen = await self._store.run(SYSTEM, read, list(asked))
            except Exception as error:  # noqa: BLE001  # raised where it was asked for
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # whoever asked may have ended meanwhile
            else:
                for answer, one in zip(asked.values(), seen, strict=True):
                    answer.set_result(one)


def read(tx: Tx, questions: Sequence[Question]) -> list[RunAnswer]:
    """The answers, in the same order. Runs that are waited for keep their lease; gates whose time is over get
    their outcome.
    """
    runs = sorted({question.run for question in questions})
    gates = sorted({(question.item, question.step) for question in questions if question.item})
    keys = {"items": [item for item, _ in gates], "steps": [step for _, step in gates]}
    control.renew_when_due(tx, runs)
    states = {state.id: state for state in tx.all("runs_watched", RunState, runs=runs)}
    if gates:
        tx.run("gates_watched_time_out", **keys)
    outcomes = {(row["item_id"], row["step"]): row["outcome"] for row in tx.rows("gates_watched", **keys)}
    return [
        RunAnswer(states.get(question.run), outcomes.get((question.item, question.step)))
        for question in questions
    ]


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, RunWatch] = WeakKeyDictionary()


async def ask(store: Store, question: Question) -> RunAnswer:
    """The answer to a question by the watch of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches[loop] = RunWatch(store)
    return await _watches[loop].ask(question)
