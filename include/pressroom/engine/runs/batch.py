"""``run_batch``: what all stages share when they work through a batch of items.

Control is checked before each item; items run concurrently up to a bound; what is finished is saved in
groups, each group one transaction with its charges and events; an item's error is handled by its class.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pressroom.domain.errors import (
    AlreadyDone,
    BudgetError,
    ConfigurationError,
    PermanentError,
    RequestRefused,
    RunConflict,
    TransientError,
)
from pressroom.domain.run import CAP, Run
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import Caps, CostScope
from pressroom.engine.runs import control
from pressroom.engine.runs.control import Level
from pressroom.engine.runs.refusals import Refusals, RefusedItem, as_setup_error
from pressroom.engine.runs.stopping import CutOff, Stopper
from pressroom.pipelines.stage import Key, Saved, Stage, waiting
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

log = logging.getLogger(__name__)

SAVE_TOGETHER = 50
"""Finished items that one transaction saves at most."""
WATCH_SECONDS = 1.0
"""How often a batch at work looks whether it is to stop at once."""


class Stop(StrEnum):
    """Why a batch ended before its last item."""

    PAUSED = "paused"
    CANCELLED = "cancelled"
    KILLED = "killed"
    BUDGET = "budget"


@dataclass
class Report:
    """What became of a batch. Counts are items, but for ``processed``, ``created`` and ``credits``."""

    done: int = 0
    processed: int = 0
    created: int = 0
    words: int = 0
    credits: Decimal = Decimal(0)
    failed: int = 0
    stop: Stop | None = None
    reason: str = ""
    waiting: list[TransientError] = field(default_factory=list)
    """One error for each item that may succeed on another try."""


@dataclass
class _Finished:
    item: Any
    output: Any
    scope: CostScope
    credits: Decimal
    saved: asyncio.Future[Saved]


async def run_batch(
    stage: Stage[Any, Any],
    run: Run,
    keys: Sequence[Key],
    *,
    store: Store,
    tools_for: Callable[[CostScope], Tools],
    concurrency: int,
    last_try: bool = False,
    stopper: Stopper | None = None,
) -> Report:
    """Work through the items behind ``keys`` that still wait.

    Calls in flight are cut off when the run is cancelled at once, when it is no longer live, and by
    ``stopper``. Their items wait, and what the calls may have cost is booked.

    ``last_try``: transient errors are recorded as failures, like permanent ones. Raises RunConflict at once,
    and TransientError when the store is away. Raises ConfigurationError, and any unexpected exception, after
    the other items are done; items that share the wrong set-up stay waiting, and none of them counts an
    attempt. An item's own error raises nothing.
    """
    batch = _Batch(stage, run, store, tools_for, last_try=last_try, stopper=stopper or Stopper())
    return await batch.work(list(keys), 1 if stage.serial else max(1, concurrency))


def workable(tx: Tx, stage: Stage[Any, Any], run: Run, keys: Sequence[Key]) -> list[Any]:
    """The items behind the keys that still wait, without those that failed since the run was last opened."""
    failed = set(tx.values("failed_since_opened", run=run.id, stage=stage.name))
    return [item for item in stage.load(tx, run, keys) if stage.key(item) not in failed]


def ready(tx: Tx, stage: Stage[Any, Any], run: Run) -> list[Key]:
    """The items that the stage can work through now."""
    keys = waiting(stage.pending(tx, run))
    return list(keys) if workable(tx, stage, run, keys) else []


class _Batch:
    def __init__(
        self,
        stage: Stage[Any, Any],
        run: Run,
        store: Store,
        tools_for: Callable[[CostScope], Tools],
        *,
        last_try: bool,
        stopper: Stopper,
    ) -> None:
        self.stage, self.run, self.store, self.tools_for = stage, run, store, tools_for
        self.last_try = last_try
        self.stopper = stopper
        self.report = Report()
        self.fatal: Exception | None = None
        self.misconfigured: dict[str, ConfigurationError] = {}
        """The first error of each part of the set-up, by ``Stage.setup_of``."""
        self.refusals = Refusals(stage)
        self.suspected: set[str] = set()
        """Parts of the set-up with which several items were refused in the same words."""
        self.passed_over: deque[Any] = deque()
        self.defect: Exception | None = None
        self.finished: deque[_Finished] = deque()
        self.wake = asyncio.Event()
        self.renewed = 0.0

    async def work(self, keys: list[Key], concurrency: int) -> Report:
        saver = asyncio.create_task(self._save_finished())
        watcher = asyncio.create_task(self._watch())
        try:
            if self.stage.serial:
                # An item depends on what the one before it saved, so each is loaded at its turn.
                for key in keys:
                    await self._drain(deque(await self._load([key])))
            else:
                queue = deque(await self._load(keys))
                await asyncio.gather(*(self._drain(queue) for _ in range(min(concurrency, len(queue)))))
                if self.report.done and self.passed_over:
                    # An item that was in work got through, so the set-up is not what the others suffer from.
                    self.suspected.clear()
                    await asyncio.gather(*(self._drain(self.passed_over) for _ in range(concurrency)))
            await self._settle_refused()
        finally:
            saver.cancel()
            watcher.cancel()
        if error := self.fatal or next(iter(self.misconfigured.values()), self.defect):
            raise error
        return self.report

    async def _load(self, keys: list[Key]) -> list[Any]:
        return [] if self._over() else await self.store.run(self.run.account_id, self._loaded, keys)

    def _loaded(self, tx: Tx, keys: list[Key]) -> list[Any]:
        return workable(tx, self.stage, self.run, keys)

    async def _drain(self, queue: deque[Any]) -> None:
        while queue and await self._may_go_on() and queue:
            item = queue.popleft()
            setup = self.stage.setup_of(item)
            if setup in self.suspected and not self.report.done:
                self.passed_over.append(item)
            elif setup not in self.misconfigured:
                await self._one(item)

    def _over(self) -> bool:
        if self.stopper.stopped and self.report.stop is None:
            self.report.stop, self.report.reason = Stop.KILLED, self.stopper.why
        return self.report.stop is not None or self.fatal is not None

    async def _may_go_on(self) -> bool:
        """The control check: whether the run is live, not paused and not cancelled."""
        if self._over():
            return False
        state = await self.store.run(self.run.account_id, self._renewed)
        self._heed(state)
        return not self._over()

    def _heed(self, state: control.RunState) -> None:
        """Stop when the run is paused, cancelled or no longer live."""
        if self._over():
            return
        if not state.live:
            self.fatal = state.over()
        elif state.cancel_requested:
            self.report.stop, self.report.reason = Stop.CANCELLED, str(Stop.CANCELLED)
        elif state.paused:
            self.report.stop, self.report.reason = Stop.PAUSED, str(Stop.PAUSED)

    async def _watch(self) -> None:
        """Cut off the calls in flight when they are not to be waited for."""
        while not self.stopper.stopped:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                state = await self.store.run(self.run.account_id, control.get, self.run.id)
            except TransientError as error:
                log.warning("%s; looking again", error)
                continue
            # A stop that lets calls finish is heeded before the next item: without one, nothing was stopped.
            if state.cancel_now or not state.live:
                self._heed(state)
                self.stopper.stop()

    def _renewed(self, tx: Tx) -> control.RunState:
        """The run's state; its lease is renewed when that is due."""
        if time.monotonic() - self.renewed > control.RENEW_EVERY.total_seconds():
            control.renew(tx, self.run.id)
            self.renewed = time.monotonic()
        return control.get(tx, self.run.id)

    async def _one(self, item: Any) -> None:
        credits = self.stage.charge(self.run, item)
        scope = CostScope(
            account_id=self.run.account_id, workflow_id=self.run.workflow_id, run_id=self.run.id,
            stage=self.stage.name, item=self.stage.key(item), caps=caps_of(self.run),
        )  # fmt: skip
        try:
            if credits:
                await self.store.run(scope.account_id, ledger.reserve, scope, credits)
            output = await self.stopper.through(self.stage.process(item, self.tools_for(scope)))
            entry = _Finished(item, output, scope, credits, asyncio.get_running_loop().create_future())
            self.finished.append(entry)
            self.wake.set()
            saved = await entry.saved
        except BudgetError as error:
            await self._stop_spending(scope, error)
        except (ConfigurationError, RunConflict, CutOff) as error:
            await self._hold_back(item, scope, error)
        except TransientError as error:
            await self._try_again(item, scope, error)
        except AlreadyDone as error:
            log.info("%s: %s", scope.stage, error)
            await self._release(scope)
        except RequestRefused as error:
            await self._set_aside(item, scope, error)
        except PermanentError as error:
            await self._record_failure(item, scope, error)
        except Exception as error:  # a defect: the other items go on, the task fails at the end
            log.exception("%s %s broke", self.stage.name, scope.item)
            self.defect = self.defect or error
            await self._record_failure(item, scope, error)
        else:
            self.report.done += 1
            self.report.processed += self.stage.size(item)
            self.report.created += saved.created
            self.report.words += saved.words
            self.report.credits += credits

    async def _try_again(self, item: Any, scope: CostScope, error: TransientError) -> None:
        if self.last_try:
            await self._record_failure(item, scope, error)
        else:
            await self._note(scope, "item_waits", f"{scope.item} will be tried again: {error}")
        self.report.waiting.append(error)

    async def _set_aside(self, item: Any, scope: CostScope, error: RequestRefused) -> None:
        await self._release(scope)
        if self.refusals.add(RefusedItem(item, scope, error)) and not self.report.done:
            self.suspected.add(self.stage.setup_of(item))

    async def _settle_refused(self) -> None:
        """Record the refused items as failures, unless the set-up is wrong or the batch was stopped."""
        if self._over():
            return
        if not self.report.done:
            common = self.refusals.common()
            if common is not None:
                self.suspected.add(self.stage.setup_of(common.item))
            for setup in self.suspected:
                alike = self.refusals.of_setup(setup)
                await self._hold_back(alike[0].item, alike[0].scope, as_setup_error(alike[0], len(alike)))
        for refused in self.refusals.aside:
            if self.stage.setup_of(refused.item) not in self.misconfigured:
                await self._record_failure(refused.item, refused.scope, refused.error)

    async def _save_finished(self) -> None:
        """Save whatever is finished at the moment, up to SAVE_TOGETHER items in one transaction."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.finished:
                group = [self.finished.popleft() for _ in range(min(SAVE_TOGETHER, len(self.finished)))]
                try:
                    results = await self.store.run(self.run.account_id, self._commit, group)
                except Exception as error:  # noqa: BLE001  # raised where the item is awaited
                    if len(group) == 1:
                        group[0].saved.set_exception(error)
                        continue
                    # One bad item must not fail the rest of its group: save each on its own.
                    for entry in group:
                        try:
                            [saved] = await self.store.run(self.run.account_id, self._commit, [entry])
                            entry.saved.set_result(saved)
                        except Exception as item_error:  # noqa: BLE001  # likewise
                            entry.saved.set_exception(item_error)
                    continue
                for entry, saved in zip(group, results, strict=True):
                    entry.saved.set_result(saved)

    def _commit(self, tx: Tx, group: Sequence[_Finished]) -> list[Saved]:
        """Save the outputs, status changes, charges, counts and events of the group, in one transaction.

        Raises RunConflict when the run has ended meanwhile: nothing is finished or charged after its end. An
        answer of a model is in the cache, so who takes the item up later does not pay for it again.
        """
        tx.run("lock_run", run=self.run.id)
        control.get(tx, self.run.id).must_be_live()
        results = [self.stage.save(tx, self.run, entry.item, entry.output) for entry in group]
        for entry, saved in zip(group, results, strict=True):
            item = entry.scope.item
            tx.run("clear_item_failure", workflow=self.run.workflow_id, stage=self.stage.name, item=item)
            data = {"item": item, "created": saved.created, "credits": entry.credits}
            control.event(tx, self.run.id, "item_done", saved.label or item, stage=self.stage.name, data=data)
        tx.run(
            "add_to_stage", run=self.run.id, stage=self.stage.name,
            processed=sum(self.stage.size(entry.item) for entry in group),
            created=sum(saved.created for saved in results), words=sum(saved.words for saved in results),
            credits=sum(entry.credits for entry in group),
        )  # fmt: skip
        # The first charge locks the account's row, so the charges come last.
        for entry in group:
            ledger.settle(tx, entry.scope, entry.credits)
        return results

    async def _hold_back(
        self, item: Any, scope: CostScope, error: ConfigurationError | RunConflict | CutOff
    ) -> None:
        """Leave the item waiting: it was stopped, the lock is lost, or the set-up it shares is wrong.

        A stage that bears a wrong set-up fails the item instead.
        """
        setup = self.stage.setup_of(item)
        match error:
            case ConfigurationError() if self.stage.bears_setup:
                await self._record_failure(item, scope, error)
            case ConfigurationError() if setup not in self.misconfigured:
                self.misconfigured[setup] = error
                message = f"{scope.item} waits, because the set-up is wrong: {error}"
                await self._note(scope, "setup_wrong", message, level="error")
            case CutOff() if self.fatal is None:
                await self._note(scope, "item_stopped", f"{scope.item} was stopped, and waits")
            case _:  # the log of the run has the reason, by another item or by its end
                if isinstance(error, RunConflict):
                    self.fatal = self.fatal or error
                await self._release(scope)

    async def _stop_spending(self, scope: CostScope, error: BudgetError) -> None:
        await self._release(scope)
        if self.report.stop is None:
            self.report.stop, self.report.reason = Stop.BUDGET, str(error)
            await self._note(scope, "budget_reached", str(error), level="warning")

    async def _release(self, scope: CostScope) -> None:
        await self.store.run(scope.account_id, ledger.release, scope)

    async def _note(self, scope: CostScope, kind: str, message: str, level: Level = "warning") -> None:
        def write(tx: Tx) -> None:
            control.event(
                tx, scope.run_id, kind, message, stage=scope.stage, level=level, data={"item": scope.item}
            )
            ledger.release(tx, scope)  # after the event: all transactions lock the run, then the account

        await self.store.run(scope.account_id, write)

    async def _record_failure(self, item: Any, scope: CostScope, error: Exception) -> None:
        """Release the reservation, and record the error for the operator and for the next plan."""
        self.report.failed += 1

        def write(tx: Tx) -> None:
            control.record_item_failure(tx, scope, error)
            if self.stage.failed is not None:
                self.stage.failed(tx, self.run, item, error)
            ledger.release(tx, scope)

        try:
            await self.store.run(scope.account_id, write)
        except AlreadyDone as already:  # another worker finished the item, so this failure does not count
            log.info("%s: %s", scope.stage, already)
            self.report.failed -= 1
            await self._release(scope)


def caps_of(run: Run) -> Caps:
    """The caps of a run, in cents: the lower of its own and its workflow's, and its account's."""
    asked = run.params.get(CAP)
    own = [
        cap
        for cap in (run.workflow.caps.run_cents, None if asked is None else Decimal(str(asked)))
        if cap is not None
    ]
    return Caps(
        run=min(own) if own else None,
        workflow_month=run.workflow.caps.month_cents,
        workflow_total=run.workflow.total_cents,
        account_month=run.account.caps.month_cents,
        account_total=run.account.caps.total_cents,
    )
