"""The analytics stage on a real Postgres: one look after another, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.errors import AlreadyDone, PermanentError, TransientError
from pressroom.domain.missions import Kpi, Measuring
from pressroom.domain.publishing import Delivery, Placed
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.pipelines.mission import analytics
from pressroom.store.database import Store
from tests.support.results_world import (
    DAY,
    HOUR,
    START,
    ResultsWorld,
    make_results_world,
    reading,
)

CLOSES = START + 7 * DAY


@pytest.fixture
def world(database_url: str, store: Store) -> ResultsWorld:
    return make_results_world(
        database_url,
        store,
        kpis=[
            Kpi(metric="impressions", target=Decimal(4000)),
            Kpi(metric="engagement_rate", target=Decimal(4), platform=Platform.TWITTER),
        ],
        measuring=Measuring(poll_minutes=60, mature_hours=24),
    )


async def look(world: ResultsWorld, run: Run, at: datetime) -> datetime | None:
    world.outside.time = at
    return await analytics.poll(world.store, run, world.tools())


def metrics_of(world: ResultsWorld, post: int) -> list[tuple[Any, ...]]:
    return world.sql(
        "SELECT hour, impressions, engagements, link_clicks, new_followers FROM post_metrics"
        " WHERE post_id = %s ORDER BY hour",
        post,
    )


def publication(world: ResultsWorld, post: int) -> tuple[Any, ...]:
    [row] = world.sql(
        "SELECT p.status, p.public_url, p.error, posts.status FROM publications AS p"
        " JOIN posts ON p.content = 'post:' || posts.id WHERE posts.id = %s",
        post,
    )
    return row


def everything(world: ResultsWorld) -> str:
    """Every row that a look may touch, but for the time at which a row was last touched."""
    rows = [
        world.sql(f"SELECT to_jsonb(t) - 'updated_at' FROM {table} AS t ORDER BY to_jsonb(t)::text")  # noqa: S608
        for table in ("publications", "posts", "post_metrics", "snapshots", "cycles", "run_events")
    ]
    return json.dumps(rows, default=str)


def output(world: ResultsWorld, run: Run) -> dict[str, Any]:
    with world.store.transaction(world.account_id) as tx:
        found = analytics.output(tx, run)
    assert found is not None
    return dict(found)


def waiting(world: ResultsWorld, run: Run) -> Any:
    with world.store.transaction(world.account_id) as tx:
        return analytics.pending(tx, run)


async def test_a_look_confirms_measures_and_says_when_the_next_is_due(world: ResultsWorld) -> None:
    run = world.cycle()
    first, second = world.post(run), world.post(run, START + 3 * HOUR)
    later = world.post(run, START + 20 * HOUR)
    world.outside.out(f"ext-{first}", "https://x.example/first")
    world.outside.scheduled[f"ext-{second}"] = Placed(
        f"ext-{second}", delivery=Delivery.FAILED, detail="duplicate text"
    )
    world.outside.scheduled[f"ext-{later}"] = Placed(f"ext-{later}", delivery=Delivery.PENDING)
    world.outside.measured(
        reading(f"ext-{first}", START + HOUR, 1000, 42, link_clicks=7, new_followers=2),
        reading("of-somebody-else", START + 2 * HOUR, 9, 9),
    )
    at = START + 4 * HOUR + timedelta(minutes=10)

    assert await look(world, run, at) == at + HOUR

    assert publication(world, first) == ("confirmed", "https://x.example/first", "", "published")
    assert publication(world, second) == ("failed", "", "duplicate text", "failed")
    assert publication(world, later) == ("accepted", "", "", "scheduled")
    assert metrics_of(world, first) == [(START + 4 * HOUR, 1000, 42, 7, 2)]
    assert metrics_of(world, second) == []
    found = output(world, run)
    assert found["status"] == "running"
    assert found["period"] == "2026-03-02/2026-03-02"
    assert found["metrics"] == {
        "total_impressions": 1000,
        "total_engagements": 42,
        "engagement_rate": 4.2,
        "link_clicks": 7,
        "new_followers": 2,
    }
    assert found["by_platform"] == {"twitter": {"posts": 1, **found["metrics"]}}
    assert [(kpi["metric"], kpi["current"], kpi["status"]) for kpi in found["kpi_status"]] == [
        ("impressions", 1000, "on_track"),
        ("engagement_rate", 4.2, "on_track"),
    ]
    assert (found["top_performers"], found["underperformers"]) == ([], [])
    assert found["trends"]["impressions"]["direction"] == "too few posts"
    assert found["simulated"] is True
    assert waiting(world, run) == [world.cycle_id(run)]
    [(level, message)] = world.sql("SELECT level, message FROM run_events WHERE kind = 'analytics_polled'")
    assert level == "warning"
    assert "1 post seen in public" in message
    assert "duplicate text" in message


async def test_looking_twice_at_the_same_time_changes_nothing(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.out(f"ext-{post}")
    world.outside.measured(reading(f"ext-{post}", START + HOUR))
    due = await look(world, run, START + 2 * HOUR)
    before = everything(world)
    assert await look(world, run, START + 2 * HOUR) == due
    assert everything(world) == before


async def test_two_triggerers_at_once_write_what_one_does(world: ResultsWorld) -> None:
    run = world.cycle()
    posts = [world.post(run, START + n * HOUR) for n in range(1, 6)]
    for post in posts:
        world.outside.out(f"ext-{post}")
    world.outside.measured(*(reading(f"ext-{post}", START + HOUR) for post in posts))
    world.outside.time = CLOSES
    found = await asyncio.gather(
        *(analytics.poll(world.store, run, world.tools()) for _ in range(4)), return_exceptions=True
    )
    assert found == [None] * 4
    assert world.sql("SELECT count(*) FROM post_metrics") == [(5,)]
    assert world.sql("SELECT status, count(*) FROM snapshots GROUP BY status") == [("completed", 1)]
    assert world.sql("SELECT count(*) FROM run_events WHERE kind = 'analytics_polled'") == [(1,)]


async def test_who_dies_while_looking_has_changed_nothing(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.out(f"ext-{post}")
    world.outside.error = TransientError("analytics is away")
    before = everything(world)
    with pytest.raises(TransientError):
        await look(world, run, START + 2 * HOUR)
    assert everything(world) == before
    world.outside.error = None
    assert await look(world, run, START + 2 * HOUR) == START + 3 * HOUR
    assert publication(world, post)[0] == "confirmed"


STEPS = ["_confirm", "_store", "_snapshot", "_report"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("at", [START + 2 * HOUR, CLOSES])
async def test_who_dies_after_a_step_of_writing_is_made_good_by_the_next(
    world: ResultsWorld, monkeypatch: pytest.MonkeyPatch, step: str, at: datetime
) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.out(f"ext-{post}")
    world.outside.measured(reading(f"ext-{post}", START + HOUR))
    before = everything(world)
    real: Callable[..., Any] = getattr(analytics, step)

    def dies(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(analytics, step, dies)
        world.outside.time = at
        watch = await world.store.run(world.account_id, analytics._watch, run)
        assert watch is not None
        seen = await analytics.process(watch, world.tools())
        with pytest.raises(KeyboardInterrupt), world.store.transaction(world.account_id) as tx:
            analytics.save(tx, run, watch, seen)
    assert everything(world) == before

    await look(world, run, at)
    assert publication(world, post)[0] == "confirmed"
    assert len(metrics_of(world, post)) == 1
    assert world.sql("SELECT count(*) FROM snapshots") == [(1,)]


async def test_the_last_reading_of_an_hour_wins_and_each_hour_has_one(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    for minutes, impressions in [(120, 100), (130, 150), (179, 140), (180, 200)]:
        world.outside.measured(reading(f"ext-{post}", START + HOUR, impressions))
        await look(world, run, START + timedelta(minutes=minutes))
    assert [(hour, count) for hour, count, *_ in metrics_of(world, post)] == [
        (START + 2 * HOUR, 140),
        (START + 3 * HOUR, 200),
    ]
    assert world.sql("SELECT at FROM snapshots ORDER BY at") == [(START + 2 * HOUR,), (START + 3 * HOUR,)]


async def test_metrics_may_come_late_be_revised_downwards_or_vanish(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.out(f"ext-{post}")
    await look(world, run, START + 2 * HOUR)
    assert output(world, run)["metrics"]["total_impressions"] == 0
    assert publication(world, post)[0] == "confirmed"
    world.outside.measured(reading(f"ext-{post}", START + HOUR, 900, 30))
    await look(world, run, START + 3 * HOUR)
    assert output(world, run)["metrics"]["total_impressions"] == 900
    world.outside.measured(reading(f"ext-{post}", START + HOUR, 850, 25))
    await look(world, run, START + 4 * HOUR)
    assert output(world, run)["metrics"]["total_impressions"] == 850
    world.outside.measured()
    await look(world, run, START + 5 * HOUR)
    assert output(world, run)["metrics"]["total_impressions"] == 850
    assert len(metrics_of(world, post)) == 2


async def test_a_post_listed_twice_counts_once(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.measured(
        reading(f"ext-{post}", START + HOUR, 500), reading(f"ext-{post}", START + HOUR, 510)
    )
    await look(world, run, START + 2 * HOUR)
    assert output(world, run)["metrics"]["total_impressions"] == 510


async def test_a_measured_post_is_out_whatever_the_scheduler_no_longer_says(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.measured(reading(f"ext-{post}", START + HOUR))
    await look(world, run, START + 2 * HOUR)
    assert publication(world, post) == ("confirmed", "", "", "published")


async def test_one_id_on_two_platforms_is_two_posts(world: ResultsWorld) -> None:
    run = world.cycle()
    tweet, article = world.post(run), world.post(run, platform="linkedin")
    world.sql("UPDATE publications SET external_id = 'same'")
    world.outside.measured(
        reading("same", START + HOUR, 100), reading("same", START + HOUR, 7, platform="linkedin")
    )
    await look(world, run, START + 2 * HOUR)
    assert [metrics_of(world, post)[0][1] for post in (tweet, article)] == [100, 7]
    assert sorted(output(world, run)["by_platform"]) == ["linkedin", "twitter"]


async def test_only_what_is_due_is_asked_for(world: ResultsWorld) -> None:
    run = world.cycle()
    world.post(run, START + 30 * HOUR)
    assert await look(world, run, START + 2 * HOUR) == START + 3 * HOUR
    assert world.outside.asked == []
    await look(world, run, START + 31 * HOUR)
    windows = {name: (start, end) for name, start, end in world.outside.asked}
    assert sorted(windows) == ["status", "twitter"]
    for start, end in windows.values():
        assert start < START + 30 * HOUR < end


async def test_the_last_look_is_at_the_closing_and_closes_once(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.out(f"ext-{post}")
    world.outside.measured(reading(f"ext-{post}", START + HOUR, 5000, 200))
    assert await look(world, run, CLOSES - timedelta(minutes=20)) == CLOSES
    assert output(world, run)["status"] == "running"
    assert await look(world, run, CLOSES + timedelta(minutes=3)) is None
    found = output(world, run)
    assert found["status"] == "completed"
    assert found["at"] == CLOSES.isoformat()
    assert found["period"] == "2026-03-02/2026-03-09"
    assert found["kpi_status"][0]["status"] == "met"
    assert world.sql("SELECT measured_at FROM cycles") == [(CLOSES + timedelta(minutes=3),)]
    assert waiting(world, run) == []
    before = everything(world)
    assert await look(world, run, CLOSES + DAY) is None
    assert everything(world) == before


async def test_a_cycle_without_publications_closes_at_once_and_says_so(world: ResultsWorld) -> None:
    run = world.cycle()
    for status in ("failed", "withdrawn"):
        world.post(run, status=status)
    assert await look(world, run, START + HOUR) is None
    found = output(world, run)
    assert found["status"] == "completed"
    assert "nothing to measure" in found["note"]
    assert found["metrics"]["total_impressions"] == 0
    assert world.sql("SELECT measured_at IS NOT NULL FROM cycles") == [(True,)]
    assert "nothing to measure" in world.sql("SELECT message FROM run_events")[0][0]


@pytest.mark.parametrize("status", ["planned", "attempting", "unknown"])
async def test_what_may_still_come_out_is_waited_for(world: ResultsWorld, status: str) -> None:
    run = world.cycle()
    world.post(run, status=status)
    assert await look(world, run, START + 2 * HOUR) == START + 3 * HOUR


async def test_posts_too_young_at_the_closing_are_read_in_the_next_cycle(world: ResultsWorld) -> None:
    first = world.cycle()
    old, young = world.post(first), world.post(first, CLOSES - 2 * HOUR)
    for post in (old, young):
        world.outside.out(f"ext-{post}")
    aged = reading(f"ext-{old}", START + HOUR, 1000)
    world.outside.measured(aged, reading(f"ext-{young}", CLOSES - 2 * HOUR, 50))
    assert await look(world, first, CLOSES) is None
    assert output(world, first)["posts_mature"] == 1

    second = world.cycle(2, CLOSES)
    own = world.post(second, CLOSES + 26 * HOUR)
    world.outside.asked.clear()
    world.outside.measured(replace(aged, impressions=7777), reading(f"ext-{young}", CLOSES - 2 * HOUR, 400))
    await look(world, second, CLOSES + 10 * HOUR)
    assert world.outside.asked[-1][1] > START + 2 * HOUR  # the old one is final: it is not asked for again
    assert [count for _, count, *_ in metrics_of(world, young)] == [50, 400]
    assert [count for _, count, *_ in metrics_of(world, old)] == [1000]
    found = output(world, second)
    assert found["metrics"]["total_impressions"] == 0  # neither is this cycle's
    assert found["kpi_status"][0]["current"] == 1400  # but the mission's they are

    world.outside.measured(reading(f"ext-{young}", CLOSES - 2 * HOUR, 600))
    await look(world, second, CLOSES + 22 * HOUR)
    world.outside.measured(reading(f"ext-{young}", CLOSES - 2 * HOUR, 9999))
    world.outside.out(f"ext-{own}")
    await look(world, second, CLOSES + 27 * HOUR)
    assert [count for _, count, *_ in metrics_of(world, young)] == [50, 400, 600]
    third = world.cycle(3, CLOSES + 7 * DAY)
    with world.store.transaction(world.account_id) as tx:
        [watch] = analytics.load(tx, third, [world.cycle_id(third)])
    assert [one.post for one in watch.publications] == [own]


async def test_posts_are_compared_at_the_same_age(world: ResultsWorld) -> None:
    """What an old post gained while a young one was not even out yet is no merit of its weekday."""
    run = world.cycle()
    posts = [world.post(run, START + n * 24 * HOUR + HOUR) for n in range(5)]
    for day in range(7):
        at = START + day * DAY + 2 * HOUR
        world.outside.measured(
            *(
                reading(
                    f"ext-{post}",
                    START + n * DAY + HOUR,
                    1000,
                    [10, 20, 30, 40, 50][n] + (900 if day - n > 3 else 0),
                )
                for n, post in enumerate(posts)
                if n <= day
            )
        )
        await look(world, run, at)
    found = output(world, run)
    assert found["top_performers"] == [f"cnt_{posts[4]}"]
    assert found["underperformers"] == [f"cnt_{posts[0]}"]
    assert found["metrics"]["total_engagements"] == 150 + 900 * 3


async def test_kpis_go_by_the_missions_time_and_not_the_cycles(world: ResultsWorld) -> None:
    """A quarter of 28 days is over: 1,000 of 4,000 are due."""
    run = world.cycle()
    post = world.post(run)
    for impressions, status in [(1000, "on_track"), (800, "at_risk"), (700, "behind")]:
        world.outside.measured(reading(f"ext-{post}", START + HOUR, impressions))
        await look(world, run, CLOSES - timedelta(minutes=1))
        kpi = output(world, run)["kpi_status"][0]
        assert (kpi["status"], round(kpi["due"])) == (status, 1000)


async def test_undo_opens_the_measuring_again_and_keeps_what_was_read(world: ResultsWorld) -> None:
    run = world.cycle()
    post = world.post(run)
    world.outside.measured(reading(f"ext-{post}", START + HOUR))
    await look(world, run, CLOSES)
    assert (await analytics.undo(world.store, run, world.tools())).undone == 1
    assert world.sql("SELECT measured_at FROM cycles") == [(None,)]
    assert (await analytics.undo(world.store, run, world.tools())).undone == 0
    assert len(metrics_of(world, post)) == 1
    assert await look(world, run, CLOSES) is None


async def test_without_a_cycle_there_is_nothing_to_do(world: ResultsWorld) -> None:
    run = world.run()
    assert waiting(world, run) == []
    with pytest.raises(PermanentError):
        await look(world, run, START)
    with world.store.transaction(world.account_id) as tx:
        assert analytics.output(tx, run) is None
    assert (await analytics.undo(world.store, run, world.tools())).undone == 0


async def test_a_cycle_rolled_back_meanwhile_is_left_alone(world: ResultsWorld) -> None:
    run = world.cycle()
    world.post(run)
    watch = await world.store.run(world.account_id, analytics._watch, run)
    assert watch is not None
    seen = await analytics.process(watch, world.tools())
    world.sql("UPDATE cycles SET withdrawn_at = now()")
    with pytest.raises(AlreadyDone), world.store.transaction(world.account_id) as tx:
        analytics.save(tx, run, watch, seen)
    assert world.sql("SELECT count(*) FROM snapshots") == [(0,)]
