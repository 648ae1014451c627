"""One workflow on its route: it comes into a state, a button is pressed, and its end is looked at."""

from __future__ import annotations

import contextlib
import logging
import time
from decimal import Decimal

from pressroom.domain.errors import PermanentError
from tests.acceptance.walk import shapes
from tests.acceptance.walk.buttons import Buttons
from tests.acceptance.walk.table import GONE, Pair, plain_run_follows
from tests.acceptance.walk.watched import LONGEST, WrongEnd, same

log = logging.getLogger(__name__)

STOPPING = ("mark_failed", "mark_success", "fail_task", "pass_task")
"""Buttons that end the task's process."""
LONGEST_CANCEL = 60.0
"""Seconds for the end of a run that is cancelled, on a machine that is busy: it waits for nothing."""
AT_REST = 8.0
"""Seconds without any change after which an end that is not the right one is believed."""


class Walker(Buttons):
    """``be_<state>`` for each state of the table: starts a run, and returns its DAG run's id."""

    def reach(self, state: str) -> str:
        """Bring a new run into the state. Returns its DAG run's id."""
        return str(getattr(self, f"be_{state}")())

    def be_working(self) -> str:
        self.hold()
        run = self.start()
        self.wait(lambda: self.model.script.holds(self.slug), "a call of the model")
        self.wait(lambda: self.seen(run), "the run to be seen")
        return run

    def be_queued(self) -> str:
        self.api.pause_dag(self.dag_id, paused=True)
        run = self.start_job()
        self.wait(lambda: self.seen(run) and self.dag_run(run) == "queued", "a queued run")
        return run

    def be_retrying(self) -> str:
        self.model.script.say(self.slug, action="status", status=429, retry_after=900)
        run = self.start()
        self.wait(lambda: "up_for_retry" in self.tasks(run).values(), "another try to be waited for")
        self.let_go()
        return run

    def be_paused(self) -> str:
        run = self.be_working()
        self.steer("pause")
        self.let_go()
        self.wait(lambda: "deferred" in self.tasks(run).values() and self.quiet(run), "the run to be put off")
        return run

    def be_dag_paused(self) -> str:
        run = self.be_working()
        self.api.pause_dag(self.dag_id, paused=True)
        self.let_go()
        self.wait(lambda: not {"running", "queued"} & set(self.tasks(run).values()), "the tasks to end")
        assert self.status(run) == "running"
        return run

    def be_failed(self) -> str:
        self.model.script.say(self.slug, action="status", status=401)
        run = self.start()
        self.ends(run, "failed", "failed")
        self.let_go()
        return run

    def be_partial(self) -> str:
        self.model.script.say(f"{self.slug} bad", action="status", status=400, message="no such luck")
        run = self.start(bad=True)
        self.ends(run, "partial", "success")
        self.let_go()
        return run

    def be_completed(self) -> str:
        run = self.start()
        self.ends(run, "completed", "success", help=True)
        return run

    def be_cancelled(self) -> str:
        run = self.be_working()
        self.press_cancel(run)
        self.let_go()
        self.ends(run, "cancelled", "success")
        return run

    # Ends -----------------------------------------------------------------------------------------------

    def help(self, run: str, *, approve: bool = True) -> None:
        """Do what a run waits for that is to come to its end."""

    def ends(
        self,
        run: str,
        status: str,
        dag_run: str,
        *,
        help: bool = False,
        approve: bool = True,
        within: float = LONGEST,
    ) -> None:
        """Wait for the end in both systems. Raises WrongEnd early when another end is there to stay."""
        end, since, before = time.monotonic() + within, time.monotonic(), None
        while True:
            seen = self.seen(run)
            now = (self.status(run), self.dag_run(run), tuple(self.tasks(run).values()))
            if now != before:
                before, since = now, time.monotonic()
                if seen and seen.live:
                    self.cleared = None
            over = self.cleared is None and seen and not seen.live and self.dag_run(run) not in (
                "running", "queued")  # fmt: skip
            if over and self.quiet(run):
                if (self.status(run), self.dag_run(run)) == (status, dag_run):
                    return
                if time.monotonic() - since > AT_REST:
                    break
            if time.monotonic() > end:
                break
            if help and seen and seen.live:
                self.help(run, approve=approve)
            time.sleep(0.1)
        error = f" ({seen.error})" if seen and seen.error else ""
        busy = ", ".join(f"{task}[{index}] {state}" for (task, index), state in self.tasks(run).items()
                         if state not in ("success", "skipped", "upstream_failed", "None"))  # fmt: skip
        raise WrongEnd(
            f"the run is {self.status(run)}{error}, Airflow's {self.dag_run(run)};"
            f" to be {status} and {dag_run}; {busy}; {' | '.join(self.events()[-12:])}"
        )

    def check(self, run: str, pair: Pair) -> None:
        """What holds after each pair."""
        [(live,)] = self.sql(
            "SELECT count(*) FROM runs WHERE workflow_id = %(site)s AND status IN ('running', 'paused')"
        )
        same("live runs", live, 0)
        [(reserved, held)] = self.sql(
            "SELECT (SELECT reserved FROM accounts WHERE id = %(account)s),"
            " (SELECT count(*) FROM reservations WHERE account_id = %(account)s)"
        )
        same("reserved", (reserved, held), (0, 0))
        same("credits", self.charged(), self.owed())
        self.check_reason(run, pair)
        self.check_published(run, pair)

    def check_reason(self, run: str, pair: Pair) -> None:
        """The run gives its reason, and Airflow's note on the DAG run says the same."""
        seen = self.seen(run)
        assert seen
        if pair.reason and pair.reason not in (seen.error or ""):
            raise WrongEnd(f"the reason is {seen.error!r}, to have {pair.reason!r}")
        if pair.dag_run != GONE and pair.end != "completed":
            line = f"Pressroom: run {seen.id} {pair.end}"

            def noted() -> bool:
                note = self.api.note(self.dag_id, run)
                return line in note and pair.reason in note

            self.wait(noted, f"the note {line!r} with {pair.reason!r}", 30)

    def charged(self) -> Decimal:
        """Credits charged, less those that were given back."""
        [(credits,)] = self.sql(
            "SELECT coalesce(-sum(credits), 0) FROM ledger"
            " WHERE workflow_id = %(site)s AND kind IN ('charge', 'adjustment')"
        )
        return Decimal(credits)

    def check_published(self, run: str, pair: Pair) -> None:
        """Nothing is out twice."""

    # The walk -------------------------------------------------------------------------------------------

    def walk(self) -> dict[str, str]:
        """Go through the route, and maybe a plain run at its end. Returns what went wrong, by pair."""
        self.file = self.api.file_of(self.dag_id)
        wrong: dict[str, str] = {}
        for pair in self.route.pairs:
            began = time.monotonic()
            try:
                self.step(pair)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other pairs are walked
                wrong[f"{pair.state} × {pair.button}"] = f"{type(error).__name__}: {error}"
                self.start_afresh()
            took = time.monotonic() - began
            found = wrong.get(f"{pair.state} × {pair.button}", pair.end)
            log.info("%s: %s × %s in %.0f s: %s", self.slug, pair.state, pair.button, took, found)
        if not plain_run_follows(self.route):
            return wrong
        try:
            self.be_ready()
            run = self.be_completed()
            self.check(run, Pair("completed", "", "completed"))
        except Exception as error:  # noqa: BLE001
            wrong["the run after all"] = f"{type(error).__name__}: {error}"
            self.start_afresh()
        return wrong

    def step(self, pair: Pair) -> None:
        """One pair."""
        self.be_ready()
        run = self.reach(pair.state)
        self.press_button(pair.button, run)
        if pair.state == "working" and pair.button in STOPPING:
            # Or the call that is let go would still be worked on, and the item be done after all.
            self.wait(lambda: not self.model.script.holds(self.slug), "the work to be stopped")
        self.let_go()
        if pair.state in ("queued", "dag_paused") and self.dag_id in self.watch.picture.dags:
            self.unpause()
        helped = pair.end == "completed"
        self.ends(
            run, pair.end, pair.dag_run, help=helped, approve=pair.button not in ("reject", "edit"),
            within=LONGEST_CANCEL if pair.button == "cancel" else LONGEST,
        )  # fmt: skip
        if self.other:
            self.ends(self.other, *self.other_end(), help=True)
        self.check(run, pair)

    def other_end(self) -> tuple[str, str]:
        """How a second run ends that was triggered while one is live."""
        return ("failed", "failed")

    def unpause(self) -> None:
        with contextlib.suppress(PermanentError):  # the DAG was deleted
            self.press(lambda: self.api.pause_dag(self.dag_id, paused=False))

    def be_ready(self) -> None:
        """Have the definition as it was, and its DAG."""
        self.cleared, self.other = None, None
        self.let_go()
        if self.changed:
            self._apply(shapes.definition(self.route))
            self.changed = False
        if self.dag_id not in self.watch.picture.dags or not self.api.dag_exists(self.dag_id):
            self.api.parse_dag_file(self.file)
            self.wait(lambda: self.api.dag_exists(self.dag_id), "the DAG to be there again")
            self.wait(lambda: self.dag_id in self.watch.picture.dags, "the DAG to be seen again")

    def start_afresh(self) -> None:
        """After a pair that went wrong: end all by force, so that the next one has a chance."""
        self.let_go()
        self.sql(
            "UPDATE runs SET status = 'failed', completed_at = now(), error_message = 'ended by the walk'"
            " WHERE workflow_id = %(site)s AND status IN ('running', 'paused')"
        )
        self.sql("DELETE FROM reservations WHERE account_id = %(account)s")
        for (dag_id, run), state in self.watch.picture.dag_runs.items():
            if dag_id == self.dag_id and state in ("running", "queued"):
                self.press(lambda run=run: self.api.mark(self.dag_id, run, "failed"))  # type: ignore[misc]
        if self.dag_id in self.watch.picture.dags:
            self.unpause()
