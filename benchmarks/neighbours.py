"""What one account at its worst costs another one at the control API.

Two accounts on one real API server and Postgres. The neighbour's calls (a site, its keywords, its jobs, and a
change of a brand context) are measured quiet, then while the other account does what it may: slow templates,
keyword lists of 1.5 MB, hostile HTML, 1,000 open log streams (a quota that its operator has raised). All of
it is within the usual 600 calls a minute of each caller.

    python -m benchmarks.neighbours [--seconds 30]

The last line is one JSON object: neighbour_p95_ratio (aim: at most 1.5), and how the other's calls ended.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
STREAMS = 1000
PAUSE_SECONDS = 0.12
"""Between the neighbour's calls: 600 a minute with their own time."""
SLOW = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
HOSTILE = "<p>" + "".join(f"<b a={n}>" for n in range(400)) + "<p>x" * 400
Call = tuple[str, str, str | None]


def main() -> None:
    """Measure, and print the JSON line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=30.0)
    seconds = arguments.parse_args().seconds
    with throwaway_root() as folder:
        users = f"{ADMIN}:admin,{MEMBER}:viewer,{NEIGHBOUR}:viewer"
        services = LocalServices(
            folder, model=False, airflow=False, report=progress,
            extra_env={"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users},
        )  # fmt: skip
        with services:
            url = services.info.database_url
            migrate(url)
            load(url, folder / "media", Sizes(20, 200, 2000), lambda part: progress("load", part))
            with psycopg.connect(url) as connection:
                connection.execute(
                    'UPDATE accounts SET definition = definition || \'{"quotas": {"log_streams": 1000}}\''
                )
                row = connection.execute("SELECT id FROM sites WHERE slug = 'corner-shop'").fetchone()
                assert row
            greedy, _ = api_server(services, folder)
            airflow = services.info.airflow_url
            passwords = json.loads((folder / "airflow" / "passwords.json").read_text("utf-8"))
            neighbour = Caller(airflow, NEIGHBOUR, passwords[NEIGHBOUR])
            calls = neighbours_calls(neighbour, row[0])
            progress("warm up", "the neighbour's calls")
            p95(neighbour, calls, 5)
            quiet = p95(neighbour, calls, seconds)
            progress("quiet", f"{quiet:.1f} ms")
            worst = Worst(airflow, greedy, samples_of(url))
            with worst.going_on():
                beside = p95(neighbour, calls, seconds)
            progress("beside", f"{beside:.1f} ms")
    facts = {"quiet_p95_ms": round(quiet, 1), "beside_p95_ms": round(beside, 1), "streams": worst.opened}
    answers = {name: dict(sorted(counts.items())) for name, counts in worst.answers.items()}
    print(json.dumps({"neighbour_p95_ratio": round(beside / quiet, 2), **facts, "answers": answers}))


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
    """What the other account does. ``answers``: how often each kind of call had which status."""

    def __init__(self, url: str, caller: Caller, samples: dict[str, list[str]]) -> None:
        self._url, self._caller, self._samples = url, caller, samples
        self._headers = caller.headers
        self._over = threading.Event()
        self.answers: dict[str, Counter[int]] = {}
        self.opened = 0

    def going_on(self) -> ExitStack:
        """It goes on until the context ends."""
        site, article, run = (self._samples[kind][0] for kind in ("site", "article", "site run"))
        keywords = "keyword\n" + "".join(f"some words {n}\n" for n in range(90_000))
        work: list[tuple[str, int, str, str, Callable[[int], str], str]] = [
            ("templates", 8, "PATCH", f"{BASE}/sites/{site}",
             lambda turn: json.dumps({"prompts": {"ideas": {"system": f"{turn} {SLOW}"}}}),
             "application/json"),
            ("imports", 3, "POST", f"{BASE}/keywords/import?site_id={site}",
             lambda turn: keywords.replace("words", f"words {turn}"), "text/csv"),
            ("html", 2, "PATCH", f"{BASE}/content/{article}",
             lambda turn: json.dumps({"html": f"{HOSTILE}{turn}"}), "application/json"),
        ]  # fmt: skip
        stack = ExitStack()
        self._open_streams(stack, f"{BASE}/pipeline/jobs/{run}/logs?stream=true&after=1000000")
        progress("streams", f"{self.opened} open")
        stack.callback(self._over.set)
        for name, threads, *call in work:
            self.answers[name] = Counter()
            for _ in range(threads):
                thread = threading.Thread(target=self._send, args=(name, *call), daemon=True)
                thread.start()
        time.sleep(3)
        return stack

    def _open_streams(self, stack: ExitStack, path: str) -> None:
        """Open them as fast as the caller may, which takes two minutes, and read nothing of them."""
        place = urlsplit(self._url)
        head = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
        request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n{head}\r\n".encode()
        until = time.monotonic() + 300
        while self.opened < STREAMS and time.monotonic() < until:
            stream = stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60))
            stream.sendall(request)
            status = int(stream.recv(200).split()[1])
            self.opened += status == 200
            if status != 200:
                stream.close()
                time.sleep(2)

    def _send(self, name: str, method: str, path: str, body: Callable[[int], str], kind: str) -> None:
        for turn in self._turns():
            connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=120)
            try:
                headers = {**self._headers, "Content-Type": kind}
                connection.request(method, path, body(turn), headers)
                answer = connection.getresponse()
                answer.read()
                self.answers[name][answer.status] += 1
                wait = float(answer.headers.get("Retry-After") or 0)
            except OSError:
                wait = 1.0
            finally:
                connection.close()
            self._over.wait(min(wait, 2.0))

    def _turns(self) -> Iterator[int]:
        turn = threading.get_ident() % 100_000 * 1000
        while not self._over.is_set():
            turn += 1
            yield turn


if __name__ == "__main__":
    main()
