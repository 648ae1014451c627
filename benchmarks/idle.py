"""What Pressroom costs while nothing is to be done: CPU and memory of every process, with 16 DAGs.

Everything is started as by ``make up``, without the local model. Fourteen sites, a mission and a flow work
first, since what has worked holds more memory: one site writes articles, the mission schedules its posts, the
flow's items come to their gates. Then Airflow is left alone, and the CPU time of each process is taken over a
window, and its memory as Pss, in which a page that processes share counts once. It is done twice:

  waiting   the mission waits for its results, and several runs of the flow for answers at gates
  ended     every run has ended

The simulator and the scripted model are not counted: they are there in a checkout alone.

    python -m benchmarks.idle [--sites 14] [--gates 4] [--settle 60] [--window 60] [--defaults]

``--defaults`` measures the same with the settings of config/airflow.cfg that cost or save something at rest
as Airflow has them by itself, and prints the ratio to that. The last line is one JSON object: the larger of
both, core_share (aim: at most 0.25) and pss_gib (aim: at most 1.5).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil
import psycopg
import yaml
from tests.support.roots import throwaway_root
from tests.support.scripted_openai import ScriptedOpenAI

from benchmarks.waiting import progress, wait
from benchmarks.world import put
from pressroom.definitions.importing import import_keywords
from pressroom.definitions.keyword_lists import read_list
from pressroom.engine import audit
from pressroom.engine.runs import control
from pressroom.store.database import Store
from pressroom.store.migrate import migrate
from pressroom.store.workflows import workflow
from pressroom_dev.local import simulator_server
from pressroom_dev.local.airflow_api import LocalAirflow
from pressroom_dev.local.processes import Child
from pressroom_dev.local.services import LocalServices

AIRFLOW_DEFAULTS = {
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
}
MIB, GIB = 2**20, 2**30
MISSION, FLOW = "idle-mission", "idle-flow"
KEYWORDS = "keyword\npour over coffee\npour over ratio\ncold brew coffee\ncold brew ratio\n"


@dataclass(frozen=True)
class Cost:
    """``core``: share of one core; ``pss`` in bytes; ``processes``: how many."""

    core: float
    pss: int
    processes: int


Costs = Mapping[str, Cost]


def main() -> None:
    """Measure, and print the tables and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=14)
    parser.add_argument("--gates", type=int, default=4, help="runs of the flow that wait at a gate")
    parser.add_argument("--settle", type=float, default=60, help="seconds before each window")
    parser.add_argument("--window", type=float, default=60, help="seconds of each window")
    parser.add_argument("--defaults", action="store_true", help="also with Airflow's own settings")
    options = parser.parse_args()

    core, pss = highest("", measure(options, {}))
    result = {
        "core_share": round(core, 4), "pss_gib": round(pss / GIB, 3),
        "core_ratio_to_aim": round(core / 0.25, 3), "pss_ratio_to_aim": round(pss / (1.5 * GIB), 3),
    }  # fmt: skip
    if options.defaults:
        default_core, default_pss = highest("by Airflow's defaults, ", measure(options, AIRFLOW_DEFAULTS))
        result |= {
            "core_ratio_to_defaults": round(core / default_core, 3),
            "pss_ratio_to_defaults": round(pss / default_pss, 3),
        }
    print(json.dumps(result))


def measure(options: argparse.Namespace, settings: Mapping[str, str]) -> dict[str, Costs]:
    """The cost of each service, while runs wait and when all have ended."""

    def prepare(url: str) -> None:
        migrate(url)
        put(url, definitions(options.sites))
        with Store(url) as store:
            with store.transaction() as tx:
                site = workflow(tx, "site/idle-000")
            listed = read_list(KEYWORDS.encode())
            import_keywords(store, site.account_id, site.workflow_id, listed, audit.by("benchmark"))

    with throwaway_root() as folder, ScriptedOpenAI() as model:
        connection = {"conn_type": "generic", "host": model.base_url, "password": "none",
                      "extra": {"model": "scripted-1"}}  # fmt: skip
        env = {**settings, "AIRFLOW_CONN_PRESSROOM_TEXT": json.dumps(connection)}
        services = LocalServices(folder, model=False, prepare=prepare, extra_env=env, report=progress)
        with services:
            info = services.info
            with (
                LocalAirflow(info.airflow_url, info.airflow_user, info.airflow_password) as api,
                Store(info.database_url) as store,
            ):
                return dict(states(options, services, api, store))


