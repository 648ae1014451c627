"""A site's approved articles on its targets: what was seen is what is published, once on each target."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.targets.static_site.target import StaticSite, StaticSiteSettings
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    RunConflict,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Piece, Placed
from pressroom.domain.run import Run
from pressroom.engine.runs import control
from pressroom.engine.runs.batch import Report
from pressroom.pipelines.site import approval
from pressroom.pipelines.site.publish import anything_to_publish, pending
from pressroom.store.database import Store
from pressroom.testing import PIXEL, MemoryMedia
from tests.support.press import add_articles, work
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration

BLOG, MIRROR = "pressroom_static_site", "mirror"
TARGETS = [{"to": "static_site"}, {"to": "static_site", "connection": MIRROR}]


class Folder(StaticSite):
    """A static site that notes every call, and can be told to fail: ``errors``, one a call, None: not."""

    def __init__(self, connection: str, folder: Path) -> None:
        super().__init__(StaticSiteSettings.from_connection(connection, host=str(folder)))
        self.folder = folder
        self.sent: list[str] = []
        self.known: list[Placed | None] = []
        self.notes: Placed | None = None
        """What each call tells the ledger before it does its work."""

        self.errors: list[Exception | None] = []
        self.late: list[Exception] = []
        """Raised after a call has done its work."""

    async def publish(self, piece: Piece[Any]) -> Placed:
        self.sent.append(piece.arguments.title)
        self.known.append(piece.known)
        if self.notes is not None:
            await piece.note(self.notes)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        placed = await super().publish(piece)
        if self.late:
            raise self.late.pop(0)
        return placed

    def pages(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob("*/index.html"))

    def text(self, slug: str) -> str:
        return (self.folder / slug / "index.html").read_text("utf-8")


class Press:
    """A site with two targets."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.targets = {name: Folder(name, folder / name) for name in (BLOG, MIRROR)}
        self.blog, self.mirror = self.targets[BLOG], self.targets[MIRROR]
        self.media = MemoryMedia()
        self.runs = 0

    def articles(self, number: int = 1) -> list[int]:
        images = [
            (self.media.put(PIXEL, "image/png"), "a cup"),
            (self.media.put(PIXEL + b"2", "image/png"), "b"),
        ]
        return add_articles(self.world, number, images=images)

    def read(self, id: int) -> approval.ReviewedArticle:
        with self.world.store.transaction(self.world.account_id) as tx:
            return approval.article(tx, self.world.site_id, id)

    def approve(self, *ids: int) -> None:
        with self.world.store.transaction(self.world.account_id) as tx:
            for id in ids:
                seen = approval.article(tx, self.world.site_id, id).content_hash
                approval.approve(tx, self.world.site_id, id, seen, "Ada")

    def edit(self, id: int, **fields: str) -> None:
        with self.world.store.transaction(self.world.account_id) as tx:
            approval.edit(tx, self.world.site_id, id, by="Ada", **fields)

    def reject(self, id: int) -> None:
        with self.world.store.transaction(self.world.account_id) as tx:
            approval.reject(tx, self.world.site_id, id, "too thin", "Ada")

    def open(self) -> Run:
        self.runs += 1
        return self.world.run(f"publish__{self.runs}", exclusive=False)

    async def publish(self, *, last_try: bool = True, keys: Sequence[Any] | None = None) -> Report:
        run = await asyncio.to_thread(self.open)
        return await work(self.world.store, run, self.targets, self.media, keys=keys, last_try=last_try)

    def waiting(self) -> list[Any]:
        run = self.open()
        with self.world.store.transaction(self.world.account_id) as tx:
            return list(pending(tx, run))

    def ledger(self) -> list[tuple[Any, ...]]:
        return self.world.sql(
            "SELECT content, target, status, attempts FROM publications ORDER BY content, target"
        )


@pytest.fixture
def press(database_url: str, store: Store, tmp_path: Path) -> Press:
    return Press(make_world(database_url, store, publish={"targets": TARGETS}), tmp_path)


# Approval ---------------------------------------------------------------------------------------------


async def test_an_approval_is_for_what_was_seen(press: Press) -> None:
    (id,) = press.articles()
    seen = press.read(id)
    press.edit(id, title="Another title")
    store, account = press.world.store, press.world.account_id
    with store.transaction(account) as tx, pytest.raises(RunConflict, match="read it again"):
        approval.approve(tx, press.world.site_id, id, seen.content_hash, "Ada")
    assert press.read(id).status == "review"
    press.approve(id)
    now = press.read(id)
    assert (now.status, now.approved_by, now.approved_hash) == ("approved", "Ada", now.content_hash)


