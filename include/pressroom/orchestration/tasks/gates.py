"""The tasks at which an item of a flow waits: for a webhook, a person or the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.configuration import conf
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context, Param
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.adapters.conditions.evaluate import compile as read_condition
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.flows import AnyStep, GateStep
from pressroom.engine import gates
from pressroom.engine.gates import EDIT, Gate
from pressroom.engine.runs import control
from pressroom.orchestration.tasks.flow import OfItem
from pressroom.orchestration.tasks.run_operator import Opened
from pressroom.orchestration.tasks.triggers import GateTrigger, ended, raise_failure
from pressroom.orchestration.tools.approvals import APPROVE, REJECT, page_answer, respondents
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.flow.items import FlowItem, Outcome
from pressroom.pipelines.prompts import render_source

RETRY_DELAY = timedelta(seconds=20)
"""Longer than the scheduler's sweep takes to come round, which keeps an answer that a new try would void."""


SOONEST = timedelta(seconds=1)
"""A wait that is asked for again lasts at least so long."""


class _AtGate(OfItem):
    """Base of the gates: a gate opens, and lets its item go on when there is an answer."""

    def _open(self, context: Context, opened: Opened, item: FlowItem) -> tuple[GateStep, str | None]:
        """Open the gate and notify the step's receiver. The link's secret is in no log, event or XCom."""
        step, ti = self._step(opened), context["ti"]
        task = {"dag_id": self.dag_id, "run_id": context["dag_run"].run_id, "task_id": ti.task_id,
                "map_index": ti.map_index}  # fmt: skip
        variables = item.variables(opened.run.id, opened.run.flow)
        try:
            passed_over = step.when is not None and not read_condition(step.when).holds(variables)
            subject = asyncio.run(render_source(step.subject, variables, where=f"the subject of {step.name}"))
        except PermanentError as error:
            # The item's own fault, unless its step leaves a wrong set-up to the task.
            if isinstance(error, ConfigurationError) and step.on_failure == "stop":
                raise
            with opened.store.transaction(opened.run.account_id) as tx:
                gates.fail(tx, opened.run, item, step, error)
            raise AirflowSkipException(f"item {item.id} failed: {error}") from error
        if passed_over:
            with opened.store.transaction(opened.run.account_id) as tx:
                note = Outcome([("note", {"passed_over": step.when})])
                gates.move_on(tx, opened.run, item, step, note)
            raise AirflowSkipException(f"not {step.when}")
        subject = subject or f"{step.name}: {item.source.get('title') or item.source_id}"
        with opened.store.transaction(opened.run.account_id) as tx:
            link = gates.open_gate(tx, opened.run, item.id, step, subject, task)
            control.event(
                tx, opened.run.id, "gate_opened", f"{subject}: waits for {step.by}", stage=step.name,
                data={"item": item.id},
            )  # fmt: skip
        if link is not None and step.notify is not None:
            self._tell(opened, item, step, subject, link)
        return step, link

    def _tell(self, opened: Opened, item: FlowItem, step: GateStep, subject: str, link: str) -> None:
        payload = {
            "flow": opened.run.flow.slug, "step": step.name, "subject": subject,
            "item": {"id": item.id, "title": item.source.get("title"), "url": item.source.get("url")},
            **links_of(conf.get("api", "base_url", fallback=""), link, step),
        }  # fmt: skip

        async def tell() -> None:
            async with Toolbox(opened.store, opened.run) as box:
                await box.notify(str(step.notify), "gate", payload)

        try:
            asyncio.run(tell())
        except PressroomError as error:
            # The gate stays open: it can still be answered on Airflow's page or on the command line.
            with opened.store.transaction(opened.run.account_id) as tx:
                control.event(
                    tx, opened.run.id, "gate_not_told", f"{subject}: the notification was not sent: {error}",
                    stage=step.name,
                    level="warning",
                )  # fmt: skip

    def _step(self, opened: Opened) -> GateStep:
        _, step = opened.run.flow.step(self.stage)
        if not isinstance(step, GateStep):
            raise TypeError(f"{step.name} is not a gate")
        return step

    def _finish(self, opened: Opened, item: FlowItem, gate: Gate) -> dict[str, Any]:
        """Let the item go on, or end it, by the gate's outcome."""
        step = self._step(opened)
        with opened.store.transaction(opened.run.account_id) as tx:
            gates.apply_outcome(tx, opened.run, item, step, gate)
        return {"outcome": gate.outcome}


def links_of(base_url: str, link: str, step: GateStep) -> dict[str, str]:
    """What a receiver needs to answer a gate. ``base_url``: Airflow's; ``link``: as ``open_gate`` returns it.

    A path is in the logs of every server on the way, so the secret is behind a ``#``, or apart.
    """
    number, _, secret = link.partition("/")
    hooks = f"{base_url.rstrip('/')}/pressroom/hooks"
    if step.by == "approval":
        page = f"{hooks}/approvals/{number}"
        return {decision: f"{page}?decision={decision}#{secret}" for decision in gates.DECISIONS}
    return {"answer": f"{hooks}/gates/{number}", "token": secret}


