"""An account's operation at a glance: what each workflow does, what waits there, and what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from pressroom.domain.definitions import Automation
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Trigger
from pressroom.domain.schedules import CronSchedule
from pressroom.engine.runs import reports
from pressroom.engine.runs.reports import Job, JobFilter
from pressroom.store.database import Tx
from pressroom.store.workflows import parse

log = logging.getLogger(__name__)

MOST_LIVE = 1000
CAP_NEAR = Decimal("0.9")
"""The share of a cap from which on it counts as near."""


@dataclass(frozen=True)
class Alert:
    """What needs somebody's attention. ``remedy``: what to do about it."""

    level: Literal["warning", "error"]
    text: str
    remedy: str


@dataclass(frozen=True)
class LastRun:
    """The last run that ended."""

    id: int
    status: str
    at: datetime | None
    error: str | None


@dataclass(frozen=True)
class Operation:
    """A workflow. ``waiting``: articles, posts or items that wait for a person; ``month_*``: spent in this
    month (UTC); ``month_cap``: in cents. ``live``: the run that holds its lock, or the newest of several.
    """

    id: int
    kind: str
    slug: str
    name: str
    status: str
    timezone: str
    next_run_at: datetime | None
    live: Job | None
    last: LastRun | None
    waiting: int
    failed_items: int
    month_credits: Decimal
    month_cents: Decimal
    month_cap: Decimal | None
    alerts: tuple[Alert, ...]

    @property
    def state(self) -> str:
        """The live run's state; without one idle, or why it takes no run."""
        if self.live is not None:
            return str(self.live.state)
        return "idle" if self.status == "active" else self.status


def operations(tx: Tx, now: datetime | None = None) -> list[Operation]:
    """The account's workflows, by kind and slug."""
    live: dict[int, Job] = {}
    for job in reports.jobs(tx, JobFilter(live=True), MOST_LIVE):
        live.setdefault(job.workflow_id, job)
    moment = now or datetime.now(UTC)
    return [_operation(row, live.get(row["id"]), moment) for row in tx.rows("operations")]


def _operation(row: Mapping[str, Any], live: Job | None, now: datetime) -> Operation:
    slots, timezone = _schedule(row)
    runs_by_itself = slots is not None and row["status"] == "active"
    last = None
    if row["last_id"] is not None:
        last = LastRun(row["last_id"], row["last_status"], row["last_at"], row["last_error"])
    return Operation(
        id=row["id"], kind=row["kind"], slug=row["slug"], name=row["name"], status=row["status"],
        timezone=timezone,
        next_run_at=slots.next_run(now, row["last_slot"]) if slots and runs_by_itself else None,
        live=live, last=last, waiting=row["waiting"], failed_items=row["failed_items"],
        month_credits=row["month_credits"], month_cents=row["month_cents"], month_cap=row["month_cap"],
        alerts=tuple(_alerts(row, last)),
    )  # fmt: skip


def _schedule(row: Mapping[str, Any]) -> tuple[CronSchedule | None, str]:
    """The schedule in force and its time zone. One that this version cannot read counts as none."""
    try:
        if row["automation"] is not None:
            columns = {**row["automation"], "time": row["automation"]["scheduled_time"]}
            fields = {name: columns[name] for name in Automation.model_fields}
            automation = parse(Automation, fields, row["slug"])
            return automation.slots, automation.timezone
        if row["trigger"] is not None:
            trigger = parse(Trigger, row["trigger"], row["slug"])
            return trigger.slots, trigger.timezone
    except DefinitionError as error:
        log.warning("the schedule of %s %s is not shown: %s", row["kind"], row["slug"], error)
    return None, row["mission_timezone"]


def _alerts(row: Mapping[str, Any], last: LastRun | None) -> list[Alert]:
    alerts = []
    if row["unknown_publications"]:
        alerts.append(Alert(
            "error", f"unknown publications: {row['unknown_publications']}",
            "look at the target whether the piece is there, and settle it",
        ))  # fmt: skip
    if last is not None and last.status == "failed":
        alerts.append(Alert(
            "error", f"the last run failed: {last.error or 'see its log'}", "open the run, and retry it",
        ))  # fmt: skip
    if row["failed_publications"]:
        alerts.append(Alert(
            "error", f"failed publications: {row['failed_publications']}",
            "retry them when the target is well",
        ))  # fmt: skip
    if row["failed_items"]:
        alerts.append(Alert(
            "warning", f"failed items: {row['failed_items']}",
            "retry them when their reason is gone: after three times they are passed over",
        ))  # fmt: skip
    cap = row["month_cap"]
    if cap is not None and row["month_cents"] >= cap * CAP_NEAR:
        alerts.append(Alert(
            "error" if row["month_cents"] >= cap else "warning",
            f"{row['month_cents']:.0f} of the month's {cap:.0f} cents are spent",
            "an owner can raise the cap; without it, calls are refused when it is reached",
        ))  # fmt: skip
    return alerts
