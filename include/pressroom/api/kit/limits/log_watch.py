"""What streams of logs wait for: the lines of all of an account's runs are read by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.api.kit.limits.watching import Reader, reads_still
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import LogFilter, LogLine
from pressroom.store.database import Tx

LOOK_SECONDS = 0.5
LINES = 200
"""Lines of one stream that are read at once."""


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


def read_logs(tx: Tx, questions: Sequence[LogQuestion]) -> dict[LogQuestion, News | None]:
    """The answers to the questions that have one: there are lines, or the run has ended. None: the reader may
    not read any more.
    """
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