async def test_everything_that_is_published_counts_for_the_hash(press: Press) -> None:
    (id,) = press.articles()
    hashes = {press.read(id).content_hash}
    for change in (
        "title = 'x'", "slug = 'x'", "html = '<p>x</p>'", "excerpt = 'x'", "tags = '{x}'",
        "meta_description = 'x'",
    ):  # fmt: skip
        press.world.sql(f"UPDATE contents SET {change}, content_hash = ''")  # noqa: S608  # our own
        hashes.add(press.read(id).content_hash)
    for change in ("alt = 'x' WHERE position = 1", "media_url = 'x' WHERE position = 0"):
        press.world.sql(f"UPDATE images SET {change}")  # noqa: S608  # our own
        press.world.sql("UPDATE contents SET content_hash = ''")
        hashes.add(press.read(id).content_hash)
    assert len(hashes) == 9
    assert all(len(one) == 64 for one in hashes)


async def test_an_edit_voids_the_approval(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    press.edit(id, html="<p>New.</p><script>alert(1)</script>")
    now = press.read(id)
    assert (now.status, now.approved_hash, now.approved_by, now.html) == ("review", None, None, "<p>New.</p>")
    assert press.waiting() == []


async def test_an_edit_is_cleaned_before_it_is_approved_and_goes_out_as_it_is(press: Press) -> None:
    (id,) = press.articles()
    press.world.sql('UPDATE sites SET definition = definition || \'{"url": "https://site.test/blog/"}\'')
    press.world.site = press.world.site.model_copy(update={"url": "https://site.test/blog/"})
    press.edit(id, html='<p><a href="/shears/">ours</a> <a href="mailto:a@b.test">write</a> <b>x<p>y</p>')
    approved = press.read(id).html
    rel = 'rel="noopener nofollow"'
    assert approved == (
        f'<p><a href="https://site.test/shears/" {rel}>ours</a> <a {rel}>write</a> <b>x</b></p><p>y</p>'
    )
    press.approve(id)
    await press.publish()
    assert all(approved in target.text("article-1") for target in press.targets.values())


async def test_an_edit_costs_and_stores_no_more_than_was_sent(press: Press) -> None:
    (id,) = press.articles()
    hostile = "<p>" + "".join(f"<b a={number}>" for number in range(4_990)) + "<p>x" * 4_990
    press.edit(id, html=hostile)
    assert len(press.read(id).html) < len(hostile)
    with pytest.raises(PermanentError, match="more than the 200,000 characters of an article"):
        press.edit(id, html="<p>word</p>" * 20_000)


async def test_who_changes_the_rows_behind_an_approval_publishes_nothing(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    press.world.sql("UPDATE contents SET html = '<p>Something else.</p>'")
    report = await press.publish()
    assert (report.done, report.failed) == (0, 2)
    assert press.blog.sent == press.mirror.sent == []
    assert {(row[2], row[3]) for row in press.ledger()} == {("planned", 0)}
    now = press.read(id)
    assert (now.status, now.approved_by, now.approved_terms) == ("review", None, None)
    assert "has changed since it was approved (article): review it again" in now.review_note


async def test_a_rejected_article_is_not_published_and_can_be_approved_again(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    press.reject(id)
    assert (press.read(id).status, press.read(id).review_note) == ("rejected", "Ada: too thin")
    assert press.waiting() == []
    press.approve(id)
    assert len(press.waiting()) == 2


async def test_what_is_out_cannot_be_rejected(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    press.mirror.errors = [PermanentError("no")]
    await press.publish()
    with pytest.raises(RunConflict, match="is being published, and cannot be rejected"):
        press.reject(id)
    await press.publish()
    with pytest.raises(RunConflict, match="is published, and cannot be rejected"):
        press.reject(id)
    press.edit(id, title="Second edition")
    press.reject(id)
    assert press.read(id).status == "rejected"


async def test_an_article_of_another_site_is_out_of_reach(press: Press) -> None:
    (id,) = press.articles()
    store, account = press.world.store, press.world.account_id
    with store.transaction(account) as tx, pytest.raises(PermanentError, match="has no article"):
        approval.approve(tx, press.world.site_id + 1, id, press.read(id).content_hash, "Ada")


@pytest.mark.parametrize("auto", [True, False])
async def test_with_auto_publish_an_article_is_approved_as_it_goes_to_review(
    database_url: str, store: Store, tmp_path: Path, auto: bool
) -> None:
    world = make_world(database_url, store, publish={"targets": TARGETS, "auto_publish": auto})
    press = Press(world, tmp_path)
    (id,) = add_articles(world, 1, images=[(press.media.put(PIXEL, "image/png"), "a")], status="draft")
    with store.transaction(world.account_id) as tx:
        assert approval.to_review(tx, world.site_id, id, auto_publish=world.site.publish.auto_publish)
    now = press.read(id)
    expected = ("approved", "auto", now.content_hash) if auto else ("review", None, None)
    assert (now.status, now.approved_by, now.approved_hash) == expected
    run = press.open()
    with store.transaction(world.account_id) as tx:
        assert anything_to_publish(tx, run) is auto


# Publishing -------------------------------------------------------------------------------------------


async def test_each_article_is_on_each_target_with_its_pictures(press: Press) -> None:
    first, second, waits = press.articles(3)
    press.approve(first, second)
    report = await press.publish()
    assert (report.done, report.failed) == (4, 0)
    assert press.blog.pages() == press.mirror.pages() == ["article-1", "article-2"]
    page = press.blog.text("article-1")
    assert page.index('alt="a cup"') < page.index("<h2>More</h2>") < page.index('alt="b"')
    assert [press.read(id).status for id in (first, second, waits)] == ["published", "published", "review"]
    assert press.read(first).published_at is not None
    assert {row[2:] for row in press.ledger()} == {("accepted", 1)}


async def test_the_second_run_publishes_nothing(press: Press) -> None:
    press.approve(*press.articles(2))
    await press.publish()
    assert (await press.publish()).done == 0
    assert (len(press.blog.sent), len(press.mirror.sent)) == (2, 2)


@pytest.mark.parametrize("error", [PermanentError("no"), TransientError("later")], ids=["refused", "away"])
async def test_what_one_target_does_not_take_holds_no_other(press: Press, error: Exception) -> None:
    (id,) = press.articles()
    press.approve(id)
    press.mirror.errors = [error] * 3
    await press.publish()
    assert (press.blog.pages(), press.mirror.pages()) == (["article-1"], [])
    assert press.read(id).status == "approved"
    assert press.waiting() == [[id, 1]]
    press.mirror.errors = []
    report = await press.publish()
    assert (report.done, press.blog.sent, press.mirror.pages()) == (1, ["Article 0001"], ["article-1"])
    assert press.read(id).status == "published"


async def test_a_target_that_is_set_up_wrongly_holds_no_other_and_costs_no_attempt(press: Press) -> None:
    ids = press.articles(3)
    press.approve(*ids)
    blog = press.targets.pop(BLOG)
    for _ in range(4):  # more runs than an item has attempts
        with pytest.raises(ConfigurationError) as caught:
            await press.publish()
        assert str(caught.value) == f"{BLOG}/static_site: there is no connection '{BLOG}'"
    assert len(press.mirror.pages()) == 3
    assert len(press.mirror.sent) == 3
    assert press.world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    messages = press.world.sql("SELECT message FROM run_events WHERE kind = 'setup_wrong' ORDER BY run_id")
    assert len(messages) == 4  # one a run, not one an article
    assert all(f"waits, because the set-up is wrong: {BLOG}/static_site" in text for (text,) in messages)
    press.targets[BLOG] = blog
    assert (await press.publish()).done == 3
    assert [press.read(id).status for id in ids] == ["published"] * 3


async def test_a_key_that_is_refused_while_publishing_costs_no_attempt(press: Press) -> None:
    press.approve(*press.articles(3))
    press.blog.errors = [ConfigurationError("the password is wrong")] * 3
    with pytest.raises(ConfigurationError, match=f"^{BLOG}/static_site: the password is wrong$"):
        await press.publish()
    assert len(press.mirror.pages()) == 3
    assert press.world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    press.blog.errors = []
    assert (await press.publish()).done == 3


async def test_what_a_target_does_not_know_is_said(database_url: str, store: Store, tmp_path: Path) -> None:
    targets = [{"to": "static_site", "settings": {"colour": "red"}}]
    press = Press(make_world(database_url, store, publish={"targets": targets}), tmp_path)
    press.approve(*press.articles())
    with pytest.raises(
        ConfigurationError, match="does not take that: settings: there is no setting 'colour'"
    ):
        await press.publish()
    assert press.world.sql("SELECT count(*) FROM item_failures") == [(0,)]


async def test_whoever_died_before_it_could_say_so_is_finished_by_the_next_run(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    await press.publish()
    press.world.sql("UPDATE contents SET status = 'approved', published_at = NULL")
    assert press.waiting() == [[id, 0]]
    await press.publish()
    assert press.read(id).status == "published"
    assert (len(press.blog.sent), len(press.mirror.sent)) == (1, 1)


async def test_an_article_that_is_approved_anew_is_changed_in_place(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    await press.publish()
    before = press.read(id).published_at
    press.edit(id, html="<p>The second edition.</p>")
    assert "second edition" not in press.blog.text("article-1")
    press.approve(id)
    press.mirror.errors = [PermanentError("no")]
    await press.publish()
    assert "second edition" in press.blog.text("article-1")
    assert "second edition" not in press.mirror.text("article-1")
    assert press.waiting() == [[id, 1]]
    await press.publish()
    assert press.blog.pages() == press.mirror.pages() == ["article-1"]
    assert "second edition" in press.mirror.text("article-1")
    assert (press.read(id).status, press.read(id).published_at) == ("published", before)
    assert [row[2:] for row in press.ledger()] == [("accepted", 3), ("accepted", 2)]


async def test_a_target_is_told_as_what_it_has_an_article(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    claim = Placed("claim-1", "https://site.test/?p=1")
    press.blog.notes, press.blog.errors = claim, [TransientError("busy")] * 3
    await press.publish()
    await press.publish()  # the next run, in another process
    assert press.blog.known == [None, None, None, claim]
    press.edit(id, html="<p>The second edition.</p>")
    press.approve(id)
    await press.publish()
    there = press.world.sql(
        "SELECT external_id, public_url FROM publications WHERE target LIKE %s", f"{BLOG}%"
    )
    assert press.blog.known[4:] == [Placed(*there[0])]
    # What a person has named may be another's.
    press.world.sql("UPDATE publications SET by_hand = true, external_id = '77', sent = '{}'")
    press.edit(id, html="<p>The third edition.</p>")
    press.approve(id)
    await press.publish()
    assert press.blog.known[5:] == [None]


async def test_an_update_that_was_not_answered_is_not_taken_for_the_version_before(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    await press.publish()
    press.edit(id, html="<p>The second edition.</p>")
    press.approve(id)
    # The call was lost on the way there: what is found at the target is still the first edition.
    press.blog.errors = [UnknownOutcome("lost"), UnknownOutcome("lost"), UnknownOutcome("lost")]
    await press.publish()
    assert press.waiting() == [[id, 0]]
    await press.publish()
    assert "second edition" in press.blog.text("article-1")
    assert press.blog.pages() == ["article-1"]


async def test_an_update_of_a_worker_that_died_is_sent_again(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    await press.publish()
    press.edit(id, html="<p>The second edition.</p>")
    press.approve(id)
    run = press.open()
    press.world.sql(
        "UPDATE publications SET status = 'attempting', content_hash = %s, run_id = %s, claim = 'dead',"
        " claimed_until = now() - interval '1 s'",
        press.read(id).content_hash, run.id,
    )  # fmt: skip
    await press.publish()
    assert "second edition" in press.blog.text("article-1")
    assert press.blog.pages() == ["article-1"]
    assert press.read(id).status == "published"


async def test_an_edit_between_the_answer_and_its_saving_is_published_next(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    publish = Folder.publish

    class Edited(Folder):
        async def publish(self, piece: Piece[Any]) -> Placed:
            placed = await publish(self, piece)
            await asyncio.to_thread(press.edit, id, title="Second edition")
            return placed

    press.blog.__class__ = Edited
    press.targets.pop(MIRROR)
    with pytest.raises(ConfigurationError):
        await press.publish()
    assert press.read(id).status == "review"
    press.blog.__class__ = Folder
    press.targets[MIRROR] = press.mirror
    press.approve(id)
    await press.publish()
    assert press.blog.pages() == ["article-1"]
    assert "Second edition" in press.blog.text("article-1")


# Runs -------------------------------------------------------------------------------------------------


async def test_publishing_and_writing_go_on_at_the_same_time(press: Press) -> None:
    publishing = press.open()
    writing = press.world.run("manual__1")
    with pytest.raises(RunConflict):
        press.world.run("manual__2")
    more = press.open()
    with press.world.store.transaction(press.world.account_id) as tx:
        assert all(control.get(tx, run.id).live for run in (publishing, writing, more))
        live = control.live_run(tx, press.world.site_id)
    assert live is not None
    assert live.id == writing.id
