"""When the task that undoes a run has something to do, and what taking a run up again for it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from pressroom.domain.definitions import Account
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.engine.runs import control, rollback
from pressroom.engine.runs.control import RunEnd
from pressroom.orchestration.tasks import run as run_tasks
from pressroom.orchestration.tasks.run import OpenRun, RollBack
from pressroom.orchestration.tasks.run_operator import Opened
from pressroom.orchestration.tools import connections
from pressroom.store.workflows import WorkflowRow

STATE = SimpleNamespace(id=7, account_id=1, params={})


class StandInStore:
    """Opens transactions of nothing."""

    @contextmanager
    def transaction(self, account: int = -1) -> Iterator[None]:
        yield None


class Undoing:
    """A mission's run in a DAG run whose tasks have these states. ``undone``: the calls of ``roll_back``."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        *,
        on: bool,
        by: str | None,
        failed: bool,
        marked: str | None = None,
    ) -> None:
        mission = Mission.model_validate(
            {"account": "acme", "slug": "launch", "name": "L", "objectives": ["x"], "platforms": ["twitter"],
             "rollback": on}
        )  # fmt: skip
        run = Run(
            account=Account(slug="acme", name="Acme"), workflow=mission, brand=None, id=7, account_id=1,
            workflow_id=2, params={},
        )  # fmt: skip
        today = WorkflowRow(1, 2, run.account, mission, None)
        opened: Any = Opened(StandInStore(), run, STATE, today)  # type: ignore[arg-type]
        states = {"content.work": "failed" if failed else "success", "optimize.plan": "upstream_failed"}
        ti = SimpleNamespace(get_task_states=lambda dag_id, run_ids: {"r": states})
        self.context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_id="r")}
        self.undone: list[dict[str, Any]] = []
        patch.setattr(RollBack, "_opened", lambda *_: opened)
        patch.setattr(control, "rollback_requested_by", lambda *_: by)
        patch.setattr(control, "reason_of", lambda *_: "content: no room")
        patch.setattr(control, "end_of", lambda *_: RunEnd("running", None, marked))
        patch.setattr(rollback, "roll_back", self._roll_back)

    async def _roll_back(self, *_: object, **facts: Any) -> dict[str, Any]:
        self.undone.append(facts)
        return {"stages": []}

    def execute(self) -> Any:
        return RollBack(task_id="rollback", workflow="mission/launch").execute(self.context)


@pytest.mark.parametrize(
    ("on", "by", "failed", "why"),
    [
        (True, None, False, "the run has not failed"),
        (False, None, False, "the run has not failed"),
        (False, None, True, "the run failed, and the mission does not roll back"),
    ],
)
def test_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, on: bool, by: str | None, failed: bool, why: str
) -> None:
    undoing = Undoing(monkeypatch, on=on, by=by, failed=failed)
    with pytest.raises(AirflowSkipException, match=f"^{why}$"):
        undoing.execute()
    assert undoing.undone == []


@pytest.mark.parametrize(
    ("on", "by", "failed", "on_request"),
    [
        (True, None, True, False),
        (True, "ann", False, True),
        (False, "ann", False, True),
        (False, "ann", True, False),
        (True, "ann", True, False),
    ],
)
def test_it_undoes_what_broke_and_what_somebody_wants_undone(
    monkeypatch: pytest.MonkeyPatch, on: bool, by: str | None, failed: bool, on_request: bool
) -> None:
    undoing = Undoing(monkeypatch, on=on, by=by, failed=failed)
    assert undoing.execute() == {"stages": []}
    # Whatever had failed stays a failure: only what went well counts as cancelled when it is undone.
    assert undoing.undone == [{"on_request": on_request}]


@pytest.mark.parametrize(("marked", "undone"), [("failed", True), ("success", False)])
def test_a_run_that_is_marked_as_failed_is_undone_though_none_of_its_tasks_failed(
    monkeypatch: pytest.MonkeyPatch, marked: str, undone: bool
) -> None:
    undoing = Undoing(monkeypatch, on=True, by=None, failed=False, marked=marked)
    with nullcontext() if undone else pytest.raises(AirflowSkipException):
        undoing.execute()
    assert undoing.undone == ([{"on_request": False}] if undone else [])


@pytest.mark.parametrize(("by", "estimate"), [("ann", Decimal(0)), (None, Decimal(30))])
def test_a_run_that_is_taken_up_to_be_undone_needs_no_credits(
    monkeypatch: pytest.MonkeyPatch, by: str | None, estimate: Decimal
) -> None:
    undoing = Undoing(monkeypatch, on=False, by=by, failed=False)
    opened: list[Decimal] = []

    def open_run(_: object, **facts: Any) -> Any:
        opened.append(facts["estimate"])
        return STATE

    pipeline = SimpleNamespace(estimate=lambda *_: SimpleNamespace(total=Decimal(30)), exclusive=True)
    workflow = SimpleNamespace(status="active", kind="Mission", slug="launch")
    run = SimpleNamespace(account_id=1)
    row = SimpleNamespace(
        workflow=workflow, account_id=1, workflow_id=2, run=lambda *_, **__: run, definition={}
    )

    async def now() -> None:
        return None

    monkeypatch.setattr(connections, "store", StandInStore)
    monkeypatch.setattr(OpenRun, "_row", lambda *_: row)
    monkeypatch.setattr(run_tasks, "pipeline_of", lambda *_: pipeline)
    clock = SimpleNamespace(clock=SimpleNamespace(now=now))

    def verified(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(run_tasks, "verified", verified)
    monkeypatch.setattr(run_tasks, "Toolbox", lambda *_: clock)
    monkeypatch.setattr(control, "find", lambda *_: STATE)
    monkeypatch.setattr(control, "lock_holder", lambda *_: None)
    monkeypatch.setattr(control, "begun", lambda *_: True)
    monkeypatch.setattr(control, "open_run", open_run)
    dag_run = SimpleNamespace(run_id="r", run_type="manual", conf={}, triggering_user_name="ann")
    context: Any = {**undoing.context, "params": {}, "dag_run": dag_run}
    OpenRun(task_id="open_run", workflow="mission/launch").execute(context)
    assert opened == [estimate]
