"""What Pressroom costs while nothing is to be done: CPU and memory of every process, with 16 sites.

Everything is started as by ``make up``, without the local model, and each site has a run, since what has
worked holds more memory. When Airflow has come to rest, the CPU time of each process is taken over a window,
and its memory as Pss, in which a page that processes share counts once. The simulator is not counted: it is
there in a checkout alone.

    python -m benchmarks.idle [--sites 16] [--settle 60] [--window 60] [--defaults]

``--defaults`` measures the same with the settings of config/airflow.cfg that cost or save something at rest
as Airflow has them by itself, and prints the ratio to that. The last line is one JSON object: core_share
(aim: at most 0.25) and pss_gib (aim: at most 1.5).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil
from tests.support.roots import throwaway_root

from benchmarks.waiting import progress, wait
from benchmarks.world import add_sites, open_world
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


@dataclass(frozen=True)
class Cost:
    """``core``: share of one core; ``pss`` in bytes; ``processes``: how many."""

    core: float
    pss: int
    processes: int


def main() -> None:
    """Measure, and print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=16)
    parser.add_argument("--settle", type=float, default=60, help="seconds before the window")
    parser.add_argument("--window", type=float, default=60, help="seconds of the window")
    parser.add_argument("--defaults", action="store_true", help="also with Airflow's own settings")
    options = parser.parse_args()

    costs = measure(options, {})
    core, pss = show(f"{options.sites} sites at rest, {options.window:g} s", costs)
    result = {
        "core_share": round(core, 4), "pss_gib": round(pss / GIB, 3),
        "core_ratio_to_aim": round(core / 0.25, 3), "pss_ratio_to_aim": round(pss / (1.5 * GIB), 3),
    }  # fmt: skip
    if options.defaults:
        default_core, default_pss = show("The same by Airflow's defaults", measure(options, AIRFLOW_DEFAULTS))
        result |= {
            "core_ratio_to_defaults": round(core / default_core, 3),
            "pss_ratio_to_defaults": round(pss / default_pss, 3),
        }
    print(json.dumps(result))


def measure(options: argparse.Namespace, settings: Mapping[str, str]) -> dict[str, Cost]:
    """The cost of each service."""

    def prepare(url: str) -> None:
        slugs = [f"idle-{number:03d}" for number in range(options.sites)]
        add_sites(url, open_world(url), slugs)

    with (
        throwaway_root() as folder,
        LocalServices(folder, model=False, prepare=prepare, extra_env=settings, report=progress) as services,
    ):
        info = services.info
        with LocalAirflow(info.airflow_url, info.airflow_user, info.airflow_password) as api:
            for number in range(options.sites):
                work_once(api, f"site__idle-{number:03d}")
        time.sleep(options.settle)
        services_counted = [child for child in services.children if child.name != simulator_server.NAME]
        before = {child.name: cpu_seconds(child) for child in services_counted}
        began = time.monotonic()
        time.sleep(options.window)
        took = time.monotonic() - began
        return {
            child.name: Cost(
                (cpu_seconds(child) - before[child.name]) / took, pss_of(child), len(processes(child))
            )
            for child in services_counted
        }


def show(title: str, costs: Mapping[str, Cost]) -> tuple[float, int]:
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


def work_once(api: LocalAirflow, dag_id: str) -> None:
    """A run of the DAG, from its start to its end. It finds nothing to do."""
    wait(lambda: api.dag_exists(dag_id), f"{dag_id} to be parsed", 120)
    api.wait(dag_id, api.trigger(dag_id), timeout=300)


if __name__ == "__main__":
    main()
