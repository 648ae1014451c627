"""The tasks that begin and end a run: open it under its lock, roll it back, close it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.domain.definitions import Site
from pressroom.domain.errors import (
    ConfigurationError,
    PressroomError,
    RunConflict,
    RunFailed,
    TransientError,
)
from pressroom.domain.kinds import Workflow, word_of
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run, check_params
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control, ending, rollback
from pressroom.engine.runs.ending import DagRunSeen
from pressroom.engine.runs.verifying import CheckResult, summary
from pressroom.orchestration.tasks.run_operator import (
    Opened,
    RunOperator,
    WhatItMade,
    alive,
    clears,
    dag_run_id,
)
from pressroom.orchestration.tools import connections
from pressroom.orchestration.tools.probe import verified
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.registry import pipeline_of
from pressroom.pipelines.stage import Pipeline, must_be_active
from pressroom.store.database import Store, Tx
from pressroom.store.workflows import WorkflowRow

MAP_INDEX = re.compile(r"_\d+$")
PARSE_SECONDS = 30.0
"""How long ``open_run`` waits in its process for Airflow to have read the definition."""


class OpenRun(RunOperator):
    """Setup: take the workflow's lock, see that the credits suffice, and verify the set-up."""

    operator_extra_links = (WhatItMade(),)

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the run's id and its estimate."""
        self._until_planned(context)
        store = connections.store()
        row = self._row(store)
        pipeline = pipeline_of(row.workflow, self.part)
        facts = self._facts(context, row)
        params = {name: value for name, value in dict(context["params"]).items() if value is not None}
        check_params(row.workflow, {**dict(context["dag_run"].conf or {}), **params}, self.part)
        try:
            now = asyncio.run(Toolbox(store, row.run(params=params)).clock.now())
        except ConfigurationError:
            self._verify(store, row.run(params=params), pipeline)  # it names all that is missing
            raise
        if pipeline.exclusive:
            self._end_orphan(context, store, row)
        try:
            with store.transaction(row.account_id) as tx:
                run = control.find(tx, self.dag_id, facts["dag_run_id"])
                # A run that has begun may end, even when the workflow takes no new runs.
                if run is None or not control.begun(tx, run.id):
                    must_be_active(row.run(params=params))
                    pipeline.admit(tx, row.run(params=params), now)
                if run is None:
                    _not_missed(row.workflow, facts["slot"])
                # An unopened run has no cycle or item yet; of a cleared one, only what is left is estimated.
                # A rollback costs nothing.
                estimate = Decimal(0)
                working = run is None or control.rollback_requested_by(tx, run.id) is None
                if working:
                    estimate = pipeline.estimate(tx, row.run(run.id if run else 0, params)).total
                state = control.open_run(
                    tx, **facts, params=params, estimate=estimate, definition=row.definition,
                    exclusive=pipeline.exclusive, clears=clears(context),
                    alive=alive(context),
                    guard=row.workflow.automation.slots if isinstance(row.workflow, Site) else None,
                )  # fmt: skip
        except RunConflict as conflict:
            if facts["trigger"] == "scheduled":  # no person waits for it, and the schedule starts another
                with store.transaction(row.account_id) as tx:
                    control.record_refusal(tx, **facts, reason=f"skipped: {conflict}", skipped=True)
                raise AirflowSkipException(str(conflict)) from None
            raise
        self.run_number = state.id
        if working:
            findings = self._verify(store, row.run(state.id, params), pipeline)
            with store.transaction(row.account_id) as tx:
                for finding in findings:
                    control.event(tx, state.id, "setup_warning", str(finding), level="warning")
        return {"run": state.id, "estimated_credits": float(estimate)}

    def _until_planned(self, context: Context) -> None:
        """Wait until the DAG run has a task for everything that is defined now. Raises TransientError.

        A run may start a moment after its definition was applied. This process reads the new definition, and
        the scheduler still plans the run by the old one: an item could come to a step when the tasks behind
        that step are over.
        """
        dag = self.get_dag()
        if dag is None:
            return
        end = time.monotonic() + PARSE_SECONDS
        while missing := set(dag.task_ids) - _planned(_task_states(self, context)):
            if time.monotonic() > end or self.stopper.stopped:
                raise TransientError(
                    f"Airflow has not read the newest definition of {self.workflow} yet:"
                    f" this DAG run has no task {', '.join(sorted(missing))}",
                    retry_after=5,
                )
            time.sleep(0.5)

    def _end_orphan(self, context: Context, store: Store, row: WorkflowRow) -> None:
        """Close the run that holds the lock, if Airflow has ended or forgotten its DAG run. The scheduler
        does so within seconds, but a run may begin sooner.
        """
        with store.transaction(row.account_id) as tx:
            holder = control.lock_holder(tx, row.workflow_id)
        if holder is None or holder.dag_run_id == dag_run_id(context):
            return
        ti, names = context["ti"], {"dag_id": holder.dag_id, "run_id": holder.dag_run_id}
        there = ti.get_dr_count(dag_id=holder.dag_id, run_ids=[holder.dag_run_id])
        seen = DagRunSeen(str(ti.get_dagrun_state(**names)) if there else None)
        kind = word_of(row.workflow)
        ending.end_if_over(store, row.account_id, kind, row.workflow_id, holder.id, seen)

    @staticmethod
    def _verify(store: Store, run: Run, pipeline: Pipeline) -> list[CheckResult]:
        """What is wrong with the set-up and does not stop the run. Raises ConfigurationError for the rest."""
        findings = verified(store, run, [pipeline], connections.OF_TASK)
        if refusing := [finding for finding in findings if finding.refuses]:
            raise ConfigurationError(summary(refusing))
        return findings

    def record_reason(self, context: Context, error: Exception, reason: str) -> None:
        """Keep a run that cannot be opened in the history, with the reason."""
        store = connections.store()
        try:
            row = self._row(store)
        except PressroomError:  # the definition cannot be read; a run that the API recorded has to end
            self._close_recorded(store, context, reason)
            return
        with store.transaction(row.account_id) as tx:
            control.record_refusal(tx, **self._facts(context, row), reason=reason)

    def _close_recorded(self, store: Store, context: Context, reason: str) -> None:
        names = {"dag_id": self.dag_id, "dag_run_id": dag_run_id(context)}
        with store.transaction() as tx:
            account: int | None = tx.value("account_of_dag_run", **names)
            if account is None:
                return
            own = tx.for_account(account)
            recorded = control.find(own, **names)
            if recorded is not None:
                control.close_run(own, recorded.id, failed=reason)

    def _facts(self, context: Context, row: WorkflowRow) -> dict[str, Any]:
        """Which run of the workflow this is, and who started it."""
        dag_run = context["dag_run"]
        # Airflow's enumeration prints as its name, not as its value.
        kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
        by = {"scheduled": "the schedule", "asset_triggered": "an approval" if self.part else "an asset"}
        return {
            "workflow_id": row.workflow_id, "dag_id": self.dag_id, "dag_run_id": dag_run_id(context),
            "trigger": "scheduled" if kind == "scheduled" else "manual",
            "slot": dag_run.logical_date if kind == "scheduled" else None,
            "owner": dag_run.triggering_user_name or by.get(kind, "an API call"),
        }  # fmt: skip


