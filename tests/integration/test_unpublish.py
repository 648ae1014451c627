"""Publications that somebody takes back: at the target first, and in the ledger once the target said so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest

from pressroom.domain.errors import ConfigurationError, RunConflict, TransientError, UnknownOutcome
from pressroom.domain.publishing import Place, Publication, Target
from pressroom.engine.publishing import unpublish as withdrawing
from pressroom.engine.publishing.claim import Timing
from pressroom.store.database import Store
from pressroom.testing import MemoryMedia
from pressroom.testing_flows import FakeTarget
from tests.support.press import add_articles, work
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration

QUICK = Timing(call=0.3, lease=5.0, backoff=0.01, retry_after=0.2)


class Blog(FakeTarget):
    """A target that can fail to take back. ``answers``: one a call; an error with True is raised after it."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("blogs", "pressroom_blogs")
        self.answers = list(answers)
        self.asked: list[str] = []

    async def unpublish(self, external_id: str) -> bool:
        self.asked.append(external_id)
        answer = self.answers.pop(0) if self.answers else True
        if answer == "hang":
            await asyncio.sleep(60)
        if isinstance(answer, Exception):
            if isinstance(answer, UnknownOutcome):
                self.pieces.pop(external_id, None)
            raise answer
        return answer and await super().unpublish(external_id)


class Press:
    """A site with one target, and an article on it."""

    def __init__(self, world: World) -> None:
        self.world, self.blog, self.media = world, Blog(), MemoryMedia()
        self.runs = 0

    def prepare(self) -> None:
        [self.article] = add_articles(self.world, 1)
        self.approve()

    def approve(self) -> None:
        from pressroom.pipelines.site import approval

        with self.world.store.transaction(self.world.account_id) as tx:
            seen = approval.article(tx, self.world.site_id, self.article).content_hash
            approval.approve(tx, self.world.site_id, self.article, seen, "Ada")

    async def publish(self) -> None:
        self.runs += 1
        run = await asyncio.to_thread(self.world.run, f"publish__{self.runs}", exclusive=False)
        await work(self.world.store, run, {"pressroom_blogs": self.blog}, self.media)

    async def unpublish(self, timing: Timing = QUICK) -> Publication:
        async def opened(place: Place) -> AbstractAsyncContextManager[Target[Any]]:
            assert place == Place("blogs", "pressroom_blogs", "pressroom_blogs/blogs")
            return nullcontext(self.blog)

        store, account = self.world.store, self.world.account_id
        withdrawal = await store.run(account, withdrawing.begin, 1, timing)
        return await withdrawing.unpublish(store, account, withdrawal, opened, timing)

    def statuses(self) -> Sequence[Any]:
        [row] = self.world.sql(
            "SELECT p.status, c.status, p.claim IS NULL FROM publications AS p, contents AS c"
        )
        return row


@pytest.fixture
async def press(database_url: str, store: Store) -> Press:
    targets = [{"to": "blogs", "connection": "pressroom_blogs"}]
    made = Press(await asyncio.to_thread(make_world, database_url, store, publish={"targets": targets}))
    await asyncio.to_thread(made.prepare)
    await made.publish()
    assert made.statuses() == ("accepted", "published", True)
    return made


async def test_what_is_taken_back_is_gone_and_waits_for_review(press: Press) -> None:
    assert (await press.unpublish()).status == "withdrawn"
    assert press.blog.pieces == {}
    assert press.statuses() == ("withdrawn", "review", True)
    kinds = [kind for (kind,) in press.world.sql("SELECT kind FROM run_events WHERE stage = 'publish'")]
    assert kinds.count("publication_unpublish") == kinds.count("publication_withdrawn") == 1
    # No run publishes it, until somebody approves it again.
    await press.publish()
    assert press.blog.pieces == {}
    press.approve()
    await press.publish()
    assert len(press.blog.pieces) == 1
    assert press.statuses() == ("accepted", "published", True)


async def test_twice_is_once(press: Press) -> None:
    await press.unpublish()
    assert (await press.unpublish()).status == "withdrawn"
    assert len(press.blog.asked) == 1


