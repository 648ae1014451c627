"""The walkers of each kind of workflow."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from pressroom.domain.errors import PressroomError, RunConflict
from pressroom.engine import gates
from pressroom.pipelines.mission import review
from tests.acceptance.walk.table import FLOW, MISSION, SITE, Pair
from tests.acceptance.walk.walker import Walker
from tests.acceptance.walk.watched import WrongEnd, same

AT_ONCE = 10
"""Routes. With more, each takes longer, and all together take as long."""


class SiteWalker(Walker):
    """Articles are held while they are written."""

    work_task = "content.work"

    def something_to_do(self, *, bad: bool = False) -> None:
        self.queue(f"{self.slug} good {self.number}", f"{self.slug} {'bad' if bad else 'fine'} {self.number}")

    def be_refused(self) -> str:
        first = self.be_working()
        run = str(self.trigger())
        self.ends(run, "failed", "failed")
        self.let_go()
        self.ends(first, "completed", "success")
        return run

    def press_trigger(self, run: str) -> None:
        super().press_trigger(run)
        assert self.other
        self.ends(self.other, *self.other_end())
        if self.state_is(run, self.work_task, "up_for_retry"):  # it would wait for long
            self._clear_tasks(run, self.work_task)

    def press_backfill(self, run: str) -> None:
        try:
            self.api.backfill(
                self.dag_id, datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC)
            )
        except PressroomError:
            return
        backfilled = [
            (name, state) for (dag_id, name), state in self.watch.picture.dag_runs.items()
            if dag_id == self.dag_id and name.startswith("backfill")
        ]  # fmt: skip
        raise WrongEnd(f"the backfill was accepted: {backfilled}")


class FlowWalker(Walker):
    """Items are held while the model works on them, or wait at a gate."""

    work_task = "item.write"

    def title(self) -> str:
        return f"{self.slug} piece {self.number}"

    def conf(self) -> dict[str, Any]:
        return {"item": {"id": f"{self.slug}-{self.number}", "title": self.title(), "text": "Water is hot."}}

    def bad_conf(self) -> dict[str, Any]:
        return {"item": {"id": f"{self.slug}-{self.number}", "title": f"{self.slug} bad {self.number}"}}

    def job_subject(self) -> dict[str, Any]:
        return {"flow_id": f"flw_{self.row.workflow_id}"}

    def other_end(self) -> tuple[str, str]:
        return ("completed", "success")

    def owed(self) -> Decimal:
        return Decimal(0)

    def be_approval(self) -> str:
        run = self.start()
        self.wait(lambda: self.state_is(run, "item.look", "awaiting_input"), "the approval")
        return run

    def be_webhook(self) -> str:
        run = self.start()
        self.wait(lambda: self.state_is(run, "item.look", "deferred"), "the gate")
        return run

    be_time = be_webhook

    def press_approve(self, run: str, option: str = "Approve") -> None:
        task, index = self.in_hand(run)
        waiting = {"dag_id": self.dag_id, "run_id": run, "task_id": task, "map_index": index}
        self.press(lambda: self.api.answer(waiting, option, {}))

    def press_reject(self, run: str) -> None:
        self.press_approve(run, "Reject")

    def help(self, run: str, *, approve: bool = True) -> None:
        if self.state_is(run, "item.look", "awaiting_input"):
            with contextlib.suppress(RunConflict):  # it was answered a moment ago
                self.press_approve(run, "Approve" if approve else "Reject")
            self.wait(lambda: not self.state_is(run, "item.look", "awaiting_input"), "the answer", 30)
        elif self.route.shape == "time":
            self.sql(
                "UPDATE gates SET due_at = now() FROM flow_items AS i WHERE i.id = item_id"
                " AND flow_id = %(site)s AND outcome IS NULL AND due_at > now()"
            )
        elif self.state_is(run, "item.look", "deferred"):
            open_gates = self.sql(
                "SELECT gates.id FROM gates JOIN flow_items ON flow_items.id = item_id"
                " JOIN runs ON runs.id = run_id WHERE flow_id = %(site)s AND runs.dag_run_id = %(run)s"
                " AND outcome IS NULL AND gates.by = 'webhook'", run=run,
            )  # fmt: skip
            with self.store.transaction(self.row.account_id) as tx:
                for (gate,) in open_gates:
                    gates.answer(tx, gate, gates.APPROVE, "the walk", actor="cli:walk")

    def check_published(self, run: str, pair: Pair) -> None:
        sent = [piece.get("title", "") for piece in list(self.outside.web.pieces)]
        keys = [title for title in sent if title.startswith(f"{self.slug} ")]
        twice = {title for title in keys if keys.count(title) > 1}
        same("published twice", twice, set())
        rows = self.sql(
            "SELECT source ->> 'title', i.status FROM flow_items AS i JOIN runs ON runs.id = run_id"
            " WHERE flow_id = %(site)s AND runs.dag_run_id = %(run)s", run=run,
        )  # fmt: skip
        for title, status in rows:
            same(f"{title} ({status}) published", title in keys, status == "done")
        if pair.end == "completed":
            # The edited flow is answered with a rejection: it is not to be published in the new order.
            rejected = pair.state == "approval" and pair.button in ("reject", "edit")
            same("items", [status for _, status in rows], ["rejected" if rejected else "done"])
        elif pair.end == "failed":  # the next run takes it up
            same("items", {status for _, status in rows} - {"failed"}, set())
        [(waiting,)] = self.sql(
            "SELECT count(*) FROM gates JOIN flow_items AS i ON i.id = item_id JOIN runs ON runs.id = run_id"
            " WHERE flow_id = %(site)s AND outcome IS NULL AND i.status = 'active'"
            " AND runs.dag_run_id = %(run)s", run=run,
        )  # fmt: skip
        same("open gates", waiting, 0)


class MissionWalker(Walker):
    """Posts go to a simulator of the mission's own, whose clock is moved when a run waits for results."""

    work_task = "content.work"
    simulator = ""
    moved = 0.0

    def job_subject(self) -> dict[str, Any]:
        return {"mission_id": f"msn_{self.row.workflow_id}"}

    def owed(self) -> Decimal:
        planned = self.sql(
            "SELECT count(*) FROM cycles WHERE mission_id = %(site)s AND withdrawn_at IS NULL"
            " AND EXISTS (SELECT FROM slots WHERE slots.cycle_id = cycles.id)"
        )[0][0]
        posts = self.sql(
            "SELECT count(*) FROM posts JOIN cycles ON cycles.id = cycle_id"
            " WHERE posts.mission_id = %(site)s AND cycles.withdrawn_at IS NULL AND status <> 'archived'"
        )[0][0]
        return Decimal(2 * planned + posts)

    def be_review(self) -> str:
        run = self.start()
        self.wait(lambda: self._reviewed(run), "the review")
        return run

    def _reviewed(self, run: str) -> bool:
        return self.state_is(run, "publish.plan", "deferred")

    def be_analytics(self) -> str:
        run = self.start()

        def there() -> bool:
            if self._reviewed(run):
                self._approve()
            return self.state_is(run, "analytics", "deferred")

        self.wait(there, "the results to be waited for")
        return run

    def be_rolled_back(self) -> str:
        before = self.posted()
        run = self.be_analytics()
        assert len(self.posted()) > len(before)
        with contextlib.suppress(RunConflict):
            self.api.pressroom("POST", f"{self.job(run)}/rollback", {})
            raise WrongEnd("a run that is on was rolled back")
        self.press_cancel(run)
        self.ends(run, "cancelled", "success")
        self.press_rollback(run)
        self.ends(run, "cancelled", "success")
        self.cleared = None
        same("posts that stay", self.posted(), before)
        same("credits", self.charged(), self.owed())
        return run

    def posted(self) -> list[tuple[str, str]]:
        """Text and time of the posts that the simulator has."""
        posts = httpx.get(f"{self.simulator}/simulator/posts", timeout=30).json()["data"]
        return [(post["parts"][0], post["at"]) for post in posts if not post["deleted"]]

    def _approve(self) -> None:
        with self.store.transaction(self.row.account_id) as tx:
            for post in review.list_posts(tx, self.row.workflow_id, "pending_review"):
                review.approve(tx, self.row.workflow_id, post.id, post.content_hash, "ann")

    def help(self, run: str, *, approve: bool = True) -> None:
        if self._reviewed(run):
            self._approve()
        if self.state_is(run, "analytics", "deferred") and time.monotonic() - self.moved > 2.5:
            self.moved = time.monotonic()
            httpx.post(
                f"{self.simulator}/simulator/clock",
                json={"advance_seconds": timedelta(days=1).total_seconds()},
                timeout=30,
            ).raise_for_status()

    def check_published(self, run: str, pair: Pair) -> None:
        there = self.posted()
        same("posts that are there twice", len(there), len(set(there)))
        if pair.why.startswith("and rolled back"):
            waiting = self.sql(
                "SELECT count(*) FROM posts JOIN cycles ON cycles.id = cycle_id JOIN runs ON runs.id = run_id"
                " WHERE runs.dag_run_id = %(run)s AND runs.workflow_id = %(site)s"
                " AND posts.status <> 'archived'",
                run=run,
            )
            same("posts left", waiting, [(0,)])
            same("posts that stay", there, [])
            same("rollback", self.state_is(run, "rollback", "success"), True)


WALKERS: dict[str, type[Walker]] = {SITE: SiteWalker, MISSION: MissionWalker, FLOW: FlowWalker}


def walk_all(walkers: list[Walker]) -> dict[str, dict[str, str]]:
    """Walk all routes, several at a time. Returns what went wrong, by slug and pair."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        walks = pool.map(lambda walker: walker.walk(), walkers)
        return {walker.slug: wrong for walker, wrong in zip(walkers, walks, strict=True)}
