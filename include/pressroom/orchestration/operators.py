"""The tasks of a generated DAG: open the run, plan a stage, work through a batch, sum up, close the run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.definitions.reading import SiteRow, site_by_slug
from pressroom.domain.errors import PressroomError, RunConflict, TransientError
from pressroom.engine import control
from pressroom.engine.batch import Report, Stop, run_batch
from pressroom.orchestration import connections
from pressroom.orchestration.services import toolbox
from pressroom.orchestration.triggers import RunTrigger
from pressroom.pipelines.site import SITE
from pressroom.pipelines.site.estimate import estimate_run
from pressroom.pipelines.stage import Key, Run, Skip, Stage
from pressroom.store.database import Store


@dataclass(frozen=True)
class Opened:
    """A task's view of its run: the run itself, its state as read a moment ago, and the store."""

    store: Store
    run: Run
    state: control.RunState


class RunOperator(BaseOperator):
    """What all tasks of a run share. ``site`` is the site's slug."""

    def __init__(self, *, site: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.site = site

    def _row(self, store: Store) -> SiteRow:
        with store.transaction() as tx:
            return site_by_slug(tx, self.site)

    def _opened(self, context: Context) -> Opened:
        """The run of this DAG run. Raises RunConflict when it holds the lock no longer."""
        store = connections.store()
        row = self._row(store)
        with store.transaction(row.account_id) as tx:
            state = control.find(tx, self.dag_id, _dag_run_id(context))
        if state is None:
            raise RunConflict("this DAG run was never opened: clear it from open_run on")
        return Opened(store, _run(row, state), state)

    def _until_it_may(self, opened: Opened, due: datetime | None = None) -> None:
        """Skip when cancelled, fail when the lock is lost, defer while paused or until ``due``."""
        state = opened.state
        if state.cancel_requested:
            raise AirflowSkipException("the run was cancelled")
        if not state.live:
            raise RunConflict(f"run {state.id} is {state.status}: it does not hold the site's lock")
        if state.paused or (due is not None and due > datetime.now(due.tzinfo)):
            self._wait(opened, due)

    def _wait(self, opened: Opened, due: datetime | None = None) -> NoReturn:
        if due is not None:
            with opened.store.transaction(opened.run.account_id) as tx:
                control.renew(tx, opened.run.id, until=due)
        until = due.isoformat() if due else None
        self.defer(trigger=RunTrigger(opened.run.account_id, opened.run.id, until), method_name="resume")
        raise AssertionError("defer does not return")

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Taken up again by RunTrigger: the checks are made afresh, so the event's content is of no use."""
        return self.execute(context)


class OpenRun(RunOperator):
    """Setup: take the site's lock and see that the credits suffice."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the run's id and its estimate."""
        store = connections.store()
        row = self._row(store)
        dag_run = context["dag_run"]
        scheduled = dag_run.run_type == "scheduled"
        who = dag_run.triggering_user_name or ("the schedule" if scheduled else "an API call")
        facts: dict[str, Any] = {
            "site_id": row.site_id, "dag_id": self.dag_id, "dag_run_id": _dag_run_id(context),
            "trigger": "scheduled" if scheduled else "manual", "owner": who,
        }  # fmt: skip
        params = {name: value for name, value in dict(context["params"]).items() if value is not None}
        try:
            with store.transaction(row.account_id) as tx:
                draft = Run(0, row.account_id, row.site_id, row.account, row.site, row.brand, params)
                estimate = estimate_run(tx, draft).total
                state = control.open_run(tx, **facts, params=params, estimate=estimate)
        except RunConflict as conflict:
            if scheduled:  # nobody waits for it, and the next one comes by itself
                raise AirflowSkipException(str(conflict)) from None
            self._refuse(store, row.account_id, facts, conflict)
        except PressroomError as refused:
            if isinstance(refused, TransientError):
                raise
            self._refuse(store, row.account_id, facts, refused)
        return {"run": state.id, "estimated_credits": float(estimate)}

    def _refuse(self, store: Store, account_id: int, facts: dict[str, Any], why: PressroomError) -> NoReturn:
        with store.transaction(account_id) as tx:
            control.record_refusal(tx, **facts, reason=str(why))
        raise why


class PlanStage(RunOperator):
    """What waits for a stage, dealt into batches: lists of keys, never content."""

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> list[list[Key]]:
        """Returns the batches; an empty list skips the stage's work."""
        opened = self._opened(context)
        run, stage = opened.run, SITE.stage(self.stage)
        with opened.store.transaction(run.account_id) as tx:
            clock = tx.rows("stage_clock", run=run.id, stage=stage.name)[0]
        delay = timedelta(seconds=run.site.automation.between_stage_delay)
        self._until_it_may(opened, clock["previous_end"] + delay if delay and clock["previous_end"] else None)
        with opened.store.transaction(run.account_id) as tx:
            found = stage.pending(tx, run)
            reason = found.reason if isinstance(found, Skip) else None
            keys: Sequence[Key] = () if isinstance(found, Skip) else found
            size = stage.batch_items(run.site)
            batches = [list(keys[at : at + size]) for at in range(0, len(keys), size)]
            tx.run("set_current_stage", run=run.id, stage=stage.name)
            rows = sum(len(key) if isinstance(key, list) else 1 for key in keys)
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=rows, skipped=reason)
            message = (
                f"{stage.title}: {rows} waiting, {len(batches)} batches"
                if keys
                else f"{stage.title}: nothing to do"
            )
            control.event(
                tx, run.id, "stage_started", message + (f" ({reason})" if reason else ""), stage=stage.name
            )
            control.renew(tx, run.id)
        return batches