def _not_missed(workflow: Workflow, slot: datetime | None) -> None:
    """Raises RunConflict for a cycle of a mission that is over before its run began."""
    if slot is None or not isinstance(workflow, Mission):
        return
    due = [start for start in workflow.cycle_starts() if slot < start <= datetime.now(UTC)]
    if due:
        raise RunConflict(
            f"the cycle of {slot:%Y-%m-%d %H:%M} UTC is over:"
            f" the run of {due[-1]:%Y-%m-%d %H:%M} UTC plans the present one"
        )


class RollBack(RunOperator):
    """Teardown: undoes what the run's stages did, last stage first, when the run fails and the mission says
    so, or when a person asked for it.

    It comes when all of them are done, one way or another: nothing is undone that is still being worked on.
    A teardown is what Airflow runs also after somebody has marked the DAG run as failed.
    """

    spends = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the report. Running it again does the same as running it once."""
        opened = self._opened(context)
        run = opened.run
        broken = _broken(_task_states(self, context))
        with opened.store.transaction(run.account_id) as tx:
            asked = control.rollback_requested_by(tx, run.id) is not None
            failed = _failure(tx, run.id, broken)
        if not asked and not (failed and run.mission.rollback):
            raise AirflowSkipException(
                "the run failed, and the mission does not roll back" if failed else "the run has not failed"
            )

        async def undo() -> dict[str, Any]:
            scope = CostScope(run.account_id, run.workflow_id, run.id, "rollback", "all")
            async with Toolbox(opened.store, run) as box:
                return await rollback.roll_back(
                    opened.pipeline, run, opened.store, box.bound(scope), on_request=failed is None
                )

        return asyncio.run(undo())


class CloseRun(RunOperator):
    """Teardown: totals, reservations back, lock released. Runs however the stages ended.

    It is the one task that decides the DAG run's state, and it knows how the run ended: the state of a
    stage's task can be a skip, or of an earlier try.
    """

    operator_extra_links = (WhatItMade(),)

    takes_up = False

    def execute(self, context: Context) -> str:
        """Returns the run's final status. Raises RunFailed, when all is recorded, for a run that failed, or
        ended partial where the definition counts that as failed.
        """
        opened = self._opened(context)
        run, states = opened.run, _task_states(self, context)
        if opened.state.live:
            self._outside(lambda: asyncio.run(_settle_publications(opened)))
            if opened.state.cancel_requested:
                self._outside(lambda: asyncio.run(_stop_batches(opened)))
        with opened.store.transaction(run.account_id) as tx:
            failed = _failure(tx, run.id, _broken(states))
            left = ending.left_undone(tx, run, opened.pipeline) if failed is None else None
            if left and "upstream_failed" in states.values():
                # Only a part of a failed run was cleared: what followed it has still not run.
                failed = left
            control.close_run(tx, run.id, failed=failed, left=left)
            end = control.end_of(tx, run.id)
        self._outside(lambda: self._settle(opened))
        if run.workflow.is_failure(end.status):
            raise RunFailed(str(end))
        return end.status

    def record_reason(self, context: Context, error: Exception, reason: str) -> None:
        """Record why the run could not be closed. A failed run has its reason already."""
        if not isinstance(error, RunFailed):
            super().record_reason(context, error, reason)

    def _outside(self, do: Callable[[], None]) -> None:
        """Do work that calls services. Its failure must not keep the lock: the rows keep their state, and
        the next run or a person settles them.
        """
        try:
            do()
        except PressroomError as error:
            self.log.warning("left for the next run: %s", error)

    @staticmethod
    def _settle(opened: Opened) -> None:
        now = asyncio.run(Toolbox(opened.store, opened.run).clock.now())
        with opened.store.transaction(opened.run.account_id) as tx:
            # What becomes of the workflow after this run is for today's definition to say.
            opened.pipeline.settle(tx, opened.today.run(opened.run.id, dict(opened.run.params)), now)


async def _settle_publications(opened: Opened) -> None:
    async with Toolbox(opened.store, opened.run) as box:
        await box.settle_publications()


async def _stop_batches(opened: Opened) -> None:
    async with Toolbox(opened.store, opened.run) as box:
        await box.stop_batches()


def _task_states(task: RunOperator, context: Context) -> Mapping[str, str]:
    """The states of this DAG run's tasks, by their names."""
    name = dag_run_id(context)
    states: Mapping[str, str] = context["ti"].get_task_states(dag_id=task.dag_id, run_ids=[name])[name]
    return states


