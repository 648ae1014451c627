"""When a workflow's schedule starts its next runs."""

from __future__ import annotations

from datetime import datetime

import pendulum

from pressroom.domain.definitions import Automation, Site
from pressroom.domain.flows import Trigger
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission

SHOWN = 5


def next_runs(
    workflow: Workflow, now: datetime, last_slot: datetime | None, most: int = SHOWN
) -> list[datetime]:
    """The next starts, in the workflow's time zone; empty when nothing starts it by itself.

    ``last_slot``: of the last scheduled run that began. A slot too close behind it is passed over.
    """
    if workflow.status != "active":
        return []
    if isinstance(workflow, Mission):
        starts = [start for start in workflow.cycle_starts() if start > now][:most]
        return [pendulum.instance(start).in_timezone(workflow.constraints.timezone) for start in starts]
    plan = workflow.automation if isinstance(workflow, Site) else workflow.trigger
    return next_slots(plan, now, last_slot, most)


def next_slots(
    plan: Automation | Trigger, now: datetime, last_slot: datetime | None, most: int = SHOWN
) -> list[datetime]:
    """The next starts of a plan, as ``next_runs``."""
    starts: list[datetime] = []
    moment, last = now, last_slot
    while plan.slots is not None and len(starts) < most:
        moment = last = plan.slots.next_run(moment, last)
        starts.append(moment.in_timezone(plan.timezone))
    return starts
