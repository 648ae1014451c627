"""How fast the control API answers for a large account, beside Airflow's own API in the same process.

1,000 sites, 100,000 articles and 1,000,000 events of runs, most of them one account's. Several clients ask
one API server, each as fast as it is answered. The requests of all endpoints are mixed, so that all have the
same neighbours; Airflow's own `GET /api/v2/dags`, over the DAGs of the same sites, is one of them.

The endpoints are those of the API's own OpenAPI document: each GET without what may be left out, then with
one filter at a time, and the page after the first one. An endpoint or a parameter that api_requests.py has no
sample for ends the benchmark. Each is called by a member of the account and by an administrator of Airflow;
the slower of the two counts.

    python -m benchmarks.api [--sites 1000] [--articles 100000] [--events 1000000] [--requests 200]
        [--clients 4] [--only PART] [--root DIR]

The last line is one JSON object: worst_p95_over_airflow (aim: at most 1).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from tests.support.roots import throwaway_root

from benchmarks.api_requests import Question, questions, samples_of
from benchmarks.large_world import ACCOUNT, MEMBER, Sizes, load
from benchmarks.parse import serialized
from benchmarks.waiting import progress
from pressroom.store.migrate import migrate
from pressroom_dev.local.airflow_processes import ADMIN, API_SERVER
from pressroom_dev.local.processes import wait_until
from pressroom_dev.local.services import LocalServices

BASE = "/pressroom/api/v1"
AIRFLOW = "/api/v2/dags"


@dataclass
class Row:
    """A line of the table, as one caller has it. ``seconds``: how long each answer took."""

    caller: Caller
    question: Question
    seconds: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Milliseconds that this share of the answers took at most."""
        return 1000 * sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


