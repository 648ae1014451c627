"""The triggers behind every wait of a run: pauses, delays, reviews and polls hold no worker slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from pressroom.domain.definitions import Site
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.social import Clock
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import ready
from pressroom.orchestration.tasks.watch import POLL_SECONDS, Question, ask
from pressroom.orchestration.tools import connections
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.registry import pipeline_of
from pressroom.pipelines.stage import Stage
from pressroom.store import frozen
from pressroom.store.database import SYSTEM, Store
from pressroom.store.workflows import workflow

CANCEL_SECONDS = 60.0
"""How long a run that stops waits for the provider to have cancelled its batches."""
PATIENCE_SECONDS = 300.0
"""How long polls may fail in a row before the trigger fires; the task then retries like any other."""


def raise_failure(event: Mapping[str, Any]) -> None:
    """Raise the error for which a trigger fired, if there was one."""
    if "error" in event:
        raise (ConfigurationError if event["setup"] else PermanentError)(str(event["error"]))


class _Waiting(BaseTrigger):
    """Fires once, with an event for the task. The event carries a PermanentError, which the task raises."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            event = await self._event(await connections.triggerer_store())
        except PermanentError as error:
            event = {"error": str(error), "setup": isinstance(error, ConfigurationError)}
        yield TriggerEvent(event)

    async def _event(self, store: Store) -> dict[str, Any]:
        raise NotImplementedError


