"""How well the writing of articles fans out, through a real Airflow, beside two other ways to do the work.

60 queued tasks, a model server that answers every call after exactly one second, 16 calls in flight: four
seconds is the ideal. Three sites hold the same 60 tasks and run one after the other on the same Airflow:

  batched      as Pressroom does it: few mapped tasks, each working a batch with asyncio
  per item     one mapped task per article, 16 at once
  sequential   one call after the other in one task

Measured is stage 4 (content): from the start of its plan to the end of its last work, as Airflow recorded
them.

    python -m benchmarks.fanout [--items 60] [--latency 1.0] [--in-flight 16] [--batch 64]

The last line is one JSON object: ratio_to_ideal (aim: at most 2), speedup_over_task_per_item (aim: at least
4), speedup_over_sequential.
"""

from __future__ import annotations

import argparse
import json
import math
from datetime import datetime
from typing import Any

from tests.support.roots import throwaway_root
from tests.support.scripted_openai import ScriptedOpenAI

from benchmarks.waiting import progress, wait
from benchmarks.world import add_queued_tasks, add_site, articles, open_world, wide_pools
from pressroom.engine.runs import control
from pressroom.store.database import Store
from pressroom.store.workflows import workflow
from pressroom_dev.local.airflow_api import LocalAirflow
from pressroom_dev.local.services import LocalServices


def main() -> None:
    """Run the three ways and print the table and the JSON line."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--items", type=int, default=60)
    arguments.add_argument("--latency", type=float, default=1.0)
    arguments.add_argument("--in-flight", type=int, default=16)
    arguments.add_argument("--batch", type=int, default=64)
    options = arguments.parse_args()
    ideal = math.ceil(options.items / options.in_flight) * options.latency
    ways = {
        "batched": {"batch": options.batch, "concurrency": options.in_flight},
        "per-item": {"batch": 1, "concurrency": options.in_flight},
        "sequential": {"batch": 500, "concurrency": 1},
    }
    with (
        throwaway_root() as folder,
        ScriptedOpenAI(latency=options.latency) as model,
    ):
        # Without the limits of the settings file, which would be what is measured.
        connection = {
            "conn_type": "generic",
            "host": model.base_url,
            "password": "none",
            "extra": {"model": "scripted-1"},
        }
        env = {"AIRFLOW_CONN_PRESSROOM_TEXT": json.dumps(connection)}

        def prepare(url: str) -> None:
            account = open_world(url)
            for way, sizes in ways.items():
                site = add_site(url, account, f"bench-{way}", **sizes)
                add_queued_tasks(url, account, site, options.items)

        services = LocalServices(
            folder / "run", settings=wide_pools(folder), extra_env=env, model=False,
            parallelism=32, prepare=prepare, report=progress,
        )  # fmt: skip
        with services:
            seconds = {way: measure(services, f"bench-{way}", options.items) for way in ways}
    print(
        f"\n{options.items} articles, {options.latency:g} s a call, {options.in_flight} in flight:"
        f" ideal {ideal:g} s"
    )
    for way, took in seconds.items():
        print(f"  {way:<12} {took:7.2f} s   {took / ideal:6.2f} × the ideal")
    result = {
        "items": options.items,
        "ideal_seconds": ideal,
        "seconds": {way: round(took, 3) for way, took in seconds.items()},
        "ratio_to_ideal": round(seconds["batched"] / ideal, 3),
        "speedup_over_task_per_item": round(seconds["per-item"] / seconds["batched"], 3),
        "speedup_over_sequential": round(seconds["sequential"] / seconds["batched"], 3),
    }
    print(json.dumps(result))


def measure(services: LocalServices, slug: str, items: int) -> float:
    """Seconds from the start of content.plan to the end of the last content.work. It is cancelled then."""
    info = services.info
    dag_id = f"site__{slug}"
    with LocalAirflow(info.airflow_url, info.airflow_user, info.airflow_password) as api:
        wait(lambda: api.dag_exists(dag_id), f"{dag_id} to be parsed", 120)
        run_id = api.trigger(dag_id)
        with Store(info.database_url) as store:
            with store.transaction() as tx:
                site = workflow(tx, slug)
            wait(
                lambda: articles(info.database_url, slug) >= items or _failed(api, dag_id, run_id),
                f"{slug}: all articles", 600,
            )  # fmt: skip
            with store.transaction(site.account_id) as tx:
                control.cancel(tx, site.workflow_id)
        wait(lambda: api.run_state(dag_id, run_id) in ("success", "failed"), f"{slug}: the run's end", 180)
        instances = api.task_instances(dag_id, run_id)
    took = _span(instances)
    progress(slug, f"{took:.2f} s")
    return took


def _failed(api: LocalAirflow, dag_id: str, run_id: str) -> bool:
    """False while the run goes on. Raises SystemExit when it has failed."""
    if api.run_state(dag_id, run_id) == "failed":
        raise SystemExit(f"{dag_id} failed: see its open_run task")
    return False


def _span(instances: list[dict[str, Any]]) -> float:
    plan = next(one for one in instances if one["task_id"] == "content.plan")
    ends = [one["end_date"] for one in instances if one["task_id"] == "content.work"]
    return (
        max(map(datetime.fromisoformat, ends)) - datetime.fromisoformat(plan["start_date"])
    ).total_seconds()


if __name__ == "__main__":
    main()
