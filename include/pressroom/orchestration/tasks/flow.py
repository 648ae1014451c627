"""The tasks of a flow: one chain of steps for each item, so that no item waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.domain.flows import AnyStep, GateStep
from pressroom.engine import places
from pressroom.engine.places import ItemPlace
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report, Stop, run_batch
from pressroom.orchestration.tasks.run_operator import Opened, RunOperator, clears, dag_run_id
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.flow.items import FlowItem, load_items
from pressroom.store.database import Tx

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class ItemsOfRun(RunOperator):
    """Lists the run's items: ids, never content."""

    def execute(self, context: Context) -> list[int]:
        """Returns the ids; an empty list skips the chain."""
        opened = self._opened(context)
        self._until_it_may(opened)
        with opened.store.transaction(opened.run.account_id) as tx:
            # Who clears the whole run wants what is left to be done, not what is done to be done again.
            places.hear_clear(tx, opened.run, clears(context))
            ids: list[int] = tx.values("flow_items_of_run", run=opened.run.id)
            return ids


class OfItem(RunOperator):
    """A task of one item, at one step.

    Airflow runs a live DAG run with the newest version of its DAG, while the run goes on by the steps that it
    began with. So each task looks first whether it is one of these steps, of the same type.
    """

    template_fields: Sequence[str] = ("item",)

    def __init__(self, *, stage: str, item: Any, **kwargs: Any) -> None:
        super().__init__(map_index_template="{{ item_title }}", **kwargs)
        self.stage = stage
        self.item = item

    def _fits(self, step: AnyStep) -> bool:
        """Whether this task can do that step's work."""
        raise NotImplementedError

    def _arrived(self, context: Context, opened: Opened, *, with_answer: bool = False) -> FlowItem:
        """The item, which must be at this step. Raises AirflowSkipException when it is not.

        An item that is further comes back when a person cleared this task. ``with_answer``: an answer came
        for the item; one that finds it at another step stops it.
        """
        run, item_id = opened.run, int(self.item)
        step = next((step for step in run.flow.steps if step.name == self.stage), None)
        with opened.store.transaction(run.account_id) as tx:
            place = places.place_of(tx, run, item_id, self.stage)
            # Airflow shows it in place of the map index.
            context["item_title"] = place.title  # type: ignore[typeddict-unknown-key]
            why = None
            if step is None:
                why = f"the run began without the step {self.stage}: it was added later, for the next run"
            elif not self._fits(step):
                why = f"the step {self.stage} was changed to another type while the run was on"
                if place.step == self.stage:
                    places.stop(tx, run, place, why)
            else:
                why = self._meet(context, opened, tx, place)
            found = [] if why else load_items(tx, run, self.stage, [item_id])
            if with_answer and not found and not place.passed and not why:
                why = f"an answer came for {self.stage} while the item was at {place.step}"
                places.stop(tx, run, place, why)
        if found:
            return found[0]
        raise AirflowSkipException(why or f"{place.title} is not at {self.stage}")

    def _meet(self, context: Context, opened: Opened, tx: Tx, place: ItemPlace) -> str | None:
        """Take the item back to this step if a person cleared the task for that. Returns why it is not."""
        clear, ti = clears(context), context["ti"]
        # A clear gives a task that ran before as many tries again; a retry leaves the number as it is.
        if ti.max_tries <= (self.retries or 0) or not places.is_new_clear(place, clear):
            if place.heard_clears is None:
                places.hear_clear(tx, opened.run, clear, place.id)
            return None
        at_it = place.step == self.stage and place.status in ("active", "failed")
        if at_it and place.status == "active":
            places.hear_clear(tx, opened.run, clear, place.id)
            return None
        if place.passed and not at_it and self._is_alone(context):
            why = (
                f"{place.title} went through {self.stage} before: clear the task with all that is downstream,"
                " so that what follows is done again too"
            )
            control.event(tx, opened.run.id, "step_not_repeated", why, stage=self.stage, level="warning")
            return why
        places.take_back(tx, opened.run, place, self.stage, clear)
        return None

    def _is_alone(self, context: Context) -> bool:
        """Whether the item's next task is over, and so was not cleared with this one."""
        group = self.task_id.removesuffix(self.stage)
        following = [name for name in self.downstream_task_ids if group and name.startswith(group)]
        if not following:
            return False
        run_id, ti = dag_run_id(context), context["ti"]
        states = ti.get_task_states(
            dag_id=self.dag_id, run_ids=[run_id], task_ids=following, map_index=ti.map_index
        )
        return any(state in OVER for state in states.get(run_id, {}).values())

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after a person's answer at a gate, which this task was until its step was edited."""
        return self.answered(context, event)

    def answered(self, context: Context, event: dict[str, Any]) -> Any:
        """Resume after an answer at a gate. What is no gate looks at its item, and stops it."""
        return self.execute(context)


class ItemStep(OfItem):
    """One step of one item. Does nothing when the item is at another step, or finished."""

    def _fits(self, step: AnyStep) -> bool:
        return not isinstance(step, GateStep)

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts. Raises TransientError for another try."""
        opened = self._opened(context)
        self._until_it_may(opened)
        item, ti = self._arrived(context, opened).id, context["ti"]
        stage = opened.stage(self.stage)
        with opened.store.transaction(opened.run.account_id) as tx:
            tx.run("stage_begun", run=opened.run.id, stage=stage.name)
        last_try = ti.try_number > ti.max_tries

        async def work() -> Report:
            async with Toolbox(opened.store, opened.run) as box:
                return await run_batch(
                    stage, opened.run, [item], store=opened.store, tools_for=box.bound, concurrency=1,
                    last_try=last_try, stopper=self.stopper,
                )  # fmt: skip

        report = asyncio.run(work())
        self.must_go_on(report)
        if report.stop is Stop.PAUSED:
            self._wait(opened)
        with opened.store.transaction(opened.run.account_id) as tx:
            tx.run(
                "finish_batch", run=opened.run.id, stage=stage.name, batches=0, partial=report.reason or None
            )
        if report.waiting and report.stop is not Stop.CANCELLED and not last_try:
            raise report.waiting[0]
        return {"done": report.done, "failed": report.failed}
