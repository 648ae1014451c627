"""What the API keeps in the memory of its process: who may call how often, and who is at work."""

from __future__ import annotations

import os
from collections import OrderedDict

from pressroom.api.kit.limits import log_watch, mark_watch
from pressroom.api.kit.limits.lists import KeywordLists
from pressroom.api.kit.limits.log_watch import LogQuestion, News, read_logs
from pressroom.api.kit.limits.mark_watch import MarkQuestion, read_marks
from pressroom.api.kit.limits.rates import RATE_OF_FAILURES, RATE_VARIABLE, USUAL_RATE, Rates
from pressroom.api.kit.limits.shares import Shares
from pressroom.api.kit.limits.trials import Trials
from pressroom.api.kit.limits.watching import Lookout, OpenStreams

WORK, LOOKUPS, HOOKS, WATCHES = 6, 2, 4, 2
"""Calls at work, lookups of who calls, hooks, and what looks for open streams: of logs, and of the page."""
CONNECTIONS = WORK + LOOKUPS + HOOKS + WATCHES
"""Connections to the database that an API server needs: none of these waits for one."""
KNOWN_KEYS = 10_000


class Admission:
    """The limits of one API server process.

    ``rates``: calls of a user, or of all API keys of an account; ``failures``: wrong keys of an address;
    ``work``, ``lookups``: who is at work, or being found; ``trials``: where definitions are tried; ``lists``:
    where keyword lists are read; ``streams``: how many are open; ``logs``, ``marks``: what those of logs and
    of the page wait for.
    ``rate``: how often one caller may call; None: the variable PRESSROOM_API_RATE, or 600/minute.
    """

    def __init__(self, rate: str | None = None) -> None:
        self.rates = Rates(rate or os.environ.get(RATE_VARIABLE) or USUAL_RATE, RATE_VARIABLE)
        self.failures = Rates(RATE_OF_FAILURES, "RATE_OF_FAILURES")
        self.work = Shares(WORK, "at work")
        self.lookups = Shares(LOOKUPS, "looked up")
        self.trials = Trials()
        self.lists = KeywordLists()
        self.streams = OpenStreams()
        self.logs: Lookout[LogQuestion, News] = Lookout(read_logs, log_watch.LOOK_SECONDS)
        self.marks: Lookout[MarkQuestion, str] = Lookout(read_marks, mark_watch.LOOK_SECONDS)
        self._account_of_key: OrderedDict[str, int] = OrderedDict()

    def account_of(self, key_hash: str) -> int | None:
        """The account of an API key that was valid when it was last seen."""
        return self._account_of_key.get(key_hash)

    def remember(self, key_hash: str, account: int | None) -> None:
        """Note whose API key it is; None: nobody's, or not any more."""
        self._account_of_key.pop(key_hash, None)
        if account is not None:
            self._account_of_key[key_hash] = account
            if len(self._account_of_key) > KNOWN_KEYS:
                self._account_of_key.popitem(last=False)
