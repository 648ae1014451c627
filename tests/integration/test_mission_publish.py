"""The publish stage: approved posts are scheduled once, at times to come, and can be taken back."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.run import Run
from pressroom.pipelines.mission import publish
from pressroom.pipelines.stage import Wait
from pressroom.store.database import Store
from pressroom.testing import FixedClock
from tests.support.mission_world import START, make_mission
from tests.support.posts import FlakyNetworks, Killed, Newsdesk, add_posts

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NINE = START + 9 * HOUR
SECOND_VARIANT = """
INSERT INTO posts (account_id, mission_id, cycle_id, slot_id, variant, platform, format, headline, body,
    parts, confidence, model, status, content_hash, approved_hash, approved_terms)
SELECT account_id, mission_id, cycle_id, slot_id, 'B', platform, format, headline, body,
    ARRAY['Variant'], 0.9, model, 'approved', content_hash, approved_hash, approved_terms
FROM posts
"""


class Desk(Newsdesk):
    """One cycle of a mission that posts at 9:00, 13:00 and 18:00."""

    run: Run
    networks: FlakyNetworks
    clock: FixedClock

    def add(self, *times: datetime, **facts: Any) -> list[int]:
        return add_posts(self.world, self.run, times, **facts)

    def publish(self, **options: Any) -> Any:
        return asyncio.run(self.work(self.run, **options))

    def output(self) -> Any:
        return self.world.output(publish.STAGE, self.run)

    def slot_times(self) -> list[datetime]:
        return [at for (at,) in self.world.sql("SELECT at FROM slots ORDER BY id")]

    def waits_for(self) -> Wait | None:
        assert publish.STAGE.waits_for
        with self.world.store.transaction(self.world.account_id) as tx:
            return publish.STAGE.waits_for(tx, self.run)

    def statuses(self) -> dict[int, str]:
        return {int(number): status for number, status in self.world.sql("SELECT id, status FROM posts")}


@pytest.fixture
def desk(database_url: str, store: Store) -> Desk:
    constraints = {"posting_times": ["09:00", "13:00", "18:00"]}
    world = make_mission(database_url, store, constraints=constraints)
    clock = FixedClock(START - HOUR)
    made = Desk(world, FlakyNetworks(clock), clock)
    made.run = world.run()
    world.cycle(made.run)
    return made


# What is published --------------------------------------------------------------------------------------


def test_approved_posts_are_scheduled_and_the_stage_says_which(desk: Desk) -> None:
    first, second = desk.add(NINE, NINE + 28 * HOUR)
    [third] = desk.add(NINE, platform="linkedin")
    report = desk.publish()
    assert (report.done, report.created, report.failed) == (3, 3, 0)
    output = desk.output()
    ids = {entry["content_id"]: entry.pop("metricool_post_id") for entry in output["scheduled"]}
    assert set(ids) == {f"cnt_{number}" for number in (first, second, third)}
    assert set(ids.values()) == set(desk.networks.posts)
    times = ["2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T13:00:00Z"]
    assert [entry["scheduled_for"] for entry in output["scheduled"]] == times
    assert [entry["platform"] for entry in output["scheduled"]] == ["twitter", "linkedin", "twitter"]
    assert all(entry["preview_url"].startswith("https://") for entry in output["scheduled"])
    del output["scheduled"]
    assert output == {
        "total_scheduled": 3,
        "first_publish_at": "2026-03-02T09:00:00Z",
        "last_publish_at": "2026-03-03T13:00:00Z",
        "failed": [],
        "unknown": [],
    }
    assert desk.posts("scheduled") == 3
    assert desk.world.pending(publish.STAGE, desk.run) == []


def test_before_there_is_a_cycle_there_is_no_output(desk: Desk) -> None:
    desk.world.sql("UPDATE cycles SET withdrawn_at = now()")
    assert desk.output() is None
    assert desk.waits_for() is None


@pytest.mark.parametrize(
    "facts",
    [
        {"approved_hash": "of-an-earlier-text"},
        {"approved_hash": None},
        *({"status": status} for status in ("draft", "pending_review", "rejected", "archived", "failed")),
    ],
)
def test_what_was_not_approved_as_it_is_is_never_sent(desk: Desk, facts: dict[str, Any]) -> None:
    [number] = desk.add(NINE, **facts)
    assert desk.world.pending(publish.STAGE, desk.run) == []
    # Nor when it was changed after the stage was planned.
    with desk.world.store.transaction(desk.world.account_id) as tx:
        assert publish.STAGE.load(tx, desk.run, [number]) == []
    assert desk.publish().done == 0
    assert desk.networks.submitted == []


def test_of_two_approved_variants_one_is_published(desk: Desk) -> None:
    [first] = desk.add(NINE)
    desk.world.sql(SECOND_VARIANT)
    assert desk.world.pending(publish.STAGE, desk.run) == [first]
    desk.publish()
    assert desk.world.pending(publish.STAGE, desk.run) == []
    assert [post.arguments.text == "Variant" for post in desk.networks.posts.values()] == [False]


def test_the_chosen_second_variant_is_published(desk: Desk) -> None:
    desk.add(NINE, status="rejected")
    desk.world.sql(SECOND_VARIANT)
    desk.publish()
    assert desk.networks.texts() == ["Variant"]


def test_people_are_waited_for_until_the_cycle_is_over(desk: Desk) -> None:
    end = START + 7 * DAY
    assert desk.waits_for() is None
    desk.add(NINE, status="pending_review")
    assert desk.waits_for() == Wait("1 post waits for review", end)
    desk.add(NINE + 4 * HOUR, status="pending_review")
    assert desk.waits_for() == Wait("2 posts wait for review", end)
    desk.world.sql("UPDATE posts SET status = 'rejected'")
    assert desk.waits_for() is None


def test_one_that_is_refused_for_good_leaves_its_neighbours_alone(desk: Desk) -> None:
    numbers = desk.add(NINE, NINE + 4 * HOUR, NINE + DAY)
    desk.networks.script = [PermanentError("the text is a duplicate")]
    report = desk.publish(concurrency=1)
    assert (report.done, report.failed) == (2, 1)
    assert sorted(desk.statuses().values()) == ["failed", "scheduled", "scheduled"]
    output = desk.output()
    assert output["total_scheduled"] == 2
    assert output["failed"] == [
        {"content_id": f"cnt_{numbers[0]}", "platform": "twitter", "error": "the text is a duplicate"}
    ]


def test_wrong_settings_stop_the_batch_and_fail_no_post(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    for _ in range(4):  # more often than a post has attempts
        desk.networks.script = [ConfigurationError("the token is wrong")]
        with pytest.raises(ConfigurationError):
            desk.publish(concurrency=1)
    assert desk.posts("approved") == 2
    assert desk.world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    assert desk.publish().done == 2


def test_a_platform_that_is_set_up_wrongly_holds_no_other(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    desk.add(NINE + DAY, platform="linkedin")
    desk.networks.script = [ConfigurationError("no twitter account is connected")]
    with pytest.raises(ConfigurationError, match="no twitter account"):
        desk.publish(concurrency=1)
    rows = desk.world.sql("SELECT platform, status FROM posts ORDER BY id")
    assert rows == [("twitter", "approved"), ("twitter", "approved"), ("linkedin", "scheduled")]
    assert desk.publish().done == 2


def test_a_picture_goes_along_under_its_public_address(desk: Desk) -> None:
    desk.add(NINE, media_url="https://cdn.example/1.png")
    desk.publish()
    [sent] = desk.networks.submitted
    assert [picture.url for picture in sent.pictures] == ["https://cdn.example/1.png"]


# Times that have passed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [NINE + timedelta(seconds=1), NINE - timedelta(seconds=90)])
def test_a_post_that_is_late_gets_the_next_free_time(desk: Desk, now: datetime) -> None:
    late, _ = desk.add(NINE, NINE + 4 * HOUR)  # 13:00 is taken
    desk.add(NINE + 9 * HOUR, platform="linkedin")  # 18:00 is not, on twitter
    desk.clock.at = now
    assert desk.publish().done == 3
    assert desk.slot_times()[0] == NINE + 9 * HOUR
    scheduled = {entry["content_id"]: entry["scheduled_for"] for entry in desk.output()["scheduled"]}
    assert scheduled[f"cnt_{late}"] == "2026-03-02T18:00:00Z"
    assert all(post.at and post.at > now for post in desk.networks.submitted)


@pytest.mark.parametrize("concurrency", [1, 25])
def test_late_posts_do_not_push_each_other_aside(desk: Desk, concurrency: int) -> None:
    desk.add(*(NINE + n * HOUR / 4 for n in range(6)))
    desk.add(NINE + 9 * HOUR)
    desk.clock.at = NINE + 2 * HOUR
    report = desk.publish(concurrency=concurrency)
    assert (report.done, report.failed) == (7, 0)
    times = sorted(post.at for post in desk.networks.posts.values() if post.at)
    assert times == [NINE + hours * HOUR for hours in (4, 9, 24, 28, 33, 48, 52)]
    assert sorted(desk.slot_times()) == times


def test_batches_side_by_side_choose_different_times(desk: Desk) -> None:
    numbers = desk.add(*(NINE + n * HOUR / 4 for n in range(8)))
    desk.clock.at = NINE + 3 * HOUR

    async def together() -> list[Any]:
        parts = [numbers[:4], numbers[4:]]
        return await asyncio.gather(*(desk.work(desk.run, keys=part) for part in parts))

    assert [(report.done, report.failed) for report in asyncio.run(together())] == [(4, 0), (4, 0)]
    assert len({post.at for post in desk.networks.posts.values()}) == len(desk.networks.posts) == 8


def test_a_time_that_comes_while_the_post_waits_its_turn_is_replaced(desk: Desk) -> None:
    desk.add(NINE)
    desk.clock.at = NINE - 3 * HOUR
    slow = desk.networks.publish

    async def publish(post: Any) -> Any:
        if not desk.networks.submitted:
            desk.clock.at = NINE + HOUR
        return await slow(post)

    desk.networks.publish = publish  # type: ignore[assignment,method-assign]
    assert desk.publish().done == 1
    assert [post.at for post in desk.networks.submitted] == [NINE, NINE + 4 * HOUR]
    assert desk.slot_times() == [NINE + 4 * HOUR]


def test_without_a_time_left_a_post_is_not_sent_and_the_others_are(desk: Desk) -> None:
    late, last = desk.add(NINE, NINE + 6 * DAY + 9 * HOUR)
    desk.clock.at = NINE + 6 * DAY + 5 * HOUR
    report = desk.publish()
    assert (report.done, report.failed) == (1, 1)
    assert desk.statuses() == {late: "approved", last: "scheduled"}
    assert len(desk.networks.submitted) == 1
    [failed] = desk.output()["failed"]
    assert failed["content_id"] == f"cnt_{late}"
    assert "no time is left" in failed["error"]


def test_what_went_out_before_the_cycle_ended_is_found_after_it(desk: Desk) -> None:
    [number] = desk.add(NINE)
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        desk.publish()
    desk.lapse()
    desk.clock.at = START + 8 * DAY
    assert desk.publish().done == 1
    assert desk.statuses() == {number: "scheduled"}
    assert len(desk.networks.submitted) == 1
    assert desk.slot_times() == [NINE]


# Tries --------------------------------------------------------------------------------------------------


def test_what_nobody_knows_on_the_last_try_is_unknown_and_settled_by_the_next_run(desk: Desk) -> None:
    [number] = desk.add(NINE)
    desk.networks.script, desk.networks.looks = ["lost"], ["error"] * 6
    assert len(desk.publish().waiting) == 1
    assert desk.publications()[0].status == "attempting"
    assert desk.output()["unknown"] == desk.output()["failed"] == []
    desk.publish(last_try=True)
    output = desk.output()
    assert output["unknown"] == [{"content_id": f"cnt_{number}", "platform": "twitter", "error": "500"}]
    assert (output["failed"], output["total_scheduled"], desk.statuses()) == ([], 0, {number: "approved"})
    desk.world.sql("UPDATE runs SET opened_at = now()")  # the stage is cleared
    assert desk.publish().done == 1
    assert (desk.output()["total_scheduled"], len(desk.networks.submitted)) == (1, 1)


def test_on_the_last_try_what_another_worker_is_at_is_not_taken_from_it(desk: Desk) -> None:
    desk.add(NINE)
    desk.networks.script = ["killed"]
    with pytest.raises(Killed):
        desk.publish()
    desk.publish(last_try=True)
    assert desk.publications()[0].status == "attempting"


# Rollback -----------------------------------------------------------------------------------------------


def test_rollback_takes_back_what_is_not_out_and_lists_the_rest(desk: Desk) -> None:
    numbers = desk.add(NINE, NINE + 4 * HOUR, NINE + DAY)
    desk.publish()
    desk.clock.at = NINE + HOUR
    undone = asyncio.run(desk.undo(desk.run))
    assert undone.undone == 2
    [kept] = undone.kept
    assert kept.startswith(f"cnt_{numbers[0]} is out on twitter")
    assert [post.at for post in desk.networks.posts.values()] == [NINE]
    assert desk.statuses() == dict(zip(numbers, ["scheduled", "approved", "approved"], strict=True))
    assert sorted(one.status for one in desk.publications()) == ["accepted", "withdrawn", "withdrawn"]
    assert desk.output()["total_scheduled"] == 1


def test_rolling_back_twice_is_the_same_as_once(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    desk.publish()
    desk.world.sql(
        "UPDATE publications SET status = 'confirmed', public_url = 'https://x.example/7'"
        " WHERE content = 'post:1'"
    )
    first = asyncio.run(desk.undo(desk.run))
    calls, state = list(desk.networks.withdrawals), desk.statuses()
    second = asyncio.run(desk.undo(desk.run))
    assert (first.undone, second.undone) == (1, 0)
    assert first.kept == second.kept == ["cnt_1 is out on twitter: https://x.example/7"]
    assert (desk.networks.withdrawals, desk.statuses()) == (calls, state)


@pytest.mark.parametrize("death", ["killed", "killed_after"])
def test_rollback_looks_for_what_nobody_knows_about(desk: Desk, death: str) -> None:
    desk.add(NINE)
    desk.networks.script = [death]
    with pytest.raises(Killed):
        desk.publish()
    desk.lapse()
    undone = asyncio.run(desk.undo(desk.run))
    assert (undone.undone, undone.kept, desk.networks.posts) == (1, [], {})
    assert desk.publications()[0].status == "withdrawn"


def test_rollback_waits_for_what_may_still_arrive(desk: Desk) -> None:
    desk.add(NINE)
    desk.networks.script = ["killed"]
    with pytest.raises(Killed):
        desk.publish()
    [sent] = desk.networks.submitted

    async def arrive() -> None:
        await asyncio.sleep(0.1)
        desk.networks.keep(sent)

    async def both() -> None:
        await asyncio.gather(desk.undo(desk.run), arrive())

    asyncio.run(both())
    assert desk.networks.posts == {}


def test_what_nobody_knew_of_and_is_out_is_on_record_after_rollback(desk: Desk) -> None:
    [number] = desk.add(NINE)
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        desk.publish()
    desk.lapse()
    desk.clock.at = NINE + HOUR
    undone = asyncio.run(desk.undo(desk.run))
    assert undone.kept == [f"cnt_{number} is out on twitter: https://x.example/1001"]
    assert (desk.publications()[0].status, desk.statuses()[number]) == ("accepted", "scheduled")
    assert asyncio.run(desk.undo(desk.run)).kept == undone.kept


def test_rollback_leaves_another_publications_twin_alone(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    desk.publish()
    desk.world.sql(
        "UPDATE publications SET status = 'unknown', external_id = NULL, scheduled_for = one.scheduled_for,"
        " sent = one.sent FROM publications AS one WHERE one.id = 1 AND publications.id = 2"
    )
    desk.world.sql("UPDATE publications SET status = 'confirmed' WHERE id = 1")
    undone = asyncio.run(desk.undo(desk.run))
    assert (undone.undone, len(undone.kept), desk.networks.withdrawals) == (1, 1, [])


def test_rollback_takes_back_what_a_person_has_named_only_if_it_is_found_there(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    desk.publish()
    desk.world.sql("UPDATE publications SET by_hand = true")
    desk.world.sql("UPDATE publications SET external_id = 'of-somebody-else' WHERE id = 1")
    [(own,)] = desk.world.sql("SELECT external_id FROM publications WHERE id = 2")
    undone = asyncio.run(desk.undo(desk.run))
    [kept] = undone.kept
    assert "of-somebody-else (settled by a person, and not found there" in kept
    assert (undone.undone, desk.networks.withdrawals) == (1, [own])


def test_networks_in_trouble_do_not_stop_a_rollback(desk: Desk) -> None:
    desk.add(*(NINE + n * HOUR / 4 for n in range(20)))
    desk.publish()
    desk.networks.shares = {"refused": 0.1, "error": 0.1}
    assert asyncio.run(desk.undo(desk.run)).undone == 20
    assert desk.networks.posts == {}


def test_a_rollback_that_breaks_off_goes_on_where_it_was(desk: Desk) -> None:
    desk.add(NINE, NINE + 4 * HOUR)
    desk.publish()
    unpublish = desk.networks.unpublish

    async def broken(external_id: str) -> bool:
        if desk.networks.withdrawals:
            raise TransientError("closed for today", retry_after=3600.0)
        return await unpublish(external_id)

    desk.networks.unpublish = broken  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="closed for today"):
        asyncio.run(desk.undo(desk.run))
    assert desk.posts("approved") == 1
    desk.networks.unpublish = unpublish  # type: ignore[method-assign]
    assert asyncio.run(desk.undo(desk.run)).undone == 1
    assert len(desk.networks.withdrawals) == 2


def test_what_was_rolled_back_can_be_published_again(desk: Desk) -> None:
    desk.add(NINE)
    desk.publish()
    asyncio.run(desk.undo(desk.run))
    assert desk.publish().done == 1
    assert len(desk.networks.posts) == 1
