"""The tasks of a stage: plan what waits, work through a batch, sum up, watch the outside."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.configuration import conf
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.domain.definitions import Site
from pressroom.domain.errors import OutOfMoney, PressroomError, ServiceDown, TransientError
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.text import counted
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, Stop, ready, run_batch, workable
from pressroom.engine.runs.stopping import Stopper
from pressroom.orchestration.tasks.run_operator import Opened, RunOperator
from pressroom.orchestration.tasks.triggers import BatchTrigger, PollTrigger, RunTrigger, raise_failure
from pressroom.orchestration.tools import connections
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.registry import pipeline_of
from pressroom.pipelines.site.publish import anything_to_publish
from pressroom.pipelines.stage import LABEL_CHARS, Key, Skip, Stage, waiting


class PlanStage(RunOperator):
    """What waits for a stage, dealt into batches: lists of keys, never content."""

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> list[list[Key]]:
        """Returns the batches; an empty list skips the stage's work."""
        opened = self._opened(context)
        run, stage = opened.run, opened.stage(self.stage)
        self._until_it_may(opened, self._due(opened))
        if stage.waits_for is not None:
            self._while_people_decide(context, opened, stage)
        with opened.store.transaction(run.account_id) as tx:
            pending = stage.pending(tx, run)
            reason = pending.reason if isinstance(pending, Skip) else None
            keys = waiting(pending)
            batches = in_batches(keys, stage.batch_items(run.workflow))
            tx.run("set_current_stage", run=run.id, stage=stage.name)
            rows = sum(map(stage.rows, keys))
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=rows, skipped=reason)
            tx.run("rollback_is_past", run=run.id)
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

    def _due(self, opened: Opened) -> datetime | None:
        """When this stage may start: ``between_stage_delay`` after another one ended."""
        delay = timedelta(seconds=opened.run.workflow.pace.between_stage_delay)
        if not delay:
            return None
        ended: datetime | None = stage_clock(opened, self.stage)["previous_end"]
        return ended + delay if ended is not None else None

    def _while_people_decide(self, context: Context, opened: Opened, stage: Stage[Any, Any]) -> None:
        """Work through what they have let through, and defer until there is more. Returns when nothing waits
        for them any more, or its time is over.
        """
        run = opened.run
        now = asyncio.run(Toolbox(opened.store, run).clock.now())
        with opened.store.transaction(run.account_id) as tx:
            wait = stage.waits_for(tx, run) if stage.waits_for is not None else None
            if wait is None:
                return
            if now >= wait.until:
                message = f"{stage.title}: {wait.reason}, and the time for it is over"
                control.event(tx, run.id, "stage_went_on", message, stage=stage.name, level="warning")
                return
            if opened.state.current_stage != stage.name:
                tx.run("set_current_stage", run=run.id, stage=stage.name)
                control.event(tx, run.id, "stage_waits", f"{stage.title}: {wait.reason}", stage=stage.name)
            control.renew(tx, run.id)
            keys = ready(tx, stage, run)
            if keys:
                tx.run("plan_stage", run=run.id, stage=stage.name, planned=len(keys), skipped=None)
        if keys:
            self._work_through(context, opened, stage, keys)
        self.defer(
            trigger=RunTrigger(run.account_id, run.id, workflow=self.workflow, stage=stage.name),
            method_name="resume",
        )

    def _work_through(
        self, context: Context, opened: Opened, stage: Stage[Any, Any], keys: Sequence[Key]
    ) -> None:
        last_try = is_last_try(context)
        report = asyncio.run(work_through(opened, stage, keys, self.stopper, last_try=last_try))
        self.must_go_on(report)
        with opened.store.transaction(opened.run.account_id) as tx:
            tx.run("finish_batch", run=opened.run.id, stage=stage.name, batches=1, partial=None)
        if report.waiting and not last_try:
            raise what_waits(report, last_try=False)


