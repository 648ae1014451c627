"""What one account at its worst costs another one at the control API.

Two accounts on one real API server and Postgres. The neighbour's calls (a site, its keywords, its jobs, and a
change of a brand context) are measured quiet, then beside each load of the other account alone, then beside
all of them: slow templates, keyword lists of 1.5 MB, hostile HTML, and 1,000 open log streams (a quota that
its operator has raised). Each load is a member's of its own, so each has the usual 600 calls a minute, and
what it is refused for is the account's share. The quiet value is measured anew before each load, because a
machine that others use as well is never the same for long.

    python -m benchmarks.neighbours [--seconds 20]

The last line is one JSON object: neighbour_p95_ratio (aim: at most 1.5) beside all loads, the ratio of each
load, and how the other account's calls ended.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from tests.support.roots import throwaway_root

from benchmarks.api import BASE, Caller, api_server
from benchmarks.api_requests import samples_of
from benchmarks.large_world import MEMBER, Sizes, load
from benchmarks.waiting import progress
from pressroom.store.migrate import migrate
from pressroom_dev.local.airflow_processes import ADMIN
from pressroom_dev.local.services import LocalServices

NEIGHBOUR = "sam"
WORK = ("templates", "imports", "html")
LOADS = (*WORK, "streams")
STREAMS = 1000
PAUSE_SECONDS = 0.12
"""Between the neighbour's calls: 600 a minute with their own time."""
SETTLE_SECONDS = 3.0
"""From the beginning or end of a load to the next measurement: calls that have begun end by themselves."""
SLOW = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
HOSTILE = "<p>" + "".join(f"<b a={n}>" for n in range(400)) + "<p>x" * 400
Call = tuple[str, str, str | None]


def main() -> None:
    """Measure, and print the JSON line."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    seconds = arguments.parse_args().seconds
    with throwaway_root() as folder:
        users = ",".join(f"{name}:viewer" for name in (MEMBER, NEIGHBOUR, *LOADS))
        services = LocalServices(
            folder, model=False, airflow=False, report=progress,
            extra_env={"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{users}"},
        )  # fmt: skip
        with services:
            url = services.info.database_url
            migrate(url)
            load(url, folder / "media", Sizes(20, 200, 2000), lambda part: progress("load", part))
            with psycopg.connect(url) as connection:
                connection.execute(
                    'UPDATE accounts SET definition = definition || \'{"quotas": {"log_streams": 1000}}\''
                )
                connection.execute(
                    "INSERT INTO members"
                    " SELECT account_id, unnest(%s::text[]), role FROM members WHERE username = %s",
                    [list(LOADS), MEMBER],
                )
                row = connection.execute("SELECT id FROM sites WHERE slug = 'corner-shop'").fetchone()
                assert row
            api_server(services, folder)
            airflow = services.info.airflow_url
            passwords = json.loads((folder / "airflow" / "passwords.json").read_text("utf-8"))
            callers = {name: Caller(airflow, name, passwords[name]) for name in (NEIGHBOUR, *LOADS)}
            measured = measure(callers, Worst(airflow, callers, samples_of(url)), row[0], seconds)
    print(json.dumps(measured))


def measure(callers: Mapping[str, Caller], worst: Worst, site: int, seconds: float) -> dict[str, Any]:
    """The ratios, the figures behind them, and how the calls of the loads ended."""
    neighbour = callers[NEIGHBOUR]
    calls = neighbours_calls(neighbour, site)
    progress("warm up", "the neighbour's calls")
    p95(neighbour, calls, 5)
    figures: dict[str, dict[str, Any]] = {}

    def compare(title: str, quiet: float) -> None:
        time.sleep(SETTLE_SECONDS)
        beside = p95(neighbour, calls, seconds)
        figures[title] = {
            "ratio": round(beside / quiet, 2), "quiet_p95_ms": round(quiet, 1),
            "beside_p95_ms": round(beside, 1), "answers": worst.answered(),
        }  # fmt: skip
        progress(title, json.dumps(figures[title]))

    for name in WORK:
        quiet = p95(neighbour, calls, seconds)
        with worst.going_on(name):
            compare(name, quiet)
        time.sleep(SETTLE_SECONDS)
    quiet = p95(neighbour, calls, seconds)
    with worst.streams():
        compare("streams", quiet)
        with worst.going_on(*WORK):
            compare("all", quiet)
    return {"neighbour_p95_ratio": figures["all"]["ratio"], "streams": worst.opened, "loads": figures}


def neighbours_calls(neighbour: Caller, site: int) -> list[Call]:
    """What the neighbour does, in turn."""
    made = json.loads(
        neighbour.send("POST", f"{BASE}/brand-contexts", json.dumps({"slug": "own", "name": "Own"}))
    )
    reads = [f"{BASE}/sites/{site}", f"{BASE}/keywords?site={site}", f"{BASE}/pipeline/jobs", f"{BASE}/sites"]
    change = ("PATCH", f"{BASE}/brand-contexts/{made['id']}", json.dumps({"voice": "calm"}))
    return [*(("GET", path, None) for path in reads), change]


def p95(caller: Caller, calls: list[Call], seconds: float) -> float:
    """Milliseconds that 95 % of the calls took at most. Raises RuntimeError when one is refused."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        caller.send(*calls[len(took) % len(calls)])
        took.append(1000 * (time.perf_counter() - began))
        time.sleep(PAUSE_SECONDS)
    return sorted(took)[int(0.95 * (len(took) - 1))]


