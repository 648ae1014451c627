"""A mission under test in a running Airflow, and the simulator that it posts to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from pressroom.engine.runs import reports
from pressroom.pipelines.mission.pipeline import MISSION
from pressroom.store.database import Store
from pressroom_dev.demo.fast_forward import FastForward
from pressroom_dev.local.services import LocalServices
from tests.acceptance.newsroom import ENDED, Newsroom, apply_documents
from tests.support.scripted_openai import ScriptedOpenAI


def apply_mission(url: str, slug: str, **settings: Any) -> None:
    """Apply an account and a mission of that slug, as a user would with files."""
    mission = {
        "kind": "Mission", "account": slug, "slug": slug, "name": f"The {slug} mission", "status": "active",
        "objectives": ["be known for good coffee"], "platforms": ["twitter", "linkedin"],
        "pillars": ["Brewing", "Beans"], "duration_days": 60, "cycle_days": 7,
        "measuring": {"poll_minutes": 1440}, "learning": {"minimum_posts": 8},
        "images": {"width": 320, "height": 256}, "work": {"concurrency": 8}, **settings,
    }  # fmt: skip
    account = {
        "kind": "Account", "slug": slug, "name": slug, "opening_credits": 1000,
        "grants": {"everything": True},
    }  # fmt: skip
    with Store(url) as store:
        apply_documents(store, account, mission)


class Campaign(Newsroom):
    """One mission, its DAG, its rows, and the simulator."""

    def __init__(self, slug: str, services: LocalServices, model: ScriptedOpenAI) -> None:
        super().__init__(slug, services, model, kind="mission")
        assert services.info.simulator_url
        self.simulator = httpx.Client(base_url=services.info.simulator_url, timeout=30)
        self.faults()

    def __exit__(self, *exception: object) -> None:
        self.simulator.close()
        super().__exit__(*exception)

    def faults(self, *faults: dict[str, Any]) -> None:
        """What the simulator does wrong from now on; nothing when none is given."""
        self.simulator.post("/simulator/faults", json=list(faults)).raise_for_status()

    def now(self) -> datetime:
        """The simulator's time."""
        return datetime.fromisoformat(self.simulator.get("/simulator/clock").json()["now"])

    def advance(self, by: timedelta) -> None:
        """Move the simulator's clock on."""
        body = {"advance_seconds": by.total_seconds()}
        self.simulator.post("/simulator/clock", json=body).raise_for_status()

    def posted(self) -> list[dict[str, Any]]:
        """Every post that the simulator has of this mission, by its texts, deleted ones left out."""
        texts = {parts[0] for (parts,) in self.sql("SELECT parts FROM posts WHERE mission_id = %(site)s")}
        found: list[dict[str, Any]] = self.simulator.get("/simulator/posts").json()["data"]
        return [post for post in found if not post["deleted"] and post["parts"][0] in texts]

    def stage_is(self, dag_run_id: str, stage: str) -> bool:
        """Whether the run is at that stage."""
        rows = self.sql(
            "SELECT current_stage FROM runs WHERE workflow_id = %(site)s AND dag_run_id = %(run)s",
            run=dag_run_id,
        )
        return bool(rows) and rows[0][0] == stage

    def finish_cycle(self, dag_run_id: str) -> str:
        """Wait as ``finish`` does; while the run only waits for results, time passes."""
        forward = FastForward(self.store, self.row, self.simulator)

        def over() -> bool:
            forward.step(dag_run_id)
            return self.dag_run_state(dag_run_id) in ENDED

        self.until(over, "the end of the cycle", 240)
        return self.finish(dag_run_id)

    def outputs(self, dag_run_id: str) -> dict[str, Any]:
        """What each stage of the run made, by stage."""
        with self.store.transaction(self.row.account_id) as tx:
            run_id = next(
                run.id for run in reports.history(tx, self.row.workflow_id) if run.dag_run_id == dag_run_id
            )
            found = reports.status(tx, self.row.workflow_id, MISSION, run_id)
            assert found
            made = reports.outputs(tx, self.row.run(run_id), MISSION, found)
        return {each["stage"]: each["output"] for each in made}

    def number(self, table: str, where: str = "true") -> int:
        """Rows of the mission in one of its tables."""
        statement = f"SELECT count(*) FROM {table} WHERE mission_id = %(site)s AND {where}"  # noqa: S608
        return int(self.sql(statement)[0][0])

    def while_it_is_at(self, dag_run_id: str, stage: str, do: Callable[[], None]) -> None:
        """Wait for the stage, then do something."""
        self.until(lambda: self.stage_is(dag_run_id, stage), f"the stage {stage}")
        do()
