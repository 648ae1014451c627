"""One bad definition harms nobody else: it is refused at both doors, and in the database an import error."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.domain.errors import DefinitionError
from pressroom.store.database import Store
from pressroom_dev.local.services import LocalServices
from tests.acceptance.bad_definitions import ACCOUNT, definitions
from tests.acceptance.caller import Caller
from tests.acceptance.desk import Desk

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300), pytest.mark.site(ACCOUNT)]

PATHS = {"Site": "/sites", "Flow": "/flows", "Mission": "/missions"}
FIELDS = {"Site": "cron", "Flow": "asset", "Mission": "starts_at"}
APPEARS_SECONDS = 150.0


def airflow(services: LocalServices, call: Caller, path: str) -> Any:
    answer = httpx.get(
        f"{services.info.airflow_url}/api/v2{path}", headers=dict(call.http.headers), timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("kind", PATHS)
def test_the_api_refuses_them_by_field(call: Caller, kind: str) -> None:
    body = {
        key: value
        for each in definitions(harmful=True, prefix="api-")
        if each["kind"] == kind
        for key, value in each.items()
        if key not in ("kind", "account")
    }
    answer = call("POST", f"{PATHS[kind]}?account={ACCOUNT}", expect=422, json=body)
    assert FIELDS[kind] in str(answer["errors"]), answer


def test_apply_refuses_them_by_line(services: LocalServices, tmp_path: Path) -> None:
    wanted = definitions(harmful=True, prefix="applied-")
    said = []
    for each in wanted[1:]:
        file = tmp_path / "bad.yaml"
        file.write_text(yaml.safe_dump_all([wanted[0], each]), "utf-8")
        with Store(services.info.database_url) as store, pytest.raises(DefinitionError) as refused:
            apply(store, load(file))
        [problem] = refused.value.problems
        said.append(problem)
        assert FIELDS[each["kind"]] in problem
        assert "bad.yaml:" in problem
    assert "URI format postgres://" in said[1]


@pytest.mark.site("beside-bad", "edited", "anthropic-mission", "whole")
def test_in_the_database_they_are_one_import_error_each_and_others_run(
    desk: Desk, services: LocalServices, call: Caller
) -> None:
    expected = {
        f"flows.py: flow bad-flow of {ACCOUNT}",
        f"missions.py: mission bad-mission of {ACCOUNT}",
    }
    until = time.monotonic() + APPEARS_SECONDS
    while True:
        errors = airflow(services, call, "/importErrors?limit=100")["import_errors"]
        shown = {error["filename"]: error["stack_trace"] for error in errors}
        sites = [name for name in shown if name.endswith(f": site bad-site of {ACCOUNT}")]
        if (expected <= shown.keys() and sites) or time.monotonic() > until:
            break
        time.sleep(1)
    assert {*expected, *sites} == shown.keys()
    assert len(sites) == 1
    assert "URI format postgres://" in shown[f"flows.py: flow bad-flow of {ACCOUNT}"]
    # All other DAGs of the same files are there, and none is stale or has the error of another.
    dags = {
        dag["dag_id"]: dag
        for offset in (0, 100)
        for dag in airflow(services, call, f"/dags?limit=100&offset={offset}&exclude_stale=false")["dags"]
    }
    assert {"flow__beside-bad", "flow__edited", "mission__anthropic-mission", "site__whole"} <= dags.keys()
    others = [dag for name, dag in dags.items() if "bad-" not in name]
    assert [dag["dag_id"] for dag in others if dag["is_stale"] or dag["has_import_errors"]] == []
    run = desk.trigger(item={"id": "1", "title": "Beside", "text": "A text."})
    assert desk.finish(run) == "success"
