"""How fast the page answers, beside Airflow's own grid in the same API server, and what open pages cost.

300 workflows and 60,000 articles, of which 10,000 wait for review, most of them one account's. Several
clients ask one API server, each as fast as it is answered, and the requests of all pages are mixed. Airflow's
grid is what its page asks for when a DAG with 25 runs is opened: the structure, the runs and the states of
their tasks, one after the other. The page's own routes are walked: one that nothing is known about ends the
benchmark. Each is opened by a member of the account and by an administrator of Airflow; the slower counts.

Then pages are left open, as many as ``--pages``: a third each of the home, of the busy site and of the
review. A run writes a line every ``--every`` seconds; each page that hears of it asks for its part again, as
browsers do. What they cost is the CPU time of the API server and of Postgres together.

    python -m benchmarks.page [--sites 284] [--articles 60000] [--requests 40] [--clients 4] [--pages 100]
        [--seconds 60] [--every 10] [--only PART] [--root DIR]

The last line is one JSON object: worst_p95_ms (aim: at most 300), worst_p95_over_airflow_grid (at most 1),
update_p95_seconds (at most 2), open_pages_cores (below 0.5).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from fastapi.routing import APIRoute

from benchmarks.api import Caller, Row, api_server, ask, count, large_installation
from benchmarks.api_requests import Question, samples_of
from benchmarks.idle import cpu_seconds
from benchmarks.large_world import ACCOUNT, Sizes
from benchmarks.waiting import progress
from pressroom.api.kit.limits.admission import Admission
from pressroom.engine.runs import control
from pressroom.page.app import build_page_app
from pressroom.store.database import Store
from pressroom_dev.local.airflow_processes import API_SERVER
from pressroom_dev.local.processes import Child
from pressroom_dev.local.services import POSTGRES

BASE = "/pressroom"
GRID = "Airflow's grid"
GRID_RUNS = 25
THINGS = {
    "/sites": ["site"], "/missions": ["mission"], "/flows": ["flow"], "/brands": ["brand"],
    "/reports/sites": ["site"], "/reports/missions": ["mission"],
    "/runs": ["site run", "mission run", "flow run"], "/content": ["article", "post"],
}  # fmt: skip
"""What ``{id}`` may be, by what stands before it."""
NO_PAGES = ("/events", "/shared", "/dags", "/images/", "/targets/")
"""Streams without an end; the review's pages again, by a link that has a session; redirects; files."""
QUERIES = {
    "/": ["", "q=site-0001", "show=waiting", "sort=waiting", "sort=spend"],
    "/review": [f"account={ACCOUNT}", f"account={ACCOUNT}&newest=true"],
    "/review/list": [f"account={ACCOUNT}", f"account={ACCOUNT}&newest=true"],
}
NOTHING: Any = None


def main() -> None:
    """Fill the databases, start the server, open the pages, and print the table and the JSON line."""
    options = _options()
    sizes = Sizes(options.sites, options.articles, options.articles * 3)
    with large_installation(options.root, sizes) as (services, folder):
        url = services.info.database_url
        member, admin = api_server(services, folder)
        grid = grid_of(admin, url)
        rows = [Row(each, one) for each in (member, admin) for one in pages(samples_of(url), options.only)]
        progress("page", f"{len(rows)} kinds of requests")
        ask(rows, 3, options.clients)  # to warm up
        for row in rows:
            row.seconds.clear()
        asked = Mixed(rows, grid)
        asked.measure(options.requests, options.clients)
        counted = [child for child in services.children if child.name in (API_SERVER, POSTGRES)]
        left_open = OpenPages(member, services.info.airflow_url, url, counted, options.every)
        opened = asyncio.run(left_open.measure(options.pages, options.seconds))
        waiting = waiting_articles(url)
        workflows = count(url, "workflows")
    print(json.dumps({"workflows": workflows, "waiting": waiting, **asked.report(), **opened}))


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--sites", type=int, default=284)
    arguments.add_argument("--articles", type=int, default=60_000)
    arguments.add_argument("--requests", type=int, default=40, help="of each kind, by each caller")
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--pages", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=60.0, help="for which pages are open")
    arguments.add_argument("--every", type=float, default=10.0, help="seconds between lines of the run")
    arguments.add_argument("--only", default="", help="pages with this in their address")
    arguments.add_argument("--root", type=Path, help="keeps the databases, and uses those that it has")
    return arguments.parse_args()


