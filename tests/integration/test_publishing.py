"""The publication ledger: whatever happens between us and the target, a post is there once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import psycopg
import pytest

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.domain.errors import (
    ConfigurationError,
    PastDate,
    PermanentError,
    RunConflict,
    TimeTaken,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.outside import SLOWEST_UPLOAD
from pressroom.domain.publishing import (
    Picture,
    Piece,
    Placed,
    Publication,
    PublicationStatus,
    Submission,
    TargetLimits,
)
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing import ledger as publishing
from pressroom.engine.publishing.attempt import publish_once
from pressroom.engine.publishing.claim import Claim, Intent
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.testing import FixedClock
from tests.support.mission_world import START, make_mission
from tests.support.posts import QUICK, FlakyNetworks, Killed, Newsdesk, add_posts

AT = START + timedelta(hours=9)
DAY = timedelta(days=1)
TARGET = "pressroom_metricool/twitter"


def post(text: str = "Hello", network: str = "twitter", at: datetime = AT) -> Piece[MetricoolArguments]:
    return Piece("post", MetricoolArguments(network=Platform(network), text=text), at=at)


class Desk(Newsdesk):
    """A run, and one post after another in it."""

    run: Run
    networks: FlakyNetworks

    def scope(self, content: str = "post:1") -> CostScope:
        return CostScope(self.world.account_id, self.world.mission_id, self.run.id, "publish", content)

    async def publish(self, content: str = "post:1", digest: str = "h", **changes: Any) -> Publication:
        return await self.publish_piece(content, post(**changes), digest)

    async def publish_piece(
        self, content: str, piece: Piece[MetricoolArguments], digest: str = "h"
    ) -> Publication:
        name = f"pressroom_metricool/{piece.arguments.network}"
        return await publish_once(
            self.world.store, self.scope(content), self.networks, name,
            Submission(content, digest, piece, alone=True), self.timing,
        )  # fmt: skip

    def row(self, content: str = "post:1") -> Publication:
        return next(one for one in self.publications() if one.content == content)


@pytest.fixture
def desk(database_url: str, store: Store) -> Desk:
    world = make_mission(database_url, store)
    clock = FixedClock(START - timedelta(hours=1))
    made = Desk(world, FlakyNetworks(clock), clock)
    made.run = world.run()
    world.cycle(made.run)
    return made


# What the target does -----------------------------------------------------------------------------------


async def test_what_is_there_is_never_sent_again(desk: Desk) -> None:
    first = await desk.publish()
    assert (first.status, first.external_id, first.attempts) == (PublicationStatus.ACCEPTED, "1001", 1)
    assert (first.target, first.scheduled_for, first.preview_url) == (
        TARGET, AT, "https://preview.example/1001",
    )  # fmt: skip
    assert await desk.publish() == first
    assert len(desk.networks.submitted) == 1
    assert desk.events("publication_differs") == []


async def test_what_was_changed_after_it_was_published_stays_as_it_is_there(desk: Desk) -> None:
    first = await desk.publish()
    again = await desk.publish(digest="changed", text="Other words")
    assert again == first
    assert desk.networks.texts() == ["Hello"]
    [told] = desk.events("publication_differs")
    assert "post:1 was changed after it was sent to" in told


async def test_a_lost_acknowledgement_is_looked_for_and_adopted(desk: Desk) -> None:
    desk.networks.script = ["lost"]
    done = await desk.publish()
    assert (done.status, done.external_id, done.attempts) == (PublicationStatus.ACCEPTED, "1001", 1)
    assert len(desk.networks.submitted) == len(desk.networks.posts) == 1
    assert len(desk.events("publication_adopted")) == 1


async def test_what_arrives_late_is_waited_for(desk: Desk) -> None:
    desk.networks.script = ["late"]
    done = await desk.publish()
    assert done.external_id == "1001"
    assert len(desk.networks.submitted) == len(desk.networks.posts) == 1


async def test_a_call_that_never_ends_is_cut_and_looked_for(desk: Desk) -> None:
    desk.networks.script = ["hang"]
    async with asyncio.timeout(20):
        done = await desk.publish()
    assert (done.external_id, len(desk.networks.submitted)) == ("1001", 1)


async def test_a_call_that_sends_pictures_has_time_by_their_size(desk: Desk) -> None:
    async def taken_slowly(piece: Piece[MetricoolArguments]) -> Placed:
        await asyncio.sleep(1.5 * QUICK.call)
        return Placed(desk.networks.keep(piece))

    desk.networks.publish = taken_slowly  # type: ignore[method-assign]
    heavy = Picture(b"x" * round(QUICK.call * SLOWEST_UPLOAD), "image/png")
    done = await desk.publish_piece("post:1", replace(post(), pictures=[heavy]))
    assert (done.there, done.attempts, len(desk.networks.posts)) == (True, 1, 1)


async def test_a_failure_that_left_nothing_is_sent_again(desk: Desk) -> None:
    desk.networks.script = ["error", "error"]
    done = await desk.publish()
    assert (done.attempts, len(desk.networks.submitted), len(desk.networks.posts)) == (3, 3, 1)


async def test_after_three_failures_the_task_tries_again_from_the_start(desk: Desk) -> None:
    desk.networks.script = ["error", "error", "error"]
    with pytest.raises(TransientError, match="500"):
        await desk.publish()
    assert (desk.row().status, desk.row().error) == (PublicationStatus.PLANNED, "500")
    assert (await desk.publish()).there
    assert len(desk.networks.posts) == 1


async def test_a_short_retry_after_is_waited_for_here_and_a_long_one_is_not(desk: Desk) -> None:
    desk.networks.script = ["refused"]
    assert (await desk.publish()).attempts == 2
    desk.networks.script, desk.networks.retry_after = ["refused"], 90.0
    with pytest.raises(TransientError) as caught:
        await desk.publish("post:2", text="Second", at=AT + DAY)
    assert caught.value.retry_after == 90
    assert desk.row("post:2").status is PublicationStatus.PLANNED
    assert len(desk.networks.submitted) == 3


async def test_a_look_that_fails_in_passing_is_taken_again(desk: Desk) -> None:
    desk.networks.script, desk.networks.looks = ["lost"], ["error", "refused"]
    assert (await desk.publish()).external_id == "1001"


async def test_while_nobody_can_look_nothing_is_sent(desk: Desk) -> None:
    desk.networks.script = ["lost"]
    desk.networks.looks = ["error"] * 6
    for _ in range(2):
        with pytest.raises(TransientError, match="500"):
            await desk.publish()
        assert desk.row().status is PublicationStatus.ATTEMPTING
    assert (await desk.publish()).external_id == "1001"
    assert len(desk.networks.submitted) == 1


async def test_a_target_that_may_not_be_asked_leaves_the_question_open(desk: Desk) -> None:
    desk.networks.script, desk.networks.looks = ["lost"], [ConfigurationError("the token is wrong")]
    with pytest.raises(ConfigurationError):
        await desk.publish()
    assert desk.row().status is PublicationStatus.ATTEMPTING


async def test_a_refusal_for_good_fails_the_publication_and_its_repair_is_sent(desk: Desk) -> None:
    desk.networks.script = [PermanentError("too long")]
    with pytest.raises(PermanentError, match="too long"):
        await desk.publish()
    assert (desk.row().status, desk.row().error) == (PublicationStatus.FAILED, "too long")
    assert (await desk.publish(digest="shorter", text="Hi")).there
    assert desk.row().content_hash == "shorter"


async def test_wrong_settings_are_no_failure_of_the_post(desk: Desk) -> None:
    desk.networks.script = [ConfigurationError("the token is wrong")]
    with pytest.raises(ConfigurationError):
        await desk.publish()
    assert desk.row().status is PublicationStatus.PLANNED


async def test_a_time_that_is_over_plans_anew(desk: Desk) -> None:
    desk.networks.clock.at = AT + timedelta(minutes=1)
    with pytest.raises(PastDate):
        await desk.publish()
    assert desk.row().status is PublicationStatus.PLANNED


# What happens to the worker -----------------------------------------------------------------------------


@pytest.mark.parametrize(("death", "sent"), [("killed", 2), ("killed_after", 1)])
async def test_whoever_dies_is_succeeded_without_a_double(desk: Desk, death: str, sent: int) -> None:
    desk.networks.script = [death]
    with pytest.raises(Killed):
        await desk.publish()
    assert desk.row().status is PublicationStatus.ATTEMPTING
    with pytest.raises(TransientError, match="by another worker") as caught:
        await desk.publish()  # for all that anyone knows, the first one is still at it
    assert 0 < (caught.value.retry_after or 0) <= QUICK.lease
    await asyncio.sleep(QUICK.lease)
    done = await desk.publish()
    assert (done.external_id, done.attempts) == ("1001", sent)
    assert (len(desk.networks.submitted), len(desk.networks.posts)) == (sent, 1)


async def test_a_successor_waits_until_what_was_sent_must_show(desk: Desk) -> None:
    desk.networks.script = ["killed"]
    with pytest.raises(Killed):
        await desk.publish()
    desk.world.sql("UPDATE publications SET claimed_until = now(), settles_at = now() + interval '0.3 s'")

    async def arrive() -> None:
        await asyncio.sleep(0.1)
        desk.networks.keep(post())

    done, _ = await asyncio.gather(desk.publish(), arrive())
    assert (done.external_id, len(desk.networks.submitted)) == ("1001", 1)


async def test_a_successor_looks_for_the_time_and_the_words_that_were_sent(desk: Desk) -> None:
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    desk.lapse()
    # Meanwhile it was edited, approved again, and given another time.
    done = await desk.publish(digest="edited", text="Hello there", at=AT + DAY)
    assert (done.external_id, done.scheduled_for, done.content_hash) == ("1001", AT, "h")
    assert desk.networks.texts() == ["Hello"]
    assert len(desk.events("publication_differs")) == 1


async def test_a_time_that_passed_while_nobody_knew_is_looked_for_first(desk: Desk) -> None:
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    desk.lapse()
    desk.networks.clock.at = AT + timedelta(hours=1)
    done = await desk.publish()
    assert (done.there, done.public_url) == (True, "https://x.example/1001")
    assert len(desk.networks.submitted) == 1


async def test_a_database_that_is_lost_after_the_call_sends_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Tx.run
    failures = [TransientError("lost the database")]

    def run(self: Tx, name: str, **params: Any) -> int:
        if name == "publication_accept" and failures:
            raise failures.pop()
        return honest(self, name, **params)

    monkeypatch.setattr(Tx, "run", run)
    with pytest.raises(TransientError, match="lost the database"):
        await desk.publish()
    assert desk.row().status is PublicationStatus.ATTEMPTING
    desk.lapse()
    assert (await desk.publish()).external_id == "1001"
    assert len(desk.networks.submitted) == 1


async def test_of_two_workers_at_once_one_publishes(desk: Desk) -> None:
    results = await asyncio.gather(*(desk.publish() for _ in range(5)), return_exceptions=True)
    refused = [one for one in results if isinstance(one, TransientError)]
    assert len(refused) + len([one for one in results if isinstance(one, Publication)]) == 5
    assert (len(desk.networks.submitted), len(desk.networks.posts)) == (1, 1)


async def test_whoever_has_lost_the_claim_sends_nothing(desk: Desk) -> None:
    intent = Intent("post:1", TARGET, "h", AT, post().on_record)
    sleeper = Claim(desk.world.store, desk.scope(), intent, QUICK, 0.0)
    await sleeper.take()
    desk.lapse()
    await desk.publish()
    for step in (sleeper.begin(), sleeper.hold(), sleeper.lost()):
        with pytest.raises(TransientError, match=r"another worker took over post:1 on "):
            await step
    # Nor can it take back what its successor has found out.
    assert (await sleeper.release(PublicationStatus.PLANNED, "")).there


async def test_two_posts_never_get_the_same_time_at_the_same_place(desk: Desk) -> None:
    results = await asyncio.gather(
        *(desk.publish(f"post:{n}", text=f"Number {n}") for n in range(6)), return_exceptions=True
    )
    assert len([one for one in results if isinstance(one, TimeTaken)]) == 5
    assert len(desk.networks.submitted) == 1
    assert len(desk.publications("planned")) == 5
    elsewhere = await desk.publish("post:9", text="Number 9", network="linkedin")
    assert elsewhere.target == "pressroom_metricool/linkedin"


async def test_what_belongs_to_another_publication_is_not_adopted(desk: Desk) -> None:
    await desk.publish("post:1")
    await desk.publish("post:2", text="Hello", at=AT + DAY)
    # The first one's twin: attempted with the same words for the same time, and nobody knows.
    desk.world.sql(
        "UPDATE publications SET status = 'unknown', external_id = NULL, scheduled_for = %s"
        " WHERE content = 'post:2'", AT,
    )  # fmt: skip
    with pytest.raises(PermanentError, match="already has the same text at the same time, as post:1"):
        await desk.publish("post:2", at=AT + DAY)
    assert desk.row("post:2").status is PublicationStatus.FAILED


async def test_what_was_withdrawn_can_be_published_anew(desk: Desk) -> None:
    first = await desk.publish()
    await desk.networks.unpublish(first.external_id or "")
    with desk.world.store.transaction(desk.world.account_id) as tx:
        tx.run("publications_withdrawn", ids=[first.id])
    again = await desk.publish()
    assert (again.id, again.attempts, again.external_id) == (first.id, 2, "1002")
    assert len(desk.networks.posts) == 1


# What the target declares ------------------------------------------------------------------------------


async def test_a_piece_beyond_the_limits_is_refused_before_anything_is_sent(desk: Desk) -> None:
    told = MetricoolArguments(network=Platform.INSTAGRAM, text="Hello")
    with pytest.raises(PermanentError, match="metricool takes nothing without a picture"):
        await desk.publish_piece("post:1", Piece("post:1", told, at=AT))
    assert desk.row().status is PublicationStatus.FAILED
    assert desk.networks.submitted == []


class Rated(MetricoolArguments):
    limits = TargetLimits(requests_per_minute=6)


async def test_calls_wait_for_the_rate_that_all_workers_share(desk: Desk) -> None:
    desk.networks.arguments = Rated
    await desk.publish()
    desk.world.sql("UPDATE rate_limits SET due_at = now() + interval '0.4 s'")
    began = asyncio.get_running_loop().time()
    await desk.publish("post:2", text="Second", at=AT + DAY)
    assert asyncio.get_running_loop().time() - began > 0.3
    desk.world.sql("UPDATE rate_limits SET due_at = now() + interval '1 hour'")
    with pytest.raises(
        TransientError, match=r"'pressroom_metricool' \(6 requests a minute\) has no"
    ) as caught:
        await desk.publish("post:3", text="Third", at=AT + 2 * DAY)
    assert (caught.value.retry_after or 0) > 3000
    assert desk.row("post:3").status is PublicationStatus.PLANNED
    assert len(desk.networks.submitted) == 2


async def test_a_look_that_must_wait_too_long_leaves_the_question_open(desk: Desk) -> None:
    desk.networks.arguments = Rated
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    desk.lapse()
    desk.world.sql("UPDATE rate_limits SET due_at = now() + interval '1 hour'")
    with pytest.raises(TransientError, match="has no room"):
        await desk.publish()
    assert desk.row().status is PublicationStatus.ATTEMPTING
    desk.world.sql("DELETE FROM rate_limits")
    assert (await desk.publish()).external_id == "1001"
    assert len(desk.networks.submitted) == 1


OLD_FORM = {
    "platform": "twitter",
    "parts": ["Hello", "there"],
    "timezone": "Europe/Berlin",
    "media": [{"url": "https://cdn.example/1.png", "alt": "a cup"}],
    "options": {},
}


async def test_what_was_attempted_before_pieces_had_one_form_is_found(desk: Desk) -> None:
    """The migration reads what an earlier release left on record of a post."""
    desk.networks.script = ["killed_after"]
    told = MetricoolArguments(
        network=Platform.TWITTER, text="Hello", thread=("there",), timezone="Europe/Berlin"
    )
    with pytest.raises(Killed):
        await desk.publish_piece("post:1", Piece("post:1", told, at=AT))
    desk.lapse()
    desk.world.sql("UPDATE publications SET sent = %s", json.dumps(OLD_FORM))
    migration = files("pressroom.store").joinpath("migrations/0010_sent_pieces.sql").read_text("utf-8")
    for _ in range(2):
        with psycopg.connect(desk.world.url, autocommit=True) as connection:
            connection.execute(migration.encode())
    done = await desk.publish_piece("post:1", Piece("post:1", told, at=AT + DAY))
    assert (done.external_id, done.scheduled_for) == ("1001", AT)
    assert len(desk.networks.submitted) == 1


# Hundreds at once ---------------------------------------------------------------------------------------


async def test_of_five_hundred_none_is_lost_and_none_is_doubled(desk: Desk) -> None:
    desk.networks.shares = {"lost": 0.2, "refused": 0.1, "error": 0.1}
    left = {f"post:{n}": AT + timedelta(minutes=n) for n in range(500)}
    gate = asyncio.Semaphore(25)

    async def one(content: str, at: Any) -> None:
        async with gate:
            try:
                await desk.publish(content, text=content, at=at)
            except TransientError:
                return  # as the task does: another try, later
        del left[content]

    for _ in range(5):
        await asyncio.gather(*(one(content, at) for content, at in list(left.items())))
    assert left == {}
    assert desk.networks.texts() == sorted(f"post:{n}" for n in range(500))
    assert len(desk.publications("accepted")) == 500


# Operators, and a run's end -----------------------------------------------------------------------------


def in_doubt(desk: Desk) -> int:
    """A post whose publication nobody knows about. Returns its id."""
    [number] = add_posts(desk.world, desk.run, [AT])
    desk.world.sql(
        "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status, content_hash,"
        " scheduled_for, attempts) VALUES (%s, %s, %s, %s, %s, %s, 'h', %s, 1)",
        desk.world.account_id, desk.world.mission_id, desk.run.id, f"post:{number}", TARGET, "unknown", AT,
    )  # fmt: skip
    return number


def test_an_operator_who_found_it_settles_it(desk: Desk) -> None:
    in_doubt(desk)
    with desk.world.store.transaction(desk.world.account_id) as tx:
        done = publishing.settle(tx, desk.world.mission_id, 1, sent=True, external_id="77")
    assert (done.status, done.external_id) == (PublicationStatus.ACCEPTED, "77")
    assert desk.posts("scheduled") == 1


async def test_an_operator_who_found_nothing_lets_it_be_sent(desk: Desk) -> None:
    number = in_doubt(desk)
    with desk.world.store.transaction(desk.world.account_id) as tx:
        done = publishing.settle(tx, desk.world.mission_id, 1, sent=False)
    assert done.status is PublicationStatus.PLANNED
    assert desk.posts("approved") == 1
    assert (await desk.publish(f"post:{number}")).there


@pytest.mark.parametrize(
    ("changes", "row", "error", "words"),
    [
        ({"sent": True}, None, PermanentError, "under which id"),
        ({"publication_id": 5}, None, PermanentError, "no publication 5"),
        ({"workflow_id": 99}, None, PermanentError, "no publication 1"),
        (
            {},
            "UPDATE publications SET claimed_until = now() + interval '1 minute'",
            RunConflict,
            "a worker is at publication 1",
        ),
        (
            {},
            "UPDATE publications SET status = 'accepted', external_id = '7'",
            RunConflict,
            "is accepted: there is nothing to settle",
        ),
    ],
)
def test_there_must_be_something_to_settle(
    desk: Desk, changes: dict[str, Any], row: str | None, error: type[Exception], words: str
) -> None:
    in_doubt(desk)
    if row:
        desk.world.sql(row)
    call = {"workflow_id": desk.world.mission_id, "publication_id": 1, "sent": False, **changes}
    with desk.world.store.transaction(desk.world.account_id) as tx, pytest.raises(error, match=words):
        publishing.settle(tx, **call)


def test_another_account_has_nothing_to_settle(desk: Desk) -> None:
    in_doubt(desk)
    with desk.world.store.transaction(SYSTEM) as tx, pytest.raises(PermanentError, match="no publication 1"):
        publishing.settle(tx, desk.world.mission_id, 1, sent=False)


def test_only_known_statuses_can_be_asked_for(desk: Desk) -> None:
    in_doubt(desk)
    assert [one.content for one in desk.publications("unknown")] == ["post:1"]
    assert desk.publications("accepted") == []
    with pytest.raises(
        PermanentError, match="there is no status 'sent' of publications: choose planned, attempting"
    ):
        desk.publications("sent")


async def test_at_a_runs_end_what_can_be_known_is_found_out(desk: Desk) -> None:
    ids = add_posts(desk.world, desk.run, [AT, AT + DAY, AT + 2 * DAY])
    contents = [f"post:{number}" for number in ids]
    desk.networks.script = ["killed_after", "killed", "killed_after"]
    for days, content in enumerate(contents):
        with pytest.raises(Killed):
            await desk.publish(content, text=content, at=AT + days * DAY)
    desk.lapse()
    desk.world.sql("UPDATE publications SET sent = NULL WHERE content = %s", contents[2])
    settled = await publishing.settle_open(desk.world.store, desk.run, desk.networks, QUICK)
    assert [one.content for one in settled] == [contents[2]]
    assert [desk.row(one).status.value for one in contents] == ["accepted", "planned", "unknown"]
    assert (desk.posts("scheduled"), desk.posts("approved")) == (1, 2)
    assert len(desk.networks.submitted) == 3
    again = await publishing.settle_open(desk.world.store, desk.run, desk.networks, QUICK)
    assert again == settled


async def test_a_run_that_ends_right_after_a_worker_died_waits_for_its_claim(desk: Desk) -> None:
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    assert await publishing.settle_open(desk.world.store, desk.run, desk.networks, QUICK) == []
    assert desk.row().external_id == "1001"


async def test_what_cannot_be_found_out_is_for_a_person_and_said_once(desk: Desk) -> None:
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    desk.lapse()
    desk.networks.looks = ["error"] * 6
    for _ in range(2):
        [unknown] = await publishing.settle_open(desk.world.store, desk.run, desk.networks, QUICK)
        assert unknown.status is PublicationStatus.UNKNOWN
    # When the target answers again, the next look settles it.
    assert await publishing.settle_open(desk.world.store, desk.run, desk.networks, QUICK) == []
    assert (desk.row().external_id, len(desk.networks.submitted)) == ("1001", 1)


async def test_an_unknown_publication_is_looked_for_before_it_is_sent(desk: Desk) -> None:
    desk.networks.script = ["killed_after"]
    with pytest.raises(Killed):
        await desk.publish()
    with desk.world.store.transaction(desk.world.account_id) as tx:
        assert publishing.give_up(tx, desk.run.id) == [1]
    desk.lapse()
    desk.networks.looks = ["error"] * 3
    with pytest.raises(TransientError):
        await desk.publish()
    assert desk.row().status is PublicationStatus.UNKNOWN
    assert (await desk.publish()).external_id == "1001"
    assert len(desk.networks.submitted) == 1


async def test_an_outcome_that_is_unknown_is_a_reason_to_look_whatever_its_words(desk: Desk) -> None:
    desk.networks.script = [UnknownOutcome("the answer had no id", retry_after=90.0)]
    with pytest.raises(TransientError, match="no id") as caught:
        await desk.publish()
    assert caught.value.retry_after == 90
    assert desk.row().status is PublicationStatus.PLANNED