class WaitAtGate(_AtGate):
    """A gate that a webhook or the time opens: the trigger watches the database, and no worker is held."""

    def _fits(self, step: AnyStep) -> bool:
        return isinstance(step, GateStep) and step.by != "approval"

    def execute(self, context: Context) -> Any:
        """Opens the gate, and defers until it has its answer."""
        opened = self._opened(context)
        self._until_it_may(opened)
        item = self._arrived(context, opened)
        self._open(context, opened, item)
        return self._pass_or_wait(opened, item)

    def answered(self, context: Context, event: dict[str, Any]) -> Any:
        """Looks at the gate itself, unless the trigger failed."""
        raise_failure(event)
        opened = self._opened(context)
        self._until_it_may(opened)
        return self._pass_or_wait(opened, self._arrived(context, opened, with_answer=True))

    def _pass_or_wait(self, opened: Opened, item: FlowItem) -> dict[str, Any]:
        with opened.store.transaction(opened.run.account_id) as tx:
            gate = gates.gate_of(tx, item.id, self.stage)
        if gate.outcome is None:
            self.defer(
                trigger=GateTrigger(opened.run.account_id, opened.run.id, item.id, self.stage),
                method_name="answered",
            )
        return self._finish(opened, item, gate)


class ApproveAtGate(_AtGate, HITLOperator):
    """A gate that a person answers on Airflow's page, with an edit if they like; or by a signed link."""

    template_fields: Sequence[str] = ("item",)

    def _fits(self, step: AnyStep) -> bool:
        return isinstance(step, GateStep) and step.by == "approval"

    def __init__(self, *, timeout: timedelta, on_timeout: str, **kwargs: Any) -> None:
        # The gate has a time-out of its own: Airflow's can only approve or reject.
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        super().__init__(
            subject="approval",
            options=[APPROVE, REJECT],
            defaults=APPROVE if on_timeout == "approve" else REJECT,
            response_timeout=timeout,
            params={
                EDIT: Param(
                    "",
                    type="string",
                    title="Text",
                    description="Another text in place of the model's, if any.",
                ),
            },
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Opens the gate, and waits for a person without a worker or a trigger."""
        opened = self._opened(context)
        self._until_it_may(opened)
        item = self._arrived(context, opened)
        _, link = self._open(context, opened, item)
        if link is None:  # answered before it was cleared
            return self._by_gate(opened, item)
        return self._ask(context, opened, item)

    def _ask(self, context: Context, opened: Opened, item: FlowItem) -> Any:
        """Wait for one of the account's approvers, on Airflow's page or by the gate's link."""
        with opened.store.transaction(opened.run.account_id) as tx:
            self.subject = gates.gate_of(tx, item.id, self.stage).subject
            self.assigned_users = respondents(tx)
        newest = item.last("text", "output")
        shown = "\n\n".join(str(value) for value in newest.data.values()) if newest else ""
        self.body = "\n\n".join(part for part in (str(item.source.get("url") or ""), shown[:5000]) if part)
        # Who cancels from now on sees this wait, and ends it.
        self._until_it_may(self._opened(context))
        return HITLOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """The answer of Airflow's page becomes the gate's; the first one counts, and only an approver's.

        When the run was cancelled, it ends the wait and nothing else.
        """
        opened = self._opened(context)
        if ended(opened.state):
            self._until_it_may(opened)
        item = self._arrived(context, opened, with_answer=True)
        chosen = HITLOperator.execute_complete(self, context, event)
        with opened.store.transaction(opened.run.account_id) as tx:
            counts = gates.page_answer(tx, item.id, self.stage, page_answer(chosen))
            left = gates.gate_of(tx, item.id, self.stage).due_at - datetime.now(UTC)
        if not counts:
            self.log.warning("%s is no approver of the account: the gate goes on waiting", chosen)
            # The gate's own clock decides; Airflow's must not be ahead of it.
            self.response_timeout = max(left, timedelta(0)) + SOONEST
            return self._ask(context, opened, item)
        self._until_it_may(opened)  # after the answer is on record: a paused run goes on with it
        return self._by_gate(opened, item)

    def _by_gate(self, opened: Opened, item: FlowItem) -> dict[str, Any]:
        with opened.store.transaction(opened.run.account_id) as tx:
            gate = gates.gate_of(tx, item.id, self.stage)
        if gate.outcome is None:
            raise TransientError(f"the gate {self.stage} has no answer yet")
        return self._finish(opened, item, gate)