class WorkBatch(RunOperator):
    """One batch of one stage, all its items at once in one event loop."""

    def __init__(self, *, stage: str, batch: list[Key], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.batch = batch

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the batch's counts. Raises TransientError when items wait for another try."""
        opened = self._opened(context)
        stage, ti = SITE.stage(self.stage), context["ti"]
        self._until_it_may(opened, self._due(opened, max(0, ti.map_index or 0)))
        last_try = ti.try_number > ti.max_tries
        report = asyncio.run(self._work(opened, stage, last_try=last_try))
        if report.stop is Stop.PAUSED:
            self._wait(opened)
        self._record(opened, stage, report, max(0, ti.map_index or 0), last_try=last_try)
        if report.waiting and (not last_try or report.done == 0):
            raise self._what_waits(report)
        return {"processed": report.processed, "created": report.created, "failed": report.failed}

    async def _work(self, opened: Opened, stage: Stage[Any, Any], *, last_try: bool) -> Report:
        run = opened.run
        async with toolbox(opened.store, run) as tools_for:
            return await run_batch(
                stage, run, self.batch, store=opened.store, tools_for=tools_for,
                concurrency=in_flight(run.site.automation.concurrency, stage.batch_items(run.site)),
                last_try=last_try,
            )  # fmt: skip

    def _due(self, opened: Opened, index: int) -> datetime | None:
        """When this batch may start: each ``within_stage_delay`` after the one before it."""
        delay = opened.run.site.automation.within_stage_delay * index
        if not delay:
            return None
        with opened.store.transaction(opened.run.account_id) as tx:
            started: datetime = tx.rows("stage_clock", run=opened.run.id, stage=self.stage)[0]["started_at"]
        return started + timedelta(seconds=delay)

    def _record(
        self, opened: Opened, stage: Stage[Any, Any], report: Report, index: int, *, last_try: bool
    ) -> None:
        run = opened.run
        over = not report.waiting or last_try
        state = "done" if over else "will be taken up again"
        text = f"{stage.title}: batch {index + 1} {state}, {report.done} finished"
        if report.failed:
            text += f", {report.failed} failed"
        if report.stop:
            text += f", stopped: {report.reason}"
        with opened.store.transaction(run.account_id) as tx:
            control.event(
                tx, run.id, "batch_done", text, stage=stage.name,
                data={
                    "batch": index, "done": report.done, "failed": report.failed, "credits": report.credits,
                    "waiting": 0 if over else len(report.waiting),
                },
            )  # fmt: skip
            # After the event, as everywhere: the run's row first, then its stages', then the account's.
            tx.run(
                "finish_batch", run=run.id, stage=stage.name, batches=int(over), partial=report.reason or None
            )

    @staticmethod
    def _what_waits(report: Report) -> TransientError:
        """One error for all the items that wait: the longest Retry-After, and the first one's words."""
        asked = [error.retry_after for error in report.waiting if error.retry_after is not None]
        return TransientError(
            f"{len(report.waiting)} items wait for another try; the first: {report.waiting[0]}",
            retry_after=max(asked) if asked else None,
        )


class SumUpStage(RunOperator):
    """A stage that only looks: its summary becomes its result."""

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the summary."""
        opened = self._opened(context)
        self._until_it_may(opened)
        run, stage = opened.run, SITE.stage(self.stage)
        if stage.summarize is None:
            raise TypeError(f"the stage {stage.name} sums nothing up")
        with opened.store.transaction(run.account_id) as tx:
            summary = dict(stage.summarize(tx, run))
            tx.run("set_current_stage", run=run.id, stage=stage.name)
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=0, skipped=None)
            tx.run("finish_stage", run=run.id, stage=stage.name, output=summary)
            told = [
                f"{name.replace('_', ' ')} {value}"
                for name, value in summary.items()
                if isinstance(value, int)
            ]
            message = f"{stage.title}: {', '.join(told)}"
            control.event(tx, run.id, "stage_done", message, stage=stage.name, data=summary)
        return summary


class CloseRun(RunOperator):
    """Teardown: totals, reservations back, lock released. Runs however the stages ended."""

    def execute(self, context: Context) -> str:
        """Returns the run's final status."""
        opened = self._opened(context)
        states: dict[str, str] = context["ti"].get_task_states(
            dag_id=self.dag_id, run_ids=[_dag_run_id(context)]
        )[_dag_run_id(context)]
        broken = sorted(task for task, state in states.items() if state == "failed")
        failed = f"{', '.join(broken)} failed: see the log of the task" if broken else None
        with opened.store.transaction(opened.run.account_id) as tx:
            return control.close_run(tx, opened.run.id, failed=failed)


def in_flight(concurrency: int, batch_items: int) -> int:
    """Items in work at once within one batch, so that all batches together keep to the site's bound."""
    return max(1, concurrency // parallel_batches(concurrency, batch_items))


def parallel_batches(concurrency: int, batch_items: int) -> int:
    """Batches in work at once: as few as can fill the site's concurrency."""
    return max(1, math.ceil(concurrency / batch_items))


def _run(row: SiteRow, state: control.RunState) -> Run:
    return Run(state.id, row.account_id, row.site_id, row.account, row.site, row.brand, state.params)


def _dag_run_id(context: Context) -> str:
    return context["dag_run"].run_id
