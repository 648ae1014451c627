"""The reader of logs. It looks for all open streams of a server together, an account with one statement."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import LogFilter, LogLine
from pressroom.store.database import Store, Tx

LOOK_SECONDS = 0.5
LINES = 200
"""Lines of one stream that are read at once."""
TOGETHER = 100
"""Streams that one transaction looks for."""


@dataclass(frozen=True)
class Reader:
    """Who reads: an API key, a user, or somebody with a link."""

    key_id: int | None
    username: str | None
    link_id: int | None = None


@dataclass(frozen=True)
class LogQuestion:
    """What a stream waits for: lines of a run after a number."""

    account_id: int
    reader: Reader | None
    run_id: int
    after: int
    chosen: LogFilter


@dataclass(frozen=True)
class News:
    """``live``: whether the run goes on."""

    live: bool
    lines: Sequence[LogLine]


Answer = asyncio.Future["News | None"]


class LogWatch:
    """The open streams of one server. It looks while any of them waits."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._waiting: dict[LogQuestion, list[Answer]] = {}
        self._looking: asyncio.Task[None] | None = None

    def open_streams(self, owner: str) -> int:
        """How many streams the owner has open."""
        return self._open[owner]

    @contextmanager
    def counted(self, owner: str) -> Iterator[None]:
        """Count a stream of the owner while it is open."""
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1

    async def news(self, store: Store, question: LogQuestion) -> News | None:
        """The answer, when there are lines or the run has ended; None when the reader may not read any more.

        Raises TransientError when the database is away.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(question, []).append(answer)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(store))
        return await answer

    async def _look(self, store: Store) -> None:
        thread = CapacityLimiter(1)
        while self._still_waiting():
            by_account: dict[int, list[LogQuestion]] = defaultdict(list)
            for question in self._waiting:
                by_account[question.account_id].append(question)
            for account, questions in by_account.items():
                for start in range(0, len(questions), TOGETHER):
                    some = questions[start : start + TOGETHER]
                    try:
                        found = await to_thread.run_sync(_read, store, account, some, limiter=thread)
                    except Exception as error:  # noqa: BLE001 - it is raised where the streams wait
                        for question in some:
                            self._fail(question, error)
                    else:
                        for question, news in found.items():
                            self._answer(question, news)
            await asyncio.sleep(LOOK_SECONDS)

    def _still_waiting(self) -> bool:
        for question, answers in list(self._waiting.items()):
            open_ones = [answer for answer in answers if not answer.done()]
            if open_ones:
                self._waiting[question] = open_ones
            else:
                del self._waiting[question]
        return bool(self._waiting)

    def _answer(self, question: LogQuestion, news: News | None) -> None:
        for answer in self._waiting.pop(question, []):
            if not answer.done():
                answer.set_result(news)

    def _fail(self, question: LogQuestion, error: Exception) -> None:
        for answer in self._waiting.pop(question, []):
            if not answer.done():
                answer.set_exception(error)


def _read(store: Store, account: int, questions: Sequence[LogQuestion]) -> dict[LogQuestion, News | None]:
    """The answers to the questions that have one."""
    with store.transaction(account) as tx:
        allowed = {reader: reads_still(tx, reader) for reader in {each.reader for each in questions}}
        known = [each for each in questions if allowed[each.reader]]
        # The states are read before the lines, so that nothing written before the end is missed.
        live = set(tx.values("live_among", runs=sorted({each.run_id for each in known})))
        lines = reports.log_tails(tx, [(each.run_id, each.after, each.chosen) for each in known], LINES)
    answers: dict[LogQuestion, News | None] = {
        each: News(each.run_id in live, some)
        for each, some in zip(known, lines, strict=True)
        if some or each.run_id not in live
    }
    return answers | dict.fromkeys(each for each in questions if not allowed[each.reader])


def reads_still(tx: Tx, reader: Reader | None) -> bool:
    """Whether somebody may still read the account, some time after the request was let in."""
    if reader is None:
        return True
    return bool(
        tx.value("caller_reads_still", key=reader.key_id, link=reader.link_id, username=reader.username)
    )
