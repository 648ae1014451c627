"""A flow under test in a running Airflow: its items, its gates, and the ways to answer them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import yaml

from pressroom.adapters.airflow_api import AirflowApi
from pressroom.domain.errors import TransientError
from pressroom.store.database import Store
from pressroom_dev.local.services import LocalServices
from tests.acceptance.newsroom import LONGEST_WAIT, Newsroom, apply_documents
from tests.acceptance.outside import Outside, Web
from tests.support.scripted_openai import ScriptedOpenAI

STRANGER = "meddler"
"""A user of Airflow who belongs to no account."""

PATTERNS = Path(__file__).parents[2] / "examples" / "patterns"


def pattern(slug: str) -> dict[str, Any]:
    """One of the recommended patterns as it is in examples/, switched on."""
    found: dict[str, Any] = yaml.safe_load((PATTERNS / f"{slug}.yaml").read_text("utf-8"))
    return {**{key: value for key, value in found.items() if key != "brand"}, "status": "active"}


def apply_flow(url: str, web: Web, slug: str, **settings: Any) -> None:
    """Apply an account and a flow of that slug, as a user would with files, over a feed of the tests.

    ``feed``: its name, if not the slug.
    """
    feed = settings.pop("feed", slug)
    flow = {
        "kind": "Flow", "slug": slug, "name": f"The {slug} flow", "allow_hosts": [web.address],
        "images": {"width": 320, "height": 256}, **settings, "account": settings.get("account", slug),
    }  # fmt: skip
    if flow["account"] == "demo":
        flow["account"] = slug
    for step in flow["steps"]:
        if step["type"] == "fetch":
            step["source"] = {"type": "rss", "url": f"{web.url}/{feed}.xml", "cap": 10}
    account = {
        "kind": "Account", "slug": flow["account"], "name": slug, "opening_credits": 1000,
        "grants": {"everything": True},
    }  # fmt: skip
    with Store(url) as store:
        apply_documents(store, account, flow)


class Desk(Newsroom):
    """One flow, its DAG, its rows, and what is outside."""

    def __init__(self, slug: str, services: LocalServices, model: ScriptedOpenAI, outside: Outside) -> None:
        super().__init__(slug, services, model, kind="flow")
        self.outside = outside

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def rules(self, *rules: Mapping[str, Any]) -> None:
        """What the model does from now on."""
        self.model.script.update({"rules": list(rules)})

    def items(self) -> dict[str, str]:
        """Title → status of every item."""
        return dict(
            self.sql("SELECT source ->> 'title', status FROM flow_items WHERE flow_id = %(site)s ORDER BY id")
        )

    def item_id(self, title: str) -> int:
        """The number of the newest item of that title."""
        return int(
            self.sql(
                "SELECT max(id) FROM flow_items WHERE flow_id = %(site)s AND source ->> 'title' = %(title)s",
                title=title,
            )[0][0]
        )

    def map_index(self, title: str) -> int:
        """Which of its run's chains an item goes through."""
        return int(
            self.sql(
                "SELECT count(*) FROM flow_items AS i JOIN flow_items AS j ON j.run_id = i.run_id"
                " AND j.position < i.position WHERE i.id = %(item)s",
                item=self.item_id(title),
            )[0][0]
        )

    def packets(self, title: str, kind: str) -> list[dict[str, Any]]:
        """The data of an item's packets of a kind, oldest first."""
        return [
            row[0]
            for row in self.sql(
                "SELECT data FROM packets WHERE item_id = %(item)s AND kind = %(kind)s ORDER BY id",
                item=self.item_id(title), kind=kind,
            )
        ]  # fmt: skip

    def gate(self, title: str) -> dict[str, Any] | None:
        """The item's gate: its id, outcome, task and who answered."""
        found = self.sql(
            "SELECT gates.id, outcome, answered_by, task FROM gates JOIN flow_items AS i ON i.id = item_id"
            " WHERE i.flow_id = %(site)s AND i.source ->> 'title' = %(title)s ORDER BY gates.id DESC LIMIT 1",
            title=title,
        )
        return dict(zip(("id", "outcome", "by", "task"), found[0], strict=True)) if found else None

    def told(self, event: str, title: str | None = None) -> list[dict[str, Any]]:
        """What the desk was told of this flow."""
        return [
            one
            for one in list(self.outside.web.told)
            if one["event"] == event and one["flow"] == self.slug and title in (None, one["item"]["title"])
        ]

    def link(self, title: str, name: str) -> str:
        """A link out of what the desk was told of an item: answer, approve or reject; its token behind #."""
        self.until(lambda: self.told("gate", title), f"word of the gate of {title}")
        told = self.told("gate", title)[-1]
        return f"{told[name]}#{told['token']}" if name == "answer" else str(told[name])

    def states(self, dag_run_id: str, task_id: str) -> dict[int, str]:
        """Map index → state of a task's instances."""
        found = self.api.task_instances(self.dag_id, dag_run_id)
        return {one["map_index"]: str(one["state"]) for one in found if one["task_id"] == task_id}

    def parked(self, dag_run_id: str, **where: str) -> bool:
        """Whether the items wait at these steps (title → step), and no task of the run holds a worker."""
        states = {
            (one["task_id"], one["map_index"]): one["state"]
            for one in self.api.task_instances(self.dag_id, dag_run_id)
        }
        waiting = all(
            states.get((f"item.{step}", self.map_index(title))) in ("deferred", "awaiting_input")
            for title, step in where.items()
        )
        return waiting and not {"running", "queued", "scheduled"} & set(states.values())

    def restart(self, *names: str) -> None:
        """Kill components and wait until Airflow answers again."""
        for name in names:
            self.services.replace(name)
        end = time.monotonic() + LONGEST_WAIT
        while not self._answers():
            assert time.monotonic() < end, "the API server did not come back"
            time.sleep(0.3)

    def _answers(self) -> bool:
        try:
            return self.api.dag_exists(self.dag_id)
        except TransientError:
            return False

    def page(self, words: str) -> str:
        """What the static site says on the pages with these words; '' when there is none."""
        pages = (self.services.root / "site").glob("*/index.md")
        return "\n".join(text for text in (page.read_text("utf-8") for page in pages) if words in text)


def as_stranger(desk: Desk) -> AirflowApi:
    """Airflow, as it lets somebody in who may operate it, and is no member of any account."""
    passwords = json.loads((desk.services.root / "airflow" / "passwords.json").read_text("utf-8"))
    return AirflowApi(desk.services.info.airflow_url, STRANGER, passwords[STRANGER])


def other_link(link: str, gate_id: int) -> str:
    """The link's token at another gate."""
    parts = urlsplit(link)
    path, _, _ = parts.path.rpartition("/")
    return parts._replace(path=f"{path}/{gate_id}").geturl()


def forged(link: str) -> str:
    """The link with another token."""
    return f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}"


def press(link: str, **fields: str) -> httpx.Response:
    """Send the form of an approval's page, as a browser does that opened the link."""
    page, _, token = link.partition("#")
    return httpx.post(page, data={"token": token, **fields}, timeout=30)


def answer(link: str, decision: str, **more: Any) -> httpx.Response:
    """Answer a webhook gate, as a service would."""
    address, _, token = link.partition("#")
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(address, json={"decision": decision, **more}, headers=headers, timeout=30)
