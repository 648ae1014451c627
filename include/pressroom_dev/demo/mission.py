"""`demo-mission`: two cycles of the example mission, and what the second learned from the first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import typer
from rich.console import Console
from rich.table import Table

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.cli.common import await_dag
from pressroom.domain.errors import PermanentError
from pressroom.engine.runs import reports
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow, workflow
from pressroom_dev.demo.fast_forward import FastForward
from pressroom_dev.demo.start import Model, Root, say_who_wrote, services_at
from pressroom_dev.demo.watch import watch

if TYPE_CHECKING:  # the stages bring libraries along that other commands should not wait for
    from pressroom.pipelines.mission.learning.changes import StrategyChange
    from pressroom_dev.demo.comparing import Share

EXAMPLE_MISSION = "better-mornings"
CYCLES = 2


def demo_mission(root: Root = Path(".pressroom"), model: Model = None) -> None:
    """Run two cycles of the example mission through all six stages, a week in minutes, then stop."""
    console = Console(highlight=False)
    began = time.monotonic()
    try:
        with services_at(root, console, model=model, example=True) as services:
            info = services.info
            if info.simulator_url is None:
                raise PermanentError(
                    "pressroom_metricool is set up, and this posts to the simulator only: unset it"
                )
            with (
                Store(info.database_url) as store,
                AirflowApi(info.airflow_url, info.airflow_user, info.airflow_password) as api,
                httpx.Client(base_url=info.simulator_url, timeout=30) as simulator,
            ):
                with store.transaction() as tx:
                    row = workflow(tx, EXAMPLE_MISSION)
                await_dag(api, row.workflow.dag_id)
                runs = [_cycle(api, store, row, simulator, console) for _ in range(CYCLES)]
                _summary(console, store, row, runs, root, time.monotonic() - began)
    except KeyboardInterrupt:
        console.print("ended; what was finished is kept, and the next run takes up the rest")
        raise typer.Exit(130) from None


def _cycle(
    api: AirflowApi, store: Store, row: WorkflowRow, simulator: httpx.Client, console: Console
) -> reports.RunStatus:
    from pressroom.pipelines.mission.pipeline import MISSION

    dag_id = row.workflow.dag_id
    dag_run_id = api.trigger(dag_id)
    console.print(f"\n[bold]{row.workflow.name}[/]: {dag_id} {dag_run_id}\n")
    forward = FastForward(store, row, simulator)

    def ended() -> bool:
        forward.step(dag_run_id)
        return api.run_state(dag_id, dag_run_id) in ("success", "failed")

    status = watch(store, row, MISSION, dag_run_id, console=console, ended=ended)
    if status is None or status.run.status not in ("completed", "partial"):
        ending = f"{status.run.status}: {status.run.error_message}" if status else "unopened"
        raise PermanentError(f"the run ended {ending}")
    return status


def _summary(
    console: Console,
    store: Store,
    row: WorkflowRow,
    runs: list[reports.RunStatus],
    root: Path,
    seconds: float,
) -> None:
    from pressroom.ui.mission.page import write_mission_page
    from pressroom_dev.demo.comparing import compare_cycles

    with store.transaction(row.account_id) as tx:
        comparison = compare_cycles(tx, row.workflow_id, runs[0].run.id, runs[1].run.id)
        have = reports.balance(tx)
        models = tx.values("models_of_mission", mission=row.workflow_id)
        page = write_mission_page(tx, row.workflow_id, root / "mission", simulated=True)
    console.print(_changes_table(comparison.changes))
    console.print(_shares_table(comparison.shares))
    first, second = comparison.numbers
    console.print(
        f"engagements a post: {comparison.before:.1f} in cycle {first},"
        f" {comparison.after:.1f} in cycle {second} (one week against another, so chance has a part in it;"
        " benchmarks/feedback.py measures the loop over many)"
    )
    used = sum((run.run.credits_used for run in runs), start=runs[0].run.credits_used * 0)
    console.print(
        f"two cycles in {seconds:.0f} s, start-up included; {used} credits ({have.available} left),"
        f" {sum(float(run.run.cents) for run in runs):.2f} cents"
    )
    say_who_wrote(console, models)
    console.print(
        "[yellow]Scheduled and measured by the simulator: nothing was posted anywhere, and its audience"
        " is invented.[/]"
    )
    console.print(f"Read them: [bold]file://{page.absolute()}[/]", soft_wrap=True)


def _changes_table(changes: Sequence[StrategyChange]) -> Table:
    table = Table(
        title="\nWhat the first cycle taught: weights (1 = no preference)",
        title_justify="left",
        header_style="bold",
    )
    for column in ("platform", "factor", "before", "after", "posts"):
        table.add_column(column, overflow="fold")
    for change in changes:
        table.add_row(
            change.platform,
            change.factor,
            _weights(change.before),
            _weights(change.after),
            str(change.evidence.get("posts", "")),
        )
    return table


def _shares_table(shares: Sequence[Share]) -> Table:
    table = Table(
        title="\nWhat the second cycle's calendar did with it: share of slots",
        title_justify="left",
        header_style="bold",
    )
    for column in ("platform", "factor", "level", "cycle 1", "cycle 2"):
        table.add_column(column, justify="right" if column.startswith("cycle") else "left")
    for share in shares:
        table.add_row(share.platform, share.factor, share.level, f"{share.before:.0%}", f"{share.after:.0%}")
    return table


def _weights(weights: Mapping[str, float]) -> str:
    best = sorted(weights.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{level} {weight:.2f}" for level, weight in best) or "no preference"
