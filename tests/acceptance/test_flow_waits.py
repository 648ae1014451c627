"""Many runs of a flow that wait at a gate, in a real Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pressroom_dev.local.services import LocalServices
from tests.acceptance.desk import Desk
from tests.acceptance.outside import Outside
from tests.support.scripted_openai import ScriptedOpenAI

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

RUNS = 17


@pytest.fixture
def crowded(services: LocalServices, model: ScriptedOpenAI, outside: Outside) -> Iterator[Desk]:
    """A flow whose runs wait at a gate."""
    with Desk("crowded", services, model, outside) as desk:
        yield desk


def test_more_runs_of_a_flow_wait_at_gates_than_could_work_at_once(crowded: Desk) -> None:
    runs = [crowded.trigger(item={"id": f"order-{number}"}) for number in range(RUNS)]
    crowded.until(lambda: open_gates(crowded) == RUNS, f"{RUNS} runs to wait", seconds=200)
    assert {crowded.api.run_state(crowded.dag_id, run) for run in runs} == {"running"}
    crowded.steer("cancel")
    assert {crowded.finish(run) for run in runs} <= {"success", "failed"}
    assert {crowded.run_status(run) for run in runs} == {"cancelled"}
    assert open_gates(crowded) == 0


def open_gates(desk: Desk) -> int:
    return int(
        desk.sql(
            "SELECT count(*) FROM open_gates JOIN gates USING (id) JOIN flow_items AS i ON i.id = item_id"
            " WHERE i.flow_id = %(site)s"
        )[0][0]
    )