def main() -> None:
    """Fill the databases, start the server, ask it, and print the table and the JSON line."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--sites", type=int, default=Sizes.sites)
    arguments.add_argument("--articles", type=int, default=Sizes.articles)
    arguments.add_argument("--events", type=int, default=Sizes.events)
    arguments.add_argument("--requests", type=int, default=200, help="of each kind, by each caller")
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--only", default="", help="endpoints with this in their name")
    arguments.add_argument("--root", type=Path, help="keeps the databases, and uses those that it has")
    options = arguments.parse_args()
    with large_installation(options.root, Sizes(options.sites, options.articles, options.events)) as (
        services,
        folder,
    ):
        url = services.info.database_url
        callers = api_server(services, folder)
        rows = every_row(callers, samples_of(url), options.only)
        progress("api", f"{len(rows)} kinds of requests")
        ask(rows, max(10, options.requests // 10), options.clients)  # to warm up
        for row in rows:
            row.seconds.clear()
        began = time.monotonic()
        ask(rows, options.requests, options.clients)
        took = time.monotonic() - began
        sized = {table: count(url, table) for table in ("sites", "contents", "run_events")}
    requests = sum(len(row.seconds) for row in rows)
    load_facts = {"clients": options.clients, "requests": requests, "per_second": round(requests / took, 1)}
    print(json.dumps(sized | load_facts | report(rows)))


@contextlib.contextmanager
def large_installation(root: Path | None, sizes: Sizes) -> Iterator[tuple[LocalServices, Path]]:
    """Databases with a large account and the DAGs of its sites, and their folder; nothing of Airflow runs.

    ``root``: the folder, which is kept, and used again as it is; None: one that is thrown away.
    """
    with contextlib.nullcontext(root) if root else throwaway_root() as folder:
        services = LocalServices(
            folder, model=False, airflow=False, report=progress,
            extra_env={
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{MEMBER}:viewer",
                "PRESSROOM_API_RATE": "100000000/minute",
            },
        )  # fmt: skip
        with services:
            url = services.info.database_url
            migrate(url)
            if count(url, "accounts") < 2:  # the second one comes last
                load(url, folder / "media", sizes, lambda part: progress("load", part))
            serialize(services.environment, count(url, "sites"))
            yield services, folder


def count(url: str, table: str) -> int:
    """How many rows a table has."""
    with psycopg.connect(url) as connection:
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))
        row = connection.execute(query).fetchone()
        assert row
        return int(row[0])


def serialize(env: dict[str, str], sites: int) -> None:
    """Let a dag processor write the DAGs of all sites."""
    while (found := serialized(env)) < sites:
        progress("dag processor", f"{found} DAGs of {sites} sites")
        subprocess.run(
            [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"],
            env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


# The server and who asks it ---------------------------------------------------------------------------


class Caller:
    """Somebody with a login. Each thread has a connection of its own."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.name = name
        self._host = urlsplit(url).netloc
        self._own = threading.local()
        self.headers = {"Content-Type": "application/json"}
        login = json.dumps({"username": name, "password": password})
        token = json.loads(self.send("POST", "/auth/token", login))["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """What is there, read. Raises RuntimeError."""
        return json.loads(self.send("GET", path))

    def send(self, method: str, path: str, body: str | None = None) -> bytes:
        """The whole answer, not read. Raises RuntimeError when it is an error."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            self._own.connection = connection = http.client.HTTPConnection(self._host, timeout=120)
        try:
            connection.request(method, path, body, self.headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server closes what was idle for a while, as it may; a server that is gone refuses this one.
            connection.close()
            connection.request(method, path, body, self.headers)
            answer = connection.getresponse()
        content: bytes = answer.read()
        if answer.status >= 300:
            said = content[:1000].decode(errors="replace")
            raise RuntimeError(f"{method} {path} as {self.name}: {answer.status} {said}")
        return content


def api_server(services: LocalServices, folder: Path) -> list[Caller]:
    """Start Airflow's API server with Pressroom's routes. Returns who calls it."""
    url = services.info.airflow_url
    child = services.start(API_SERVER)
    wait_until(
        lambda: child.serves(lambda: answers(url)),
        children=[child], timeout=180, what="Airflow's API server",
    )  # fmt: skip
    passwords = json.loads((folder / "airflow" / "passwords.json").read_text("utf-8"))
    return [Caller(url, name, passwords[name]) for name in (MEMBER, ADMIN)]


def answers(url: str) -> bool:
    """Whether the server answers at all."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", "/api/v2/version")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# The load ---------------------------------------------------------------------------------------------


def every_row(callers: Sequence[Caller], samples: Mapping[str, list[str]], only: str) -> list[Row]:
    """All lines of the table, Airflow's first. Raises SystemExit, naming what has no sample."""
    document = callers[0].get(f"{BASE}/openapi.json")
    rows = [Row(caller, Question(AIRFLOW, [AIRFLOW], paged=False)) for caller in callers]
    for caller in callers:
        account = ACCOUNT if caller.name == ADMIN else None
        found = [one for one in questions(document, BASE, samples, account) if only in one.name]
        rows += [Row(caller, one) for one in found]
        rows += [Row(caller, after) for one in found if (after := next_page(caller, one))]
    return rows


def next_page(caller: Caller, question: Question) -> Question | None:
    """The page after the first one, if there is one."""
    if not question.paged:
        return None
    url = question.urls[0]
    cursor = caller.get(url)["next_cursor"]
    if cursor is None:
        return None
    joined = f"{url}{'&' if '?' in url else '?'}cursor={quote(cursor)}"
    return Question(f"{question.name}?cursor", [joined], paged=False)


def ask(rows: Sequence[Row], rounds: int, clients: int) -> None:
    """Ask everything so many times, in an order that mixes all. Raises the first error."""
    waiting = schedule(rows, rounds)
    lock = threading.Lock()
    errors: list[Exception] = []

    def client() -> None:
        while not errors:
            with lock:
                row, url = next(waiting, (None, ""))
            if row is None:
                return
            began = time.perf_counter()
            try:
                row.caller.send("GET", url)
            except (RuntimeError, OSError, http.client.HTTPException) as error:
                errors.append(error)
                return
            row.seconds.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def schedule(rows: Sequence[Row], rounds: int) -> Iterator[tuple[Row, str]]:
    """Who asks what, in order: everything once a round; Airflow's thrice, since all is held against it."""
    dice = random.Random(7)
    for turn in range(rounds):
        mixed = [row for row in rows for _ in range(3 if row.question.name == AIRFLOW else 1)]
        dice.shuffle(mixed)
        for row in mixed:
            yield row, row.question.urls[turn % len(row.question.urls)]


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Print the table. Returns what the JSON line says about it."""
    slower: dict[str, Row] = {}
    for row in rows:
        name = row.question.name
        if name not in slower or row.at(0.95) > slower[name].at(0.95):
            slower[name] = row
    # Beside the faster of Airflow's: that is the harder comparison.
    airflow = min(row.at(0.95) for row in rows if row.question.name == AIRFLOW)
    ours = sorted((row for name, row in slower.items() if name != AIRFLOW), key=lambda row: -row.at(0.95))
    print(f"\n{'GET':<56} {'caller':<7} {'p50 ms':>8} {'p95 ms':>8} {'p95/Airflow':>12}")
    for row in [*ours, slower[AIRFLOW]]:
        print(
            f"{row.question.name:<56} {row.caller.name:<7} {row.at(0.5):8.1f} {row.at(0.95):8.1f}"
            f" {row.at(0.95) / airflow:12.2f}"
        )
    return {
        "airflow_p95_ms": round(airflow, 1),
        "worst": ours[0].question.name,
        "worst_p95_ms": round(ours[0].at(0.95), 1),
        "worst_p95_over_airflow": round(ours[0].at(0.95) / airflow, 3),
        "slower_than_airflow": [row.question.name for row in ours if row.at(0.95) > airflow],
    }


if __name__ == "__main__":
    main()