def waiting_articles(url: str) -> int:
    """How many articles wait for review."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM contents WHERE status = 'review'").fetchone()
        assert row
        return int(row[0])


# The pages ----------------------------------------------------------------------------------------------


def pages(samples: Mapping[str, list[str]], only: str) -> list[Question]:
    """Every page and every part of one. Raises SystemExit, naming what there is no sample for."""
    found, unknown = [], []
    for route in build_page_app(NOTHING, Admission()).routes:
        if not isinstance(route, APIRoute) or "GET" not in (route.methods or ()):
            continue
        if any(part in route.path for part in NO_PAGES) or only not in route.path:
            continue
        before = route.path.partition("/{id}")[0]
        things = THINGS.get(before, []) if "{id}" in route.path else [""]
        unknown += [] if things else [route.path]
        for thing in things:
            label = route.path if len(things) == 1 else route.path.replace("{id}", f"{{{thing}}}")
            paths = [BASE + route.path.replace("{id}", id) for id in samples.get(thing, [""])]
            queries = [f"?{query}" if query else "" for query in QUERIES.get(route.path, [""])]
            found.append(Question(label, [path + query for path in paths for query in queries], paged=False))
    if unknown:
        raise SystemExit(f"There are no samples for {', '.join(unknown)}.")
    return found


def grid_of(admin: Caller, url: str) -> Row:
    """The requests of Airflow's grid for the busy site's DAG, which gets runs. Each has three."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT slug FROM sites ORDER BY id LIMIT 1").fetchone()
        assert row
    dag_id = f"site__{row[0]}"
    runs = [each["dag_run_id"] for each in _runs(admin, dag_id)]
    for number in range(len(runs), GRID_RUNS):
        body = json.dumps({"dag_run_id": f"grid__{number}", "logical_date": None})
        admin.send("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
    runs = [each["dag_run_id"] for each in _runs(admin, dag_id)]
    query = "&".join(f"run_ids={run}" for run in runs)
    urls = [
        f"/ui/grid/structure/{dag_id}?limit={GRID_RUNS}", f"/ui/grid/runs/{dag_id}?limit={GRID_RUNS}",
        f"/ui/grid/ti_summaries/{dag_id}?{query}",
    ]  # fmt: skip
    return Row(admin, Question(GRID, urls, paged=False))


def _runs(admin: Caller, dag_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get(f"/api/v2/dags/{dag_id}/dagRuns?limit={GRID_RUNS}")["dag_runs"]
    return found


@dataclass
class Mixed:
    """All pages and Airflow's grid, asked among each other."""

    rows: Sequence[Row]
    grid: Row

    def measure(self, rounds: int, clients: int) -> None:
        """Open everything so many times, and the grid so often that its numbers hold."""
        parts = [Row(self.grid.caller, Question(url, [url], paged=False)) for url in self.grid.question.urls]
        ask([*self.rows, *parts], rounds, clients)
        self.grid.seconds = [sum(times) for times in zip(*(part.seconds for part in parts), strict=True)]

    def report(self) -> dict[str, Any]:
        """Print the table. Returns what the JSON line says about it."""
        slower: dict[str, Row] = {}
        for row in self.rows:
            name = row.question.name
            if name not in slower or row.at(0.95) > slower[name].at(0.95):
                slower[name] = row
        airflow = self.grid.at(0.95)
        ours = sorted(slower.values(), key=lambda row: -row.at(0.95))
        print(f"\n{'GET':<44} {'caller':<7} {'p50 ms':>8} {'p95 ms':>8} {'p95/grid':>9}")
        for row in [*ours, self.grid]:
            print(
                f"{row.question.name:<44} {row.caller.name:<7} {row.at(0.5):8.1f} {row.at(0.95):8.1f}"
                f" {row.at(0.95) / airflow:9.2f}"
            )
        return {
            "airflow_grid_p95_ms": round(airflow, 1),
            "worst": ours[0].question.name,
            "worst_p95_ms": round(ours[0].at(0.95), 1),
            "worst_p95_over_airflow_grid": round(ours[0].at(0.95) / airflow, 3),
        }


# Open pages ---------------------------------------------------------------------------------------------


@dataclass
class OpenPages:
    """Pages that are left open by one viewer. ``every``: seconds between what happens in the account."""

    viewer: Caller
    airflow: str
    url: str
    counted: Sequence[Child]
    every: float
    late: list[float] = field(default_factory=list)
    committed: float = 0.0
    refused: int = 0

    async def measure(self, number: int, seconds: float) -> dict[str, Any]:
        """Leave so many open for so long. Returns what the JSON line says about it."""
        site, run, account = self._busy()
        kinds = [
            (f"{BASE}/events", f"{BASE}/"),
            (f"{BASE}/sites/{site}/events", f"{BASE}/sites/{site}/board"),
            (f"{BASE}/review/events?account={ACCOUNT}", f"{BASE}/review/list?account={ACCOUNT}"),
        ]
        listening = [asyncio.create_task(self._page(*kinds[turn % len(kinds)])) for turn in range(number)]
        await asyncio.sleep(5)
        before, began = self._cpu(), time.monotonic()
        with Store(self.url, max_size=1) as store:
            while time.monotonic() - began < seconds:
                with store.transaction(account) as tx:
                    control.event(tx, run, "item_done", "An article is written")
                self.committed = time.monotonic()
                await asyncio.sleep(self.every)
        cores = (self._cpu() - before) / (time.monotonic() - began)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        if len(self.late) < number:
            raise SystemExit(f"{number} pages were open, and heard {len(self.late)} times of an update")
        late = sorted(self.late)
        return {
            "open_pages": number,
            "updates_heard": len(late),
            "parts_refused": self.refused,
            "update_p50_seconds": round(late[len(late) // 2], 2),
            "update_p95_seconds": round(late[int(0.95 * (len(late) - 1))], 2),
            "open_pages_cores": round(cores, 3),
        }

    def _busy(self) -> tuple[int, int, int]:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT workflow_id, id, account_id FROM runs WHERE status = 'running'"
                " AND workflow_id = (SELECT min(id) FROM sites) ORDER BY id DESC LIMIT 1"
            ).fetchone()
        assert row, "the busy site has a live run"
        return row[0], row[1], row[2]

    async def _page(self, events: str, part: str) -> None:
        """Listen, and ask for the part whenever something changed."""
        async with self._opened(events) as lines:
            async for line in lines:
                if line.startswith(b"event: changed"):
                    self.late.append(time.monotonic() - self.committed)
                    async with self._opened(part) as answer:
                        async for _ in answer:
                            pass

    @contextlib.asynccontextmanager
    async def _opened(self, path: str) -> Any:
        place = urlsplit(self.airflow)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.viewer.headers.items())
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n{headers}\r\n".encode()
        )
        status = await reader.readline()
        self.refused += b" 429 " in status
        if b" 200 " not in status and b" 429 " not in status:
            raise SystemExit(f"{path}: {status.decode()}")
        try:
            yield reader
        finally:
            writer.close()

    def _cpu(self) -> float:
        """CPU seconds so far of what is counted."""
        return sum(cpu_seconds(child) for child in self.counted)


if __name__ == "__main__":
    main()
