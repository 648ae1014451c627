"""What is pressed."""

from __future__ import annotations

import contextlib
from typing import Any

from pressroom.domain.errors import RunConflict
from tests.acceptance.newsroom import apply_documents
from tests.acceptance.walk import shapes
from tests.acceptance.walk.watched import Watched, WrongEnd


class Buttons(Watched):
    """``press_<button>`` for each button of the table, with the DAG run that it is for."""

    cleared: str | None = None
    """The status that a cleared run had: it does not count as an end."""
    file = ""
    """How Airflow names the file of the DAG."""

    def press_button(self, button: str, run: str) -> None:
        getattr(self, f"press_{button}")(run)

    def press_mark_failed(self, run: str) -> None:
        self.press(lambda: self.api.mark(self.dag_id, run, "failed"))

    def press_mark_success(self, run: str) -> None:
        self.press(lambda: self.api.mark(self.dag_id, run, "success"))

    def press_fail_task(self, run: str) -> None:
        task, index = self.in_hand(run)
        self.press(lambda: self.api.mark_task(self.dag_id, run, task, "failed", index))

    def press_pass_task(self, run: str) -> None:
        task, index = self.in_hand(run)
        self.press(lambda: self.api.mark_task(self.dag_id, run, task, "success", index))

    def press_clear_all(self, run: str) -> None:
        self._forget_end(run)
        self.press(lambda: self.api.clear_run(self.dag_id, run))

    def press_clear_failed(self, run: str) -> None:
        self._forget_end(run)
        self.press(lambda: self.api.clear_run(self.dag_id, run, only_failed=True))

    def press_clear_task(self, run: str) -> None:
        self._clear_tasks(run, self.in_hand(run)[0])

    def press_clear_alone(self, run: str) -> None:
        self._clear_tasks(run, self.in_hand(run)[0], downstream=False)

    def press_clear_index(self, run: str) -> None:
        self._clear_tasks(run, (self.work_task, 0))

    def _clear_tasks(self, run: str, task: str | tuple[str, int], *, downstream: bool = True) -> None:
        self._forget_end(run)
        cleared = self.press(lambda: self.api.clear(self.dag_id, run, [task], downstream=downstream))
        assert cleared > 0

    def _forget_end(self, run: str) -> None:
        """An end from before does not count: the cleared run has to begin first."""
        self.cleared = self.status(run) if self.status(run) not in ("running", "paused") else None

    def press_delete_run(self, run: str) -> None:
        before = self.dag_run(run)
        assert self.api.delete_run(self.dag_id, run) == (before != "running"), f"a run that is {before}"

    def press_delete_dag(self, run: str) -> None:
        if "running" not in self.tasks(run).values():
            self.press(lambda: self.api.delete_dag(self.dag_id))
            return
        with contextlib.suppress(RunConflict):
            self.api.delete_dag(self.dag_id)
            raise WrongEnd("the DAG was deleted while its task was running")

    def press_pause_dag(self, run: str) -> None:
        self.api.pause_dag(self.dag_id, paused=True)
        self.let_go()
        self.wait(lambda: not {"running", "queued"} & set(self.tasks(run).values()), "the tasks to end")
        assert self.status(run) == "running"
        self.api.pause_dag(self.dag_id, paused=False)

    def press_unpause_dag(self, run: str) -> None:
        self.api.pause_dag(self.dag_id, paused=False)

    def press_trigger(self, run: str) -> None:
        self.number += 1
        conf = self.conf()
        self.other = str(self.press(lambda: self.trigger(**conf)))

    def press_cancel(self, run: str) -> None:
        self.press(lambda: self.api.pressroom("POST", f"{self.job(run)}/cancel", {}))

    def press_pause(self, run: str) -> None:
        self.steer("pause")
        self.let_go()
        self.wait(lambda: self.status(run) == "paused" and self.quiet(run), "the work to be put off")
        self.steer("resume")

    def press_resume(self, run: str) -> None:
        self.steer("resume")

    def press_retry(self, run: str) -> None:
        self._forget_end(run)
        self.press(lambda: self.api.pressroom("POST", f"{self.job(run)}/retry", {}))

    def press_rollback(self, run: str) -> None:
        self._forget_end(run)
        self.press(lambda: self.api.pressroom("POST", f"{self.job(run)}/rollback", {}))

    def press_disable(self, run: str) -> None:
        self._apply(shapes.disabled(self.route))

    def press_prune(self, run: str) -> None:
        self._apply(prune=True)

    def press_edit(self, run: str) -> None:
        self._apply(shapes.edited(self.route))

    def _apply(self, workflow: dict[str, Any] | None = None, *, prune: bool = False) -> None:
        documents = [shapes.account(self.slug), *([workflow] if workflow else [])]
        apply_documents(self.store, *documents, prune=prune)
        self.changed = True
        self.api.parse_dag_file(self.file)
