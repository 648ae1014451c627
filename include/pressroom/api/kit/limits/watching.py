"""Open streams of one server: what they wait for is looked for together, and each counts for its account."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from anyio import CapacityLimiter, to_thread

from pressroom.store.database import Store, Tx

TOGETHER = 100
"""Questions that one transaction looks for."""


@dataclass(frozen=True)
class Reader:
    """Who reads: an API key, a user, or somebody with a link."""

    key_id: int | None
    username: str | None
    link_id: int | None = None


class StreamQuestion(Protocol):
    """What a stream waits for, in one account. Equal questions are asked once."""

    def __hash__(self) -> int: ...

    @property
    def account_id(self) -> int: ...


Q = TypeVar("Q", bound=StreamQuestion)
A = TypeVar("A")


class OpenStreams:
    """How many streams are open in this server, by whose they are."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def count(self, owner: str) -> int:
        """How many streams the owner has open."""
        return self._open[owner]

    @contextmanager
    def counted(self, *owners: str) -> Iterator[None]:
        """Count a stream while it is open, for each of those whose it is."""
        self._open.update(owners)
        try:
            yield
        finally:
            self._open.subtract(owners)
            self._open += Counter()  # drops those who have none


class Lookout(Generic[Q, A]):
    """Looks for the answers to all questions while there are any, with one thread and one connection.

    ``read``: the answers, by now, to questions of one account; those without an answer are asked again. An
    answer None: the reader may not read any more. ``every``: seconds between two looks; a look that takes
    longer is followed by a pause as long as itself.
    """

    def __init__(self, read: Callable[[Tx, Sequence[Q]], Mapping[Q, A | None]], every: float) -> None:
        self._read, self._every = read, every
        self._waiting: dict[Q, list[asyncio.Future[A | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    def ask(self, store: Store, question: Q) -> asyncio.Future[A | None]:
        """The answer, when there is one. Who does not wait any more cancels it.

        It raises TransientError when the database is away.
        """
        answer: asyncio.Future[A | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(question, []).append(answer)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(store))
        return answer

    async def _look(self, store: Store) -> None:
        thread = CapacityLimiter(1)
        while self._still_waiting():
            began = time.monotonic()
            by_account: dict[int, list[Q]] = defaultdict(list)
            for question in self._waiting:
                by_account[question.account_id].append(question)
            for account, questions in by_account.items():
                for start in range(0, len(questions), TOGETHER):
                    some = questions[start : start + TOGETHER]
                    try:
                        answers = await to_thread.run_sync(
                            self._answers, store, account, some, limiter=thread
                        )
                    except Exception as error:  # noqa: BLE001 - it is raised where the streams wait
                        for question in some:
                            self._fail(question, error)
                    else:
                        for question, answer in answers.items():
                            self._answer(question, answer)
            await asyncio.sleep(max(self._every, time.monotonic() - began))

    def _answers(self, store: Store, account: int, questions: Sequence[Q]) -> Mapping[Q, A | None]:
        with store.transaction(account) as tx:
            return self._read(tx, questions)

    def _still_waiting(self) -> bool:
        for question, answers in list(self._waiting.items()):
            open_ones = [answer for answer in answers if not answer.done()]
            if open_ones:
                self._waiting[question] = open_ones
            else:
                del self._waiting[question]
        return bool(self._waiting)

    def _answer(self, question: Q, value: A | None) -> None:
        for answer in self._waiting.pop(question, []):
            if not answer.done():
                answer.set_result(value)

    def _fail(self, question: Q, error: Exception) -> None:
        for answer in self._waiting.pop(question, []):
            if not answer.done():
                answer.set_exception(error)


def reads_still(tx: Tx, reader: Reader | None) -> bool:
    """Whether somebody may still read the account, some time after the request was let in."""
    if reader is None:
        return True
    return bool(
        tx.value("caller_reads_still", key=reader.key_id, link=reader.link_id, username=reader.username)
    )