class Worst:
    """What the other account does: each load as a member of its own. ``opened``: streams that are open."""

    def __init__(self, url: str, callers: Mapping[str, Caller], samples: dict[str, list[str]]) -> None:
        self._url, self._callers, self._samples = url, callers, samples
        self._answers: dict[str, Counter[int]] = {}
        self.opened = 0

    def answered(self) -> dict[str, dict[int, int]]:
        """How often each load's calls had which status since it began."""
        return {name: dict(sorted(counts.items())) for name, counts in self._answers.items()}

    @contextmanager
    def going_on(self, *names: str) -> Iterator[None]:
        """These loads go on meanwhile."""
        site, article = (self._samples[kind][0] for kind in ("site", "article"))
        keywords = "keyword\n" + "".join(f"some words {n}\n" for n in range(90_000))
        work: dict[str, tuple[int, str, str, Callable[[int], str], str]] = {
            "templates": (8, "PATCH", f"{BASE}/sites/{site}",
             lambda turn: json.dumps({"prompts": {"ideas": {"system": f"{turn} {SLOW}"}}}),
             "application/json"),
            "imports": (3, "POST", f"{BASE}/keywords/import?site_id={site}",
             lambda turn: keywords.replace("words", f"words {turn}"), "text/csv"),
            "html": (2, "PATCH", f"{BASE}/content/{article}",
             lambda turn: self._edit(article, f"{HOSTILE}{turn}"), "application/json"),
        }  # fmt: skip
        over = threading.Event()
        self._answers = {name: Counter() for name in names}
        for name in names:
            threads, *call = work[name]
            for _ in range(threads):
                threading.Thread(target=self._send, args=(name, over, *call), daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _edit(self, article: str, html: str) -> str:
        """An edit of the version that is there now. Another thread's may come first: that is a 409."""
        try:
            seen = self._callers["html"].get(f"{BASE}/content/{article}")["content_hash"]
        except RuntimeError:  # refused: too many calls
            seen = ""
        return json.dumps({"html": html, "content_hash": seen})

    @contextmanager
    def streams(self) -> Iterator[None]:
        """The streams are open meanwhile."""
        self._answers = {}
        with ExitStack() as stack:
            self._open_streams(stack, f"{BASE}/pipeline/jobs/{self._samples['site run'][0]}/logs?stream=true")
            progress("streams", f"{self.opened} open")
            yield

    def _open_streams(self, stack: ExitStack, path: str) -> None:
        """Open them as fast as the caller may, which takes two minutes, and read nothing of them. Each waits
        after another line, so that no two ask the same.
        """
        place = urlsplit(self._url)
        head = "".join(f"{name}: {value}\r\n" for name, value in self._callers["streams"].headers.items())
        until = time.monotonic() + 300
        while self.opened < STREAMS and time.monotonic() < until:
            after = 1_000_000 + self.opened
            request = f"GET {path}&after={after} HTTP/1.1\r\nHost: {place.netloc}\r\n{head}\r\n".encode()
            stream = stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60))
            stream.sendall(request)
            status = int(stream.recv(200).split()[1])
            self.opened += status == 200
            if status != 200:
                stream.close()
                time.sleep(2)

    def _send(
        self, name: str, over: threading.Event, method: str, path: str, body: Callable[[int], str], kind: str
    ) -> None:
        turn, answers = threading.get_ident() % 100_000 * 1000, self._answers[name]
        while not over.is_set():
            turn += 1
            connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=120)
            try:
                headers = {**self._callers[name].headers, "Content-Type": kind}
                connection.request(method, path, body(turn), headers)
                answer = connection.getresponse()
                answer.read()
                answers[answer.status] += 1
                wait = float(answer.headers.get("Retry-After") or 0)
            except OSError:
                wait = 1.0
            finally:
                connection.close()
            over.wait(min(wait, 2.0))


if __name__ == "__main__":
    main()
