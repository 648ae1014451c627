"""Publishing through the real adapter at the simulator, while much of what can go wrong does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pressroom.domain.publishing import PublicationStatus
from pressroom.domain.run import Run
from pressroom.engine.publishing.ledger import settle_open
from pressroom.store.database import Store
from pressroom_dev.simulator.scheduler import SimulatedScheduler
from tests.support.metricool_world import NOW, simulated
from tests.support.mission_world import MissionWorld, make_mission
from tests.support.posts import QUICK, Newsdesk, add_posts
from tests.support.publisher_process import POSTS, facts_of

ROOT = Path(__file__).parents[2]
FIRST = NOW + timedelta(days=1)


@pytest.fixture
def world(database_url: str, store: Store) -> MissionWorld:
    return make_mission(database_url, store)


def cycle_of(world: MissionWorld) -> Run:
    run = world.run()
    world.cycle(run, FIRST)
    return run


def texts(desk: SimulatedScheduler) -> Sequence[str]:
    return sorted(post.parts[0] for post in desk.everything() if not post.deleted)


async def test_five_hundred_posts_are_there_exactly_once(world: MissionWorld) -> None:
    run = cycle_of(world)
    times = [FIRST + timedelta(minutes=20 * n) for n in range(250)]
    for platform in ("twitter", "linkedin"):
        add_posts(world, run, times, platform=platform)
    wanted = sorted(text for (text,) in world.sql("SELECT parts[1] FROM posts"))
    async with simulated() as outside:
        outside.target.settle_seconds = 0.05
        await outside.faults(
            {"action": "lost", "share": 0.2, "path": POSTS, "method": "POST", "seed": 1},
            {"action": "429", "share": 0.1, "path": POSTS, "retry_after": 0.02, "seed": 2},
            {"action": "500", "share": 0.1, "path": POSTS, "seed": 3},
        )
        desk = Newsdesk(world, outside.target, outside.metrics, QUICK)
        for _ in range(4):  # the task's tries
            report = await desk.work(run)
            if not report.waiting:
                break
        assert report.failed == 0
        assert await settle_open(world.store, run, outside.target, QUICK) == []
        assert texts(outside.desk) == wanted
        ids = {str(post.id) for post in outside.desk.everything()}
    done = desk.publications()
    assert {one.status for one in done} == {PublicationStatus.ACCEPTED}
    assert {one.external_id for one in done} == ids
    assert len(ids) == len(done) == desk.posts("scheduled") == 500
    assert len(desk.events("publication_adopted")) > 50  # of about a hundred lost answers


async def test_all_of_it_can_be_taken_back(world: MissionWorld) -> None:
    run = cycle_of(world)
    add_posts(world, run, [FIRST + timedelta(hours=n) for n in range(40)])
    async with simulated() as outside:
        outside.target.settle_seconds = 0.05
        desk = Newsdesk(world, outside.target, outside.metrics, QUICK)
        await desk.work(run)
        outside.advance(days=1, hours=2.5)
        await outside.faults({"action": "429", "share": 0.2, "path": POSTS, "retry_after": 0.02})
        undone = await desk.undo(run)
        assert (undone.undone, len(undone.kept)) == (37, 3)
        assert len(texts(outside.desk)) == 3
        again = await desk.undo(run)
        assert (again.undone, again.kept) == (0, undone.kept)


def test_workers_that_are_killed_leave_no_double_and_no_gap(world: MissionWorld, tmp_path: Path) -> None:
    run = cycle_of(world)
    add_posts(world, run, [FIRST + timedelta(hours=n) for n in range(60)])
    wanted = sorted(text for (text,) in world.sql("SELECT parts[1] FROM posts"))
    journal = tmp_path / "simulator.jsonl"
    worker_of = [sys.executable, "-m", "tests.support.publisher_process"]
    command = [*worker_of, world.url, str(journal), facts_of(world, run)]

    def scheduled() -> int:
        [(count,)] = world.sql("SELECT count(*) FROM publications WHERE status = 'accepted'")
        return int(count)

    for _ in range(3):
        before = scheduled()
        worker = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 60
        while scheduled() < before + 8 and worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert worker.poll() is None, "it was to be killed at work"
        worker.kill()
        worker.wait()
    assert scheduled() < 60
    for _ in range(4):
        subprocess.run(command, cwd=ROOT, check=True, timeout=120)
        if scheduled() == 60:
            break
    assert texts(SimulatedScheduler(journal)) == wanted
    [(left,)] = world.sql("SELECT count(*) FROM posts WHERE status <> 'scheduled'")
    assert left == 0


async def test_without_faults_everything_is_sent_once_and_never_looked_for(world: MissionWorld) -> None:
    run = cycle_of(world)
    add_posts(world, run, [FIRST + timedelta(hours=n) for n in range(30)])
    async with simulated() as outside:
        desk = Newsdesk(world, outside.target, outside.metrics, QUICK)
        started = asyncio.get_running_loop().time()
        assert (await desk.work(run)).done == 30
        # A look for what was lost would have waited until it must show: ten seconds.
        assert asyncio.get_running_loop().time() - started < outside.target.settle_seconds
    assert {one.attempts for one in desk.publications()} == {1}
