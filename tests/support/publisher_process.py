"""A worker that publishes all that waits, as a process of its own, so that a test can kill it.

``python -m tests.support.publisher_process DATABASE JOURNAL FACTS``. The simulator is in this process, and
its posts are in the journal: they outlive it as those of another server would.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pressroom.domain.definitions import Account
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.store.database import Store
from tests.support.metricool_world import simulated
from tests.support.mission_world import MissionWorld
from tests.support.posts import QUICK, Newsdesk

POSTS = "/v2/scheduler/posts"


def facts_of(world: MissionWorld, run: Run) -> str:
    """What the process must be told."""
    return json.dumps(
        {
            "account_id": world.account_id,
            "mission_id": world.mission_id,
            "run_id": run.id,
            "mission": world.mission.model_dump(mode="json"),
        }
    )


async def publish_all(url: str, journal: Path, facts: dict[str, Any]) -> None:
    """One try of the stage."""
    account, mission = Account(slug="demo", name="Demo"), Mission.model_validate(facts["mission"])
    account_id, mission_id = facts["account_id"], facts["mission_id"]
    run = Run(account, mission, None, id=facts["run_id"], account_id=account_id, workflow_id=mission_id)
    with Store(url) as store:
        world = MissionWorld(url, store, account, mission, None, account_id, mission_id)
        async with simulated(journal) as outside:
            outside.target.settle_seconds = 0.05
            # Slow enough to be killed in the middle of something, and not without losses of its own.
            await outside.faults(
                {"action": "lost", "path": POSTS, "method": "POST", "share": 0.2},
                {"action": "slow", "path": POSTS, "method": "POST", "delay_seconds": 0.05},
            )
            await Newsdesk(world, outside.target, outside.metrics, QUICK).work(run, concurrency=5)


if __name__ == "__main__":
    asyncio.run(publish_all(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])))