class RunTrigger(_Waiting):
    """Fires when the run may go on: not paused, ``until`` (ISO 8601, optional) has come, ``stage`` waits no
    more or has items that are ready.

    It fires too when the run is cancelled or no longer live, so that what waits can end. While it waits it
    renews the run's lease: a run that is only waiting is not a dead one. ``workflow`` (``kind/slug``) is
    given with ``stage``, to ask what that stage still waits for.
    """

    def __init__(
        self,
        account_id: int,
        run_id: int,
        until: str | None = None,
        workflow: str | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__()
        self.account_id = account_id
        self.run_id = run_id
        self.until = until
        self.workflow = workflow
        self.stage = stage
        self._next_look: datetime | None = None
        self._watched: tuple[Run, Stage[Any, Any]] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        values = {
            "account_id": self.account_id, "run_id": self.run_id, "until": self.until,
            "workflow": self.workflow, "stage": self.stage,
        }  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", values

    async def _event(self, store: Store) -> dict[str, Any]:
        """Poll the run's row."""
        due = datetime.fromisoformat(self.until) if self.until else None
        watching = self.stage is not None
        while True:
            try:
                state = (await ask(store, Question(self.run_id))).run
                waits = state.paused or (due is not None and datetime.now(UTC) < due)
                if not ended(state) and not waits and self.stage is not None:
                    waits = await self._stage_waits(store)
                    watching = watching and waits and await self._look_meanwhile(store)
            except TransientError as error:
                self.log.warning("%s; looking again", error)
            else:
                if ended(state) or not waits:
                    return {"status": state.status}

    async def _stage_waits(self, store: Store) -> bool:
        """Whether people are waited for, and nothing that they have let through is ready meanwhile."""
        run, stage = await self._waiting(store)
        wait = None
        if stage.waits_for is not None:
            wait = await store.run(self.account_id, stage.waits_for, run)
        if wait is None or await (await _toolbox(store, run)).clock.now() >= wait.until:
            return False
        return not await store.run(self.account_id, ready, stage, run)

    async def _look_meanwhile(self, store: Store) -> bool:
        """Take the look that is due while people decide. Returns whether there will be another one.

        What goes wrong with it stops no stage: the stage that is there for it looks again.
        """
        run, stage = await self._waiting(store)
        if stage.meanwhile is None:
            return False
        async with await _toolbox(store, run) as box:
            if self._next_look is not None and await box.clock.now() < self._next_look:
                return True
            scope = CostScope(run.account_id, run.workflow_id, run.id, stage.name, "meanwhile")
            try:
                self._next_look = await stage.meanwhile(store, run, box.bound(scope))
            except PressroomError as error:
                self.log.warning("%s; the next stage looks again", error)
                self._next_look = None
        return self._next_look is not None

    async def _waiting(self, store: Store) -> tuple[Run, Stage[Any, Any]]:
        """The run and the stage. Read once: a run goes by the definitions that it began with."""
        if self._watched is None:
            self._watched = await _subject(store, str(self.workflow), self.run_id, self.stage)
        return self._watched


class _AtStage(_Waiting):
    """Waits at a stage of a run. ``workflow``: ``kind/slug``."""

    def __init__(self, account_id: int, run_id: int, workflow: str, stage: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.run_id = run_id
        self.workflow = workflow
        self.stage = stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        values = {
            "account_id": self.account_id, "run_id": self.run_id, "workflow": self.workflow,
            "stage": self.stage,
        }  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", values


class PollTrigger(_AtStage):
    """Looks at the outside whenever the stage says it is due, and fires when it says that it is over.

    It fires too when the run is paused, cancelled or no longer live (the task then decides), and when the
    outside cannot be looked at. When a look is due is read from the stage itself, so nothing is lost with a
    triggerer.
    """

    async def _event(self, store: Store) -> dict[str, Any]:
        """Poll until the stage says that it is over."""
        failing_since: float | None = None
        while True:
            try:
                return await self._watch(store)
            except TransientError as error:
                loop_time = asyncio.get_running_loop().time()
                failing_since = failing_since if failing_since is not None else loop_time
                if loop_time - failing_since > PATIENCE_SECONDS:
                    return {"status": "again"}
                self.log.warning("%s; looking again", error)
                await asyncio.sleep(min(60.0, error.retry_after or POLL_SECONDS))

    async def _watch(self, store: Store) -> dict[str, Any]:
        run, stage = await _subject(store, self.workflow, self.run_id, self.stage)
        if stage.poll is None:
            raise TypeError(f"the stage {stage.name} has nothing to poll")
        async with await _toolbox(store, run) as box:
            scope = CostScope(run.account_id, run.workflow_id, run.id, stage.name, "poll")
            while True:
                state = (await ask(store, Question(self.run_id))).run
                if ended(state) or state.paused:
                    return {"status": state.status}
                due = await stage.poll(store, run, box.bound(scope))
                if due is None:
                    return {"status": "over"}
                steered = await self._until(store, box.clock, due)
                if steered is not None:
                    return {"status": steered}

    async def _until(self, store: Store, clock: Clock, due: datetime) -> str | None:
        """Wait; the status of a run that is not to go on cuts it short."""
        while await clock.now() < due:
            state = (await ask(store, Question(self.run_id))).run
            if ended(state) or state.paused:
                return state.status
        return None


class BatchTrigger(_AtStage):
    """Fires when one of the stage's batches at the provider has ended, or is to be looked for.

    When the run is paused or cancelled it has the provider cancel them first, and waits a moment for that.
    """

    async def _event(self, store: Store) -> dict[str, Any]:
        """Look at the run often, and at the batches when it is due."""
        run, _ = await _subject(store, self.workflow, self.run_id, self.stage)
        async with await _toolbox(store, run) as box:
            due: datetime | None = datetime.now(UTC)
            while due is not None:
                try:
                    state = (await ask(store, Question(self.run_id))).run
                    if ended(state) or state.paused:
                        return await self._stopped(store, box, state)
                    if datetime.now(UTC) >= due:
                        due = await box.batches.working(self.stage)
                except TransientError as error:
                    self.log.warning("%s; looking again", error)
        return {"status": "over"}

    async def _stopped(self, store: Store, box: Toolbox, state: control.RunState) -> dict[str, Any]:
        until = asyncio.get_running_loop().time() + CANCEL_SECONDS
        while not await box.stop_batches() and asyncio.get_running_loop().time() < until:
            await ask(store, Question(self.run_id))  # some seconds later
        return {"status": state.status}


class GateTrigger(_Waiting):
    """Fires when an item's gate has its outcome, or when the run is not to go on."""

    def __init__(self, account_id: int, run_id: int, item_id: int, step: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.run_id = run_id
        self.item_id = item_id
        self.step = step

    def serialize(self) -> tuple[str, dict[str, Any]]:
        values = {
            "account_id": self.account_id,
            "run_id": self.run_id,
            "item_id": self.item_id,
            "step": self.step,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", values

    async def _event(self, store: Store) -> dict[str, Any]:
        """Poll the gate's row."""
        while True:
            try:
                seen = await ask(store, Question(self.run_id, self.item_id, self.step))
            except TransientError as error:
                self.log.warning("%s; looking again", error)
            else:
                if ended(seen.run) or seen.outcome is not None:
                    return {"outcome": seen.outcome}


def ended(state: control.RunState) -> bool:
    """Whether the run has ended or was cancelled, so that waiting for it is pointless."""
    return not state.live or state.cancel_requested


async def _toolbox(store: Store, run: Run) -> Toolbox:
    """The run's tools, as far as watching needs them: a mission's scheduler and its clock."""
    workflow = run.workflow
    needed = [workflow.connection] if isinstance(workflow, Mission) else []
    if isinstance(workflow, Site) and workflow.text.batch:
        needed = await connections.with_fallbacks(workflow.text.connection)
    return Toolbox(store, run, await connections.of_triggerer(needed))


async def _subject(store: Store, name: str, run_id: int, stage: str | None) -> tuple[Run, Stage[Any, Any]]:
    today = await store.run(SYSTEM, workflow, name)
    state = await store.run(today.account_id, control.get, run_id)
    row = await store.run(today.account_id, frozen.row_of, today, run_id)
    return row.run(run_id, dict(state.params)), pipeline_of(row.workflow).stage(str(stage))