class WorkBatch(RunOperator):
    """One batch of one stage, all its items at once in one event loop."""

    def __init__(self, *, stage: str, batch: list[Key], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.batch = batch
        self._held: str | None = None

    def holds(self, run_id: str) -> str:
        """What the batch holds, for Airflow's list of mapped tasks: the first item's name, and how many more
        there are. ``run_id``: the DAG run's.

        Read once, before the work: a finished item is not found again. A name is no reason to fail.
        """
        if self._held is None:
            try:
                self._held = self._read_names(run_id)
            except PressroomError as error:
                self.log.warning("the batch gets no name: %s", error)
                self._held = counted(len(self.batch), "item")
        return self._held

    def _read_names(self, run_id: str) -> str:
        store = connections.store()
        row = self._row(store)
        with store.transaction(row.account_id) as tx:
            state = control.find(tx, self.dag_id, run_id)
            run = row.run(state.id if state else 0, dict(state.params) if state else {})
            stage = pipeline_of(row.workflow, self.part).stage(self.stage)
            named = [name for item in stage.load(tx, run, self.batch[:1]) if (name := stage.named(item))]
        if not named:
            return counted(len(self.batch), "item")
        more = len(self.batch) - 1
        return shorten(named[0], LABEL_CHARS) + (f" + {more} more" if more else "")

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the batch's counts. Raises TransientError when items wait for another try."""
        opened = self._opened(context)
        stage, ti = opened.stage(self.stage), context["ti"]
        self._until_it_may(opened, self._due(opened, max(0, ti.map_index or 0)))
        if stage.by_batch and isinstance(run := opened.run.workflow, Site) and run.text.batch:
            self._ask_in_batches(opened, stage)
        last_try = is_last_try(context)
        report = asyncio.run(work_through(opened, stage, self.batch, self.stopper, last_try=last_try))
        self.must_go_on(report)
        if report.stop is Stop.PAUSED:
            self._wait(opened)
        self._record(opened, stage, report, max(0, ti.map_index or 0), last_try=last_try)
        anything_done = last_try and self._anything_done(opened)
        if report.waiting and report.stop is not Stop.CANCELLED and not anything_done:
            raise what_waits(report, last_try=last_try)
        return {"processed": report.processed, "created": report.created, "failed": report.failed}

    def _ask_in_batches(self, opened: Opened, stage: Stage[Any, Any]) -> None:
        """Defer while the provider is at work on the batches of the stage. Returns when none is under way."""

        async def prepare() -> datetime | None:
            async with Toolbox(opened.store, opened.run) as box:
                return await prepare_batches(box, stage, self.batch, self.stopper)

        if asyncio.run(prepare()) is not None:
            run = opened.run
            self.defer(
                trigger=BatchTrigger(run.account_id, run.id, self.workflow, stage.name), method_name="resume"
            )

    def _anything_done(self, opened: Opened) -> bool:
        """Whether the run has finished items of this stage, at this try or before: then the others are
        failures of their own, and undo nothing.
        """
        with opened.store.transaction(opened.run.account_id) as tx:
            return bool(tx.value("stage_processed", run=opened.run.id, stage=self.stage))

    def _due(self, opened: Opened, index: int) -> datetime | None:
        """When this batch may start: ``within_stage_delay`` after the last one ended, and at least so long
        after the start of the one before it.
        """
        delay = timedelta(seconds=opened.run.workflow.pace.within_stage_delay)
        if not delay or not index:
            return None
        clock = stage_clock(opened, self.stage)
        started: datetime = clock["started_at"]
        return max(started + delay * index, (clock["last_batch"] or started) + delay)

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
            # The items of a serial stage are batches themselves: each is one call.
            batches = len(self.batch) if stage.serial else 1
            tx.run(
                "finish_batch", run=run.id, stage=stage.name, batches=batches if over else 0,
                partial=report.reason or None,
            )  # fmt: skip


class SumUpStage(RunOperator):
    """A stage without items: its summary becomes its result."""

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the numbers of the summary. Its lists, which may be long, are in the stage's result."""
        opened = self._opened(context)
        self._until_it_may(opened)
        run, stage = opened.run, opened.stage(self.stage)
        if stage.summarize is None:
            raise TypeError(f"the stage {stage.name} has no summary")
        with opened.store.transaction(run.account_id) as tx:
            summary = dict(stage.summarize(tx, run))
            tx.run("set_current_stage", run=run.id, stage=stage.name)
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=0, skipped=None)
            tx.run("finish_stage", run=run.id, stage=stage.name, output=summary)
            parts = [
                f"{name.replace('_', ' ')} {value}"
                for name, value in summary.items()
                if isinstance(value, int)
            ]
            message = f"{stage.title}: {', '.join(parts)}"
            control.event(tx, run.id, "stage_done", message, stage=stage.name, data=summary)
        return {name: value for name, value in summary.items() if isinstance(value, int)}


