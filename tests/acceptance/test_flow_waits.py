"""Many runs of a flow that wait at a gate, in a real Airflow."""

from __future__ import annotations

import pytest

from tests.acceptance.desk import Desk

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

RUNS = 17


@pytest.mark.site("crowded")
def test_more_runs_of_a_flow_wait_at_gates_than_could_work_at_once(desk: Desk) -> None:
    runs = [desk.trigger(item={"id": f"order-{number}"}) for number in range(RUNS)]
    desk.until(lambda: open_gates(desk) == RUNS, f"{RUNS} runs to wait", seconds=200)
    assert {desk.api.run_state(desk.dag_id, run) for run in runs} == {"running"}
    desk.steer("cancel")
    assert {desk.finish(run) for run in runs} <= {"success", "failed"}
    assert {desk.run_status(run) for run in runs} == {"cancelled"}
    assert open_gates(desk) == 0


def open_gates(desk: Desk) -> int:
    return int(
        desk.sql(
            "SELECT count(*) FROM open_gates JOIN gates USING (id) JOIN flow_items AS i ON i.id = item_id"
            " WHERE i.flow_id = %(site)s"
        )[0][0]
    )