@pytest.mark.parametrize(
    "answer", [UnknownOutcome("no answer"), "hang", TransientError("503", retry_after=0.01)]
)
async def test_a_call_without_an_answer_is_repeated(press: Press, answer: Any) -> None:
    press.blog.answers = [answer]
    assert (await press.unpublish()).status == "withdrawn"
    assert len(press.blog.asked) == 2
    assert press.blog.pieces == {}


async def test_what_the_target_keeps_stays_published(press: Press) -> None:
    press.blog.answers = [False]
    with pytest.raises(RunConflict, match="pressroom_blogs/blogs cannot take article:1 back any more"):
        await press.unpublish()
    assert press.statuses() == ("accepted", "published", True)


@pytest.mark.parametrize(
    ("answers", "error", "asked"),
    [
        ([TransientError("503")] * 3, TransientError, 3),
        ([TransientError("429", retry_after=90.0)], TransientError, 1),
        ([ConfigurationError("the token is wrong")], ConfigurationError, 1),
    ],
)
async def test_a_failure_leaves_it_as_it_was(
    press: Press, answers: list[Exception], error: type[Exception], asked: int
) -> None:
    press.blog.answers = list(answers)
    with pytest.raises(error):
        await press.unpublish()
    assert len(press.blog.asked) == asked
    assert press.statuses() == ("accepted", "published", True)
    assert (await press.unpublish()).status == "withdrawn"


async def test_a_connection_that_is_missing_leaves_it_as_it_was(press: Press) -> None:
    async def opened(place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        raise ConfigurationError("there is no connection")

    store, account = press.world.store, press.world.account_id
    withdrawal = await store.run(account, withdrawing.begin, 1)
    with pytest.raises(ConfigurationError):
        await withdrawing.unpublish(store, account, withdrawal, opened)
    assert press.statuses() == ("accepted", "published", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("status = 'planned'", "is planned: there is nothing to take back"),
        ("status = 'failed'", "is failed: there is nothing to take back"),
        ("status = 'unknown'", "is unknown: settle whether it is there first"),
        ("content = 'post:1'", "roll its job back"),
        ("claim = 'x', claimed_until = now() + interval '1 minute'", "a worker is at publication 1"),
    ],
)
async def test_what_is_not_there_for_certain_is_not_taken_back(press: Press, change: str, words: str) -> None:
    press.world.sql(f"UPDATE publications SET {change}")  # noqa: S608
    with pytest.raises(RunConflict, match=words):
        await press.unpublish()
    assert press.blog.asked == []


async def test_of_two_at_once_one_asks_the_target(press: Press) -> None:
    results = await asyncio.gather(press.unpublish(), press.unpublish(), return_exceptions=True)
    assert sum(isinstance(one, RunConflict) for one in results) == 1
    assert len(press.blog.asked) == 1


async def test_a_claim_that_was_lost_changes_nothing(press: Press) -> None:
    store, account = press.world.store, press.world.account_id
    withdrawal = await store.run(account, withdrawing.begin, 1)
    press.world.sql("UPDATE publications SET claim = 'another'")

    async def opened(place: Place) -> AbstractAsyncContextManager[Target[Any]]:
        return nullcontext(press.blog)

    with pytest.raises(TransientError, match="another worker took over publication 1"):
        await withdrawing.unpublish(store, account, withdrawal, opened)
    assert press.blog.asked == []
    assert press.statuses() == ("accepted", "published", False)


async def test_what_a_person_has_settled_is_taken_back_only_if_the_target_finds_it(press: Press) -> None:
    [(own,)] = press.world.sql("SELECT external_id FROM publications")
    press.world.sql("UPDATE publications SET by_hand = true, external_id = 'of-somebody-else'")
    with pytest.raises(RunConflict, match="a person has settled"):
        await press.unpublish()
    assert press.blog.asked == []
    assert press.statuses() == ("accepted", "published", True)
    press.world.sql("UPDATE publications SET external_id = %s", own)
    assert (await press.unpublish()).status == "withdrawn"
    assert press.blog.asked == [own]
