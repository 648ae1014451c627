"""What generated DAGs cost to parse: for the dag processor, and for a worker, with 1, 100 and 1,000 sites.

The dag processor is the real one (`airflow dag-processor --num-runs 1`), from its start to its end, with
every DAG parsed, serialized and written to the metadata database; its start-up is taken off by the run with
one site.

A worker parses one dag file to find the one DAG that its task belongs to. Measured is that parse alone, in a
fresh process with everything imported, as Airflow does it; the least of several counts, since the machine is
noisy.

    python -m benchmarks.parse [--sites 1 100 1000]

The last line is one JSON object: ms_per_dag_at_1000 (aim: at most 12) and worker_parse_ratio_1000_to_1 (aim:
at most 1.5).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import psycopg
from tests.support.roots import throwaway_root

from benchmarks.waiting import progress
from benchmarks.world import PROJECT, add_sites, open_world
from pressroom_dev.local.services import LocalServices

WORKER = """
import sys, time
from airflow.dag_processing.dagbag import DagBag
import pressroom.orchestration.dags.workflows
took = []
for _ in range(9):
    began = time.perf_counter()
    bag = DagBag(sys.argv[1])
    took.append(time.perf_counter() - began)
    assert list(bag.dags) == [sys.argv[2]], (list(bag.dags), bag.import_errors)
print(min(took))
"""


def main() -> None:
    """Measure each number of sites and print the table and the JSON line."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--sites", type=int, nargs="+", default=[1, 100, 1000])
    counts = sorted(arguments.parse_args().sites)
    processor: dict[int, float] = {}
    worker: dict[int, float] = {}
    with throwaway_root() as folder:
        services = LocalServices(folder, model=False, airflow=False, report=progress)
        with services:
            account = open_world(services.info.database_url)
            have = 0
            for count in counts:
                slugs = [f"site-{number:05d}" for number in range(have, count)]
                add_sites(services.info.database_url, account, slugs)
                have = count
                processor[count] = dag_processor(services.environment)
                assert serialized(services.environment) == count, "the dag processor did not write every DAG"
                worker[count] = worker_parse(services.environment, services.info.database_url, "site-00000")
                progress(
                    "parse", f"{count} sites: {processor[count]:.2f} s, worker {worker[count] * 1000:.1f} ms"
                )
    first, last = counts[0], counts[-1]
    print("\n sites   dag processor   per DAG    a worker's parse")
    per_dag = {}
    for count in counts:
        new = count - first or 1
        per_dag[count] = (processor[count] - (processor[first] if count > first else 0)) * 1000 / new
        print(
            f"{count:6d} {processor[count]:12.2f} s {per_dag[count]:9.1f} ms {worker[count] * 1000:12.1f} ms"
        )
    result = {
        "processor_seconds": {str(count): round(took, 3) for count, took in processor.items()},
        f"ms_per_dag_at_{last}": round(per_dag[last], 2),
        "worker_parse_ms": {str(count): round(took * 1000, 2) for count, took in worker.items()},
        f"worker_parse_ratio_{last}_to_{first}": round(worker[last] / worker[first], 3),
    }
    print(json.dumps(result))


def dag_processor(env: dict[str, str]) -> float:
    """Seconds that one pass of the real dag processor takes, its start-up included."""
    with psycopg.connect(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as connection:
        # Each pass writes every DAG anew, as the first one after an upgrade does.
        connection.execute("TRUNCATE dag CASCADE")
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"],
        env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


def serialized(env: dict[str, str]) -> int:
    """How many DAGs the metadata database holds."""
    with psycopg.connect(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as connection:
        row = connection.execute("SELECT count(*) FROM serialized_dag").fetchone()
        assert row
        return int(row[0])


def worker_parse(env: dict[str, str], url: str, slug: str) -> float:
    """Seconds that a worker spends on finding its DAG."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT slug_hash %% 8 FROM workflows WHERE slug = %s", [slug]).fetchone()
    assert row
    dag_id = f"site__{slug}"
    file = PROJECT / "dags" / f"sites_{row[0]}.py"
    answer = subprocess.run(
        [sys.executable, "-c", WORKER, str(file), dag_id],
        env=env
        | {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "open_run"},
        capture_output=True, text=True, cwd=os.fspath(PROJECT), check=False,
    )  # fmt: skip
    if answer.returncode:
        raise SystemExit(answer.stderr[-3000:])
    return float(answer.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