def _planned(states: Mapping[str, str]) -> set[str]:
    """The tasks that a DAG run has. Airflow adds the map index to the name of a task that is expanded, and
    such an index is removed when there is less to do.
    """
    whole = {name for name, state in states.items() if state != "removed"}
    return whole | {name[: index.start()] for name in states if (index := MAP_INDEX.search(name))}


def _broken(states: Mapping[str, str]) -> list[str]:
    """The tasks that failed."""
    return sorted(name for name, state in states.items() if state == "failed")


def _failure(tx: Tx, run_id: int, broken: list[str]) -> str | None:
    """Why the run fails; None when it does not. ``broken``: its tasks that failed."""
    marked = control.end_of(tx, run_id).marked
    if marked == "failed":
        return control.reason_of(tx, run_id) or ending.MARKED_FAILED
    return (control.reason_of(tx, run_id) or _died(broken)) if broken else None


def _died(tasks: list[str]) -> str:
    """The reason shown for tasks that recorded none. Airflow passes no exception for them, so which of the
    two happened is in the log alone.
    """
    names = ", ".join(tasks[:3]) + (f" and {len(tasks) - 3} more" if len(tasks) > 3 else "")
    were, log = ("were", "their logs") if len(tasks) > 1 else ("was", "its log")
    return f"{names} {were} killed, or marked as failed in Airflow: see {log}"