class PollStage(RunOperator):
    """A stage that watches a service: its trigger polls, so no worker is held, however long it takes.

    What was seen is in the database, so a restarted trigger goes on where the last one was.
    """

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> None:
        """Begins the stage, and hands over to the trigger."""
        opened = self._opened(context)
        self._until_it_may(opened)
        run, stage = opened.run, opened.stage(self.stage)
        with opened.store.transaction(run.account_id) as tx:
            tx.run("set_current_stage", run=run.id, stage=stage.name)
            tx.run("plan_stage", run=run.id, stage=stage.name, planned=1, skipped=None)
            control.event(tx, run.id, "stage_started", f"{stage.title}: begun", stage=stage.name)
        self.defer(
            trigger=PollTrigger(run.account_id, run.id, self.workflow, stage.name), method_name="finish"
        )

    def finish(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after the trigger: the last poll was made, the run was steered, or polling failed."""
        raise_failure(event)
        opened = self._opened(context)
        self._until_it_may(opened)
        run, stage = opened.run, opened.stage(self.stage)
        if event["status"] != "over":  # it was paused, and now it is not
            return self.execute(context)
        with opened.store.transaction(run.account_id) as tx:
            tx.run("add_to_stage", run=run.id, stage=stage.name, processed=1, created=0, words=0, credits=0)
            tx.run("finish_batch", run=run.id, stage=stage.name, batches=1, partial=None)
            control.event(tx, run.id, "stage_done", f"{stage.title}: done", stage=stage.name)
        return None


def stage_clock(opened: Opened, stage: str) -> Mapping[str, Any]:
    """When a stage of the run began, and when what comes before it ended."""
    with opened.store.transaction(opened.run.account_id) as tx:
        return tx.rows("stage_clock", run=opened.run.id, stage=stage)[0]


def is_last_try(context: Context) -> bool:
    """Whether Airflow will not try the task again."""
    ti = context["ti"]
    return bool(ti.try_number > ti.max_tries)


async def work_through(
    opened: Opened, stage: Stage[Any, Any], keys: Sequence[Key], stopper: Stopper, *, last_try: bool
) -> Report:
    """Work through the items that still wait, as many at once as the workflow permits in one batch."""
    run = opened.run
    async with Toolbox(opened.store, run) as box:
        return await run_batch(
            stage, run, keys, store=opened.store, tools_for=box.bound,
            concurrency=in_flight(run.workflow.pace.concurrency, stage.batch_items(run.workflow)),
            last_try=last_try, stopper=stopper,
        )  # fmt: skip


async def prepare_batches(
    box: Toolbox, stage: Stage[Any, Any], keys: Sequence[Key], stopper: Stopper
) -> datetime | None:
    """Bring the batches of these items forward. Returns when to look again; None when none is under way.

    What a server accepts is learned by an ordinary call: a refused batch would teach it a day later.
    """
    run, model = box.run, box.text_models[0]
    if not await model.takes_batches():
        return None
    if not await model.knows():
        await run_batch(
            stage, run, keys[:1], store=box.store, tools_for=box.bound, concurrency=1, stopper=stopper
        )
    items = await box.store.run(run.account_id, workable, stage, run, keys)
    try:
        return await box.batches.prepare(stage, items, box.bound)
    except (ServiceDown, OutOfMoney):
        # A fallback answers ordinary calls. What a batch is at work on would be paid for twice.
        if len(box.text_models) == 1 or await box.batches.under_way(stage.name):
            raise
        return None


def what_waits(report: Report, *, last_try: bool) -> TransientError:
    """One error for all the items that wait: the longest Retry-After, and the text of the first."""
    wait = "waits" if len(report.waiting) == 1 else "wait"
    state = "failed at the last try" if last_try else f"{wait} for another try"
    asked = [error.retry_after for error in report.waiting if error.retry_after is not None]
    return TransientError(
        f"{counted(len(report.waiting), 'item')} {state}; the first: {report.waiting[0]}",
        retry_after=max(asked) if asked else None,
    )


def in_batches(keys: Sequence[Key], size: int) -> list[list[Key]]:
    """The keys in batches of that size, or of a larger one where there would be more batches than Airflow
    maps a task to.
    """
    most = conf.getint("core", "max_map_length", fallback=1024)
    size = max(size, math.ceil(len(keys) / most))
    return [list(keys[at : at + size]) for at in range(0, len(keys), size)]


def in_flight(concurrency: int, batch_items: int) -> int:
    """Items in work at once within one batch, so that all batches together keep to the workflow's bound."""
    return max(1, concurrency // parallel_batches(concurrency, batch_items))


def parallel_batches(concurrency: int, batch_items: int) -> int:
    """Batches in work at once: as few as can fill the workflow's concurrency."""
    return max(1, math.ceil(concurrency / batch_items))


class AnnounceApproved(RunOperator):
    """Succeeds, and so has an event for the asset of approved articles, when there are any to publish."""

    def execute(self, context: Context) -> None:
        """Skipped, and no event, when there are none."""
        opened = self._opened(context)
        self._until_it_may(opened)
        with opened.store.transaction(opened.run.account_id) as tx:
            if not anything_to_publish(tx, opened.run):
                raise AirflowSkipException("no approved article waits for a target")
