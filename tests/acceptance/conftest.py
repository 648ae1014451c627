"""One real Airflow for the whole session: scheduler, dag processor, triggerer, API server, Postgres.

The model is the scripted OpenAI-compatible server. Every test has a site and an account of its own, all
applied before Airflow starts, so that no test waits for a DAG to appear.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pressroom.local.services import LocalServices
from pressroom.store.migrate import migrate
from tests.acceptance.newsroom import Newsroom, apply_site
from tests.support.roots import throwaway_root
from tests.support.scripted_openai import ScriptedOpenAI

KEYWORDS = [
    "pour over coffee", "pour over ratio", "pour over kettle", "cold brew coffee", "cold brew ratio",
    "cold brew concentrate", "espresso grind size", "espresso tamping", "espresso machine descaling",
    "french press time", "french press grind", "french press sediment",
]  # fmt: skip

SITES: dict[str, dict[str, Any]] = {
    "whole": {"articles_per_run": 3},
    "killed": {"batch": 12},
    "steered": {},
    "cancelled": {},
    "twice": {},
    "poor": {"opening_credits": 10},
    "faults": {"concurrency": 16},
    "limited": {},
    "capped": {"run_cents": 3},
    "disconnected": {"connection": "pressroom_nowhere"},
    "delayed": {"within_stage_delay": 4},
    "unreachable": {"connection": "pressroom_unreachable"},
    "hourly": {"cron": "* * * * *"},
}


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedOpenAI]:
    """The scripted model server."""
    with ScriptedOpenAI() as server:
        yield server


@pytest.fixture(scope="session")
def services(model: ScriptedOpenAI) -> Iterator[LocalServices]:
    """The running services, with every site of this folder applied."""
    connection = {
        "conn_type": "generic", "host": model.base_url, "password": "not-a-secret",
        "extra": {"model": "scripted-1", "timeout_seconds": 3,
                  "prices": {"input_cents_per_million": 1000, "output_cents_per_million": 1000}},
    }  # fmt: skip

    def prepare(url: str) -> None:
        migrate(url)
        for slug, settings in SITES.items():
            apply_site(url, slug, **settings)

    nobody = {**connection, "host": "http://127.0.0.1:9/v1"}
    env = {
        "AIRFLOW_CONN_PRESSROOM_TEXT": json.dumps(connection),
        "AIRFLOW_CONN_PRESSROOM_UNREACHABLE": json.dumps(nobody),
    }
    with throwaway_root() as root:
        services = LocalServices(root, extra_env=env, model=False, prepare=prepare)
        with services:
            yield services


@pytest.fixture
def newsroom(
    request: pytest.FixtureRequest, services: LocalServices, model: ScriptedOpenAI
) -> Iterator[Newsroom]:
    """The site named by the test's ``site`` marker, and a model server that answers well."""
    marker = request.node.get_closest_marker("site")
    assert marker, "name the test's site: @pytest.mark.site(…)"
    model.script.clear()
    with Newsroom(marker.args[0], services, model) as opened:
        yield opened


@pytest.fixture(scope="session")
def keywords_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small keyword list."""
    file = tmp_path_factory.mktemp("lists") / "keywords.csv"
    file.write_text("keyword\n" + "\n".join(KEYWORDS) + "\n", encoding="utf-8")
    return file
