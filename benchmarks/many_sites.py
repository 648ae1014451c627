"""How long it takes until many new sites are DAGs, and until pruned ones are gone: in a running Airflow.

300 sites with a target, and so 600 DAGs, are applied while Airflow runs with one. What it is compared with is
measured in the same run: the time that one process takes to build and serialize the same DAGs, with nothing
else to do.

    python -m benchmarks.many_sites [--sites 300]

The last line is one JSON object: seconds_to_all_dags (aim: at most 30), seconds_to_pruned, and
ratio_to_building, the first by the time that building alone takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import psycopg
import yaml
from tests.support.roots import throwaway_root

from benchmarks.waiting import progress, wait
from benchmarks.world import put
from pressroom.adapters.airflow_api import AirflowApi
from pressroom.pipelines.registry import DAG_TAG
from pressroom.store.migrate import migrate
from pressroom_dev.local.services import LocalServices

BUILD = """
import sys, time
from airflow.serialization.serialized_objects import DagSerialization
from pressroom.definitions.loading import read_text
from pressroom.orchestration.dags.build import build_dag
from pressroom.pipelines.registry import parts_of, pipeline_of
located, _ = read_text(sys.stdin.read(), "many.yaml")
sites = [each.definition for each in located if each.definition.kind == "Site"]
began = time.perf_counter()
for site in sites:
    for part in parts_of(site):
        DagSerialization.to_dict(build_dag(pipeline_of(site, part), site, part))
print(time.perf_counter() - began)
"""
ACCOUNT = {"kind": "Account", "slug": "many", "name": "Many"}


def main() -> None:
    """Measure, and print the lines and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=300)
    options = parser.parse_args()
    one, many = definitions(1), definitions(options.sites)

    def prepare(url: str) -> None:
        migrate(url)
        put(url, one)

    with (
        throwaway_root() as folder,
        LocalServices(folder, model=False, prepare=prepare, report=progress) as services,
    ):
        env, url = services.environment, services.info.database_url
        airflow = env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
        wait(lambda: dags(airflow) == 2, "the DAGs of the first site", 120)
        building = float(
            subprocess.run(
                [sys.executable, "-c", BUILD], input=many, env=env, capture_output=True, text=True, check=True
            ).stdout
        )
        began = time.perf_counter()
        put(url, many)
        announce(services)
        applied = time.perf_counter() - began
        wait(lambda: dags(airflow) > 2, "the first new DAGs", 300)
        first = time.perf_counter() - began
        wait(lambda: dags(airflow) == 2 * options.sites, "all new DAGs", 600)
        all_there = time.perf_counter() - began
        began = time.perf_counter()
        put(url, one, prune=True)
        announce(services)
        wait(lambda: dags(airflow) == 2, "the end of the pruned DAGs", 600)
        pruned = time.perf_counter() - began
    print(f"\n{options.sites} sites, {2 * options.sites} DAGs:")
    for what, seconds in (("applied", applied), ("the first DAGs", first), ("all DAGs", all_there),
                          ("pruned ones gone", pruned), ("building them alone", building)):  # fmt: skip
        print(f"  {what:<20} {seconds:6.1f} s   {seconds / building:6.2f} × building")
    print(
        json.dumps(
            {
                "sites": options.sites,
                "seconds_to_apply": round(applied, 2),
                "seconds_to_first_dag": round(first, 2),
                "seconds_to_all_dags": round(all_there, 2),
                "seconds_to_pruned": round(pruned, 2),
                "ratio_to_building": round(all_there / building, 3),
            }
        )
    )


def definitions(sites: int) -> str:
    """An account and its sites, each with a target, as a file."""
    made = [
        {"kind": "Site", "account": "many", "slug": f"many-{number:04d}", "name": f"Site {number}",
         "publish": {"targets": [{"to": "static_site"}]}}
        for number in range(sites)
    ]  # fmt: skip
    return str(yaml.safe_dump_all([ACCOUNT, *made]))


def announce(services: LocalServices) -> None:
    """Have Airflow parse its files, as ``pressroom apply`` does."""
    info = services.info
    with AirflowApi(info.airflow_url, info.airflow_user, info.airflow_password) as api:
        api.parse_dag_files(DAG_TAG)


def dags(url: str) -> int:
    """How many DAGs Airflow has that are not stale and can be run."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT dag.dag_id) FROM dag JOIN serialized_dag USING (dag_id) WHERE NOT is_stale"
        ).fetchone()
    assert row
    return int(row[0])


if __name__ == "__main__":
    main()