def states(
    options: argparse.Namespace, services: LocalServices, api: LocalAirflow, store: Store
) -> Iterator[tuple[str, Costs]]:
    """Bring all to work, and measure what waits; end it, and measure again."""
    runs = []
    for slug in (f"site__idle-{number:03d}" for number in range(options.sites)):
        wait(lambda slug=slug: api.dag_exists(slug), f"{slug} to be parsed", 120)  # type: ignore[misc]
        runs.append((slug, api.trigger(slug)))
    mission, flow = f"mission__{MISSION}", f"flow__{FLOW}"
    runs.append((mission, api.trigger(mission)))
    runs += [(flow, api.trigger(flow, {"item": {"id": f"{number}"}})) for number in range(options.gates)]
    for dag_id, run in runs[: options.sites]:
        assert api.wait(dag_id, run, timeout=600) == "success", dag_id
    wait(
        lambda: waiting(services.info.database_url) == (1, options.gates),
        "the mission and the flow to wait",
        600,
    )
    progress("idle", "the mission waits for results, the flow's items at their gates")
    yield "waiting", costs(options, services)
    with store.transaction() as tx:
        rows = [workflow(tx, name) for name in (f"mission/{MISSION}", f"flow/{FLOW}")]
    for row in rows:
        with store.transaction(row.account_id) as tx:
            control.cancel(tx, row.workflow_id)
    for dag_id, run in runs:
        api.wait(dag_id, run, timeout=600)
    progress("idle", "all runs have ended")
    yield "ended", costs(options, services)


def definitions(sites: int) -> str:
    """An account with its sites, its mission and its flow, as a file."""
    account = {"kind": "Account", "slug": "idle", "name": "Idle", "opening_credits": 100000}
    pictures = {"per_article": 1, "width": 320, "height": 256}
    made = [
        {"kind": "Site", "account": "idle", "slug": f"idle-{number:03d}", "name": f"Site {number}",
         "article": {"ideas_per_cluster": 1, "target_words": 200}, "images": pictures}
        for number in range(sites)
    ]  # fmt: skip
    mission = {
        "kind": "Mission", "account": "idle", "slug": MISSION, "name": "Mission", "status": "active",
        "objectives": ["be known"], "platforms": ["twitter"], "constraints": {"posts_per_day": 1},
        "duration_days": 60, "cycle_days": 7,
    }  # fmt: skip
    gate = {"name": "look", "type": "gate", "by": "webhook", "timeout_hours": 24}
    flow = {"kind": "Flow", "account": "idle", "slug": FLOW, "name": "Flow", "status": "active",
            "steps": [gate]}  # fmt: skip
    return str(yaml.safe_dump_all([account, *made, mission, flow]))


def waiting(url: str) -> tuple[int, int]:
    """How many missions wait for results, and how many items at gates."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM runs JOIN missions ON missions.id = workflow_id"
            " WHERE current_stage = 'analytics'), (SELECT count(*) FROM open_gates)"
        ).fetchone()
    assert row
    return int(row[0]), int(row[1])


def costs(options: argparse.Namespace, services: LocalServices) -> Costs:
    """The cost of each service over the window."""
    time.sleep(options.settle)
    counted = [child for child in services.children if child.name != simulator_server.NAME]
    before = {child.name: cpu_seconds(child) for child in counted}
    began = time.monotonic()
    time.sleep(options.window)
    took = time.monotonic() - began
    return {
        child.name: Cost(
            (cpu_seconds(child) - before[child.name]) / took, pss_of(child), len(processes(child))
        )
        for child in counted
    }


def highest(how: str, measured: Mapping[str, Costs]) -> tuple[float, int]:
    """Print the tables. Returns the larger sums of the shares of a core, and of Pss."""
    sums = [show(f"{how}{state}", costs) for state, costs in measured.items()]
    return max(core for core, _ in sums), max(pss for _, pss in sums)


def show(title: str, costs: Costs) -> tuple[float, int]:
    """Print the table. Returns the sums of the shares of a core, and of Pss."""
    print(f"\n{title}:\n  {'':<16} {'of a core':>9} {'Pss':>10}   processes")
    for name, cost in sorted(costs.items(), key=lambda entry: -entry[1].core):
        print(f"  {name:<16} {cost.core:8.1%} {cost.pss / MIB:7.0f} MiB   {cost.processes}")
    core, pss = sum(cost.core for cost in costs.values()), sum(cost.pss for cost in costs.values())
    print(f"  {'all':<16} {core:8.1%} {pss / MIB:7.0f} MiB")
    return core, pss


def processes(child: Child) -> list[psutil.Process]:
    """All processes of a service."""
    leader = psutil.Process(child.pid)
    return [leader, *leader.children(recursive=True)]


def cpu_seconds(child: Child) -> float:
    """The CPU time of a service so far. That of a process that has ended is in its parent's."""
    seconds = 0.0
    for process in processes(child):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def pss_of(child: Child) -> int:
    """The memory of a service's processes; what they share counts once."""
    total = 0
    for process in processes(child):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main()
