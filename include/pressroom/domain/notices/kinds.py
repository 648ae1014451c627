"""What notices are about."""

from __future__ import annotations

from enum import StrEnum


class NoticeKind(StrEnum):
    """What happened. ``MESSAGE``: what a DAG of the user's own has to say, by the notifier."""

    RUN_FAILED = "run_failed"
    RUN_PARTIAL = "run_partial"
    RUN_DONE = "run_done"
    REVIEW_WAITING = "review_waiting"
    GATE_WAITING = "gate_waiting"
    CAP_NEAR = "cap_near"
    PUBLICATION_UNKNOWN = "publication_unknown"
    MESSAGE = "message"
