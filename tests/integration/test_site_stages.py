"""The seven stages on a real Postgres: what waits, what saving changes, and what it must never do twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pressroom.domain.definitions import Account, ArticleSettings, ImageSettings, Site
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.run import Run
from pressroom.domain.text import normalize
from pressroom.engine.money import ledger
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.site import SITE, counts, estimate_run, images, review
from pressroom.pipelines.site.clusters import key_of
from pressroom.pipelines.stage import LABEL_CHARS, Skip, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store
from pressroom.testing import PIXEL, FakeImages, FakeText, tools
from pressroom.ui.site import write_preview

SETTINGS = Site(
    account="acme",
    slug="blog",
    name="Blog & Co",
    article=ArticleSettings(ideas_per_cluster=2, target_words=220),
    images=ImageSettings(per_article=2),
)
WORDS = ["tea", "milk", "bread", "cheese", "apple", "honey", "pepper", "salt", "rice", "beans", "plum", "fig"]


class World:
    """Plain SQL for setting scenes and looking at them."""

    def __init__(self, url: str, store: Store) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.store = store
        insert = "INSERT INTO accounts (slug, name, definition) VALUES (%s, 'A', %s) RETURNING id"
        self.account = self.one(insert, "acme", '{"slug": "acme", "name": "A"}')
        self.other = self.one(insert, "rival", '{"slug": "rival", "name": "A"}')
        self.site = self.add("workflows", kind="site", slug="blog")
        self.add(
            "sites",
            id=self.site,
            slug="blog",
            definition='{"account": "acme", "slug": "blog", "name": "Blog & Co"}',
        )
        run = self.add("runs", workflow_id=self.site, dag_id="d", dag_run_id="r", trigger="manual", owner="t",
                       lease_until="2100-01-01")  # fmt: skip
        account = Account(slug="acme", name="Acme")
        self.run = Run(
            account=account,
            workflow=SETTINGS,
            brand=None,
            id=run,
            account_id=self.account,
            workflow_id=self.site,
        )

    def one(self, statement: str, *params: Any) -> Any:
        row = self.connection.execute(statement, params).fetchone()
        return row[0] if row else None

    def all(self, statement: str, *params: Any) -> list[Any]:
        return self.connection.execute(statement, params).fetchall()

    def add(self, table: str, account: int | None = None, **columns: Any) -> int:
        columns["account_id"] = account or self.account
        names = ", ".join(columns)
        marks = ", ".join(["%s"] * len(columns))
        made: int = self.one(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608  # our own names
            *columns.values(),
        )
        return made

    def keyword(self, text: str, **columns: Any) -> int:
        return self.add("keywords", site_id=self.site, text=text, normalized=normalize(text), **columns)

    def cluster(self, name: str = "Tea", **columns: Any) -> int:
        return self.add("clusters", site_id=self.site, name=name, normalized=normalize(name), **columns)

    def idea(self, title: str = "Tea!", cluster: int | None = None, **columns: Any) -> int:
        home = cluster or self.cluster(f"Cluster of {title}", status="planned")
        return self.add("ideas", site_id=self.site, cluster_id=home, title=title, normalized=normalize(title),
                        type="guide", **columns)  # fmt: skip

    def task(self, title: str = "Tea!", **columns: Any) -> int:
        return self.add("tasks", site_id=self.site, idea_id=self.idea(title, status="queued"), **columns)

    def article(self, title: str = "Tea!", **columns: Any) -> int:
        given = {"slug": normalize(title).replace(" ", "-"), "html": "<p>Hi</p><h2>One</h2><p>Text</p>",
                 "meta_description": "m", "excerpt": "e", "word_count": 3, "model": "m",
                 **columns}  # fmt: skip
        return self.add(
            "contents", site_id=self.site, task_id=self.task(title, status="completed"), title=title, **given
        )

    def image(self, article: int, position: int = 0, **columns: Any) -> int:
        return self.add("images", site_id=self.site, content_id=article, position=position, prompt="p",
                        alt="a", role="in_article" if position else "featured", **columns)  # fmt: skip

    def failed(self, stage: str, item: object, attempts: int) -> None:
        self.connection.execute(
            "INSERT INTO item_failures (account_id, workflow_id, stage, item, attempts, error_class, error,"
            " run_id) VALUES (%s, %s, %s, %s, %s, 'E', 'e', %s)",
            (self.account, self.site, stage, str(item), attempts, self.run.id),
        )

    def pending(self, stage: str, run: Run | None = None) -> Any:
        with self.store.transaction(self.account) as tx:
            return SITE.stage(stage).pending(tx, run or self.run)

    async def work(
        self, name: str, using: Tools | None = None, keys: Sequence[Any] | None = None
    ) -> list[Any]:
        """What the runner does with a stage, in its barest form. Returns what saving reported."""
        stage: Stage[Any, Any] = SITE.stage(name)
        saved = []
        with self.store.transaction(self.account) as tx:
            wanted = stage.pending(tx, self.run) if keys is None else keys
        assert not isinstance(wanted, Skip)
        for key in wanted:
            with self.store.transaction(self.account) as tx:
                items = stage.load(tx, self.run, [key])
            for item in items:
                output = await stage.process(item, using or tools(site=SETTINGS))
                with self.store.transaction(self.account) as tx:
                    saved.append(stage.save(tx, self.run, item, output))
        return saved


@pytest.fixture
def world(store: Store, database_url: str) -> Iterator[World]:
    made = World(database_url, store)
    yield made
    made.connection.close()


def five(world: World) -> list[int]:
    return [world.keyword(text) for text in WORDS[:5]]


# What waits: one test per rule -----------------------------------------------------------------------

WAITING = {
    "clusters: a new keyword in no cluster waits": ("clusters", five, 5),
    "clusters: a disabled keyword does not": (
        "clusters", lambda w: [*five(w), w.keyword("x", disabled=True)][:5], 5),
    "clusters: a clustered keyword does not": (
        "clusters", lambda w: [*five(w), w.keyword("x", status="clustered", cluster_id=w.cluster())][:5], 5),
    "ideas: a new cluster without ideas waits": ("ideas", lambda w: [w.cluster()], 1),
    "ideas: a planned cluster does not": ("ideas", lambda w: w.cluster(status="planned"), 0),
    "ideas: a disabled cluster does not": ("ideas", lambda w: w.cluster(disabled=True), 0),
    "ideas: a cluster with ideas does not": ("ideas", lambda w: w.idea(cluster=w.cluster()), 0),
    "tasks: a new idea waits": ("tasks", lambda w: [w.idea()], 1),
    "tasks: a queued idea does not": ("tasks", lambda w: w.idea(status="queued"), 0),
    "content: a queued task waits": ("content", lambda w: [w.task()], 1),
    "content: a completed task does not": ("content", lambda w: w.task(status="completed"), 0),
    "content: a queued task with content does not": (
        "content", lambda w: (w.article(), w.connection.execute("UPDATE tasks SET status = 'queued'")), 0),
    "image_prompts: a draft without images waits": ("image_prompts", lambda w: [w.article()], 1),
    "image_prompts: a draft with an image does not": ("image_prompts", lambda w: w.image(w.article()), 0),
    "image_prompts: an article in review does not": (
        "image_prompts", lambda w: w.article(status="review"), 0),
    "images: a pending image waits": ("images", lambda w: [w.image(w.article())], 1),
    "images: a generated image does not": (
        "images", lambda w: w.image(w.article(), status="generated", media_url="u"), 0),
    "review: processes nothing": ("review", lambda w: w.article(status="review"), 0),
}  # fmt: skip


@pytest.mark.parametrize("rule", WAITING)
def test_waits(world: World, rule: str) -> None:
    stage, scene, number = WAITING[rule]
    made = scene(world)
    found = world.pending(stage)
    assert found == ([] if not number else [made] if stage == "clusters" else made)
    field = {"clusters": "keywords", "ideas": "clusters", "tasks": "ideas", "content": "tasks",
             "image_prompts": "contents", "images": "images"}.get(stage)  # fmt: skip
    if field:
        with world.store.transaction(world.account) as tx:
            assert getattr(counts(tx, world.site), field) == number


def test_fewer_than_five_keywords_are_skipped_with_the_number(world: World) -> None:
    assert world.pending("clusters") == Skip("no keyword waits")
    world.keyword("tea")
    assert world.pending("clusters") == Skip("1 keyword waiting: clustering needs at least 5")


@pytest.mark.parametrize(
    ("stage", "make"),
    [
        ("ideas", World.cluster),
        ("tasks", World.idea),
        ("content", World.task),
        ("image_prompts", World.article),
        ("images", lambda world: world.image(world.article())),
    ],
)
def test_what_failed_three_times_waits_for_a_person(world: World, stage: str, make: Any) -> None:
    item = make(world)
    world.failed("other", item, 9)
    world.failed(stage, item, 2)
    assert world.pending(stage) == [item]
    world.connection.execute("UPDATE item_failures SET attempts = 3")
    assert world.pending(stage) == []


def test_a_group_of_keywords_that_failed_three_times_waits_until_it_changes(world: World) -> None:
    ids = five(world)
    world.failed("clusters", key_of(ids), 3)
    assert world.pending("clusters") == []
    world.keyword("new")
    assert len(world.pending("clusters")[0]) == 6


def test_another_accounts_transaction_sees_nothing(world: World) -> None:
    five(world), world.image(world.article()), world.cluster(), world.idea("Idea"), world.task("Task")
    with world.store.transaction(world.other) as tx:
        for stage in SITE.stages:
            found = stage.pending(tx, world.run)
            assert not found or isinstance(found, Skip)
            assert not stage.load(tx, world.run, [[1, 2]] if stage.name == "clusters" else [1])
        assert set(vars(counts(tx, world.site)).values()) == {0}
        assert review.summarize(tx, world.run) == {"ready_for_review": 0, "content_ids": []}


def test_review_counts_all_articles_that_wait_and_names_the_newest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "LISTED", 2)
    numbers = [world.article(title, status="review") for title in ("Tea!", "Mate", "Oolong")]
    world.article("Sencha", status="published")
    with world.store.transaction(world.account) as tx:
        assert review.summarize(tx, world.run) == {
            "ready_for_review": 3, "content_ids": [f"art_{number}" for number in numbers[1:]],
        }  # fmt: skip


# The stages, one after the other -----------------------------------------------------------------


async def test_keywords_become_articles_in_review(world: World) -> None:
    for text in WORDS:
        world.keyword(text, volume=10)
    with world.store.transaction(world.account) as tx:
        assert estimate_run(tx, world.run).items["clusters"] == 12
    numbers = {"clusters": [{"name": "Drinks", "keywords": [1, 2], "description": "d"},
                            {"name": "Food", "keywords": list(range(3, 13)), "description": ""}]}  # fmt: skip
    titles = iter(["Why tea", "Why milk", "why tea?", "Why bread"])

    def ideas(_: object) -> dict[str, Any]:
        return {"ideas": [{"title": next(titles), "angle": "a", "type": "guide", "keywords": [1],
                           "outline": ["One", "Two", "Three"]} for _ in range(2)]}  # fmt: skip

    using = tools(site=SETTINGS, text=FakeText({"clusters": numbers, "ideas": ideas}))
    assert [s.created for s in await world.work("clusters", using)] == [2]
    assert world.all(
        "SELECT c.name, count(*) FROM clusters c JOIN keywords ON cluster_id = c.id GROUP BY 1 ORDER BY 1"
    ) == [("Drinks", 2), ("Food", 10)]
    assert [s.created for s in await world.work("ideas", using)] == [2, 1]
    assert world.all("SELECT DISTINCT status FROM clusters") == [("planned",)]
    assert [s.created for s in await world.work("tasks", using)] == [1, 1, 1]
    written = await world.work("content", using)
    assert sum(s.words for s in written) == world.one("SELECT sum(word_count) FROM contents")
    assert [s.created for s in await world.work("image_prompts", using)] == [2, 2, 2]
    assert world.all("SELECT DISTINCT role, position FROM images ORDER BY 2") == [
        ("featured", 0),
        ("in_article", 1),
    ]
    assert world.all("SELECT DISTINCT status FROM contents") == [("draft",)]
    await world.work("images", using)
    assert world.all("SELECT DISTINCT status, model FROM images") == [("generated", "fake-images")]
    with world.store.transaction(world.account) as tx:
        ids = [row[0] for row in world.all("SELECT id FROM contents ORDER BY id")]
        assert review.summarize(tx, world.run) == {
            "ready_for_review": 3,
            "content_ids": [f"art_{number}" for number in ids],
        }
    for stage in SITE.stages[1:]:
        assert world.pending(stage.name) == []


@pytest.mark.parametrize(
    ("stage", "make"),
    [
        ("clusters", five),
        ("ideas", World.cluster),
        ("tasks", World.idea),
        ("content", World.task),
        ("image_prompts", World.article),
        ("images", lambda world: world.image(world.article())),
    ],
)
async def test_an_item_is_saved_once_only(world: World, stage: str, make: Any) -> None:
    key = make(world)
    with world.store.transaction(world.account) as tx:
        item = SITE.stage(stage).load(tx, world.run, [key])[0]
    output = await SITE.stage(stage).process(item, tools(site=SETTINGS))
    with world.store.transaction(world.account) as tx:
        SITE.stage(stage).save(tx, world.run, item, output)
    with world.store.transaction(world.account) as tx:
        assert SITE.stage(stage).load(tx, world.run, [key]) == []
    with pytest.raises(PermanentError, match="no longer wait"), world.store.transaction(world.account) as tx:
        SITE.stage(stage).save(tx, world.run, item, output)


@pytest.mark.parametrize(
    ("stage", "make"),
    [
        ("clusters", five),
        ("content", World.task),
        ("image_prompts", World.article),
        ("images", lambda world: world.image(world.article())),
    ],
)
async def test_a_wrong_key_is_no_attempt_of_an_item(world: World, stage: str, make: Any) -> None:
    make(world)
    with world.store.transaction(world.account) as tx:
        ledger.grant(tx, Decimal(100), entry_key="test")
    waiting = world.pending(stage)
    error = ConfigurationError("connection 'x': the key is refused")

    def refuse(_: object) -> Any:
        raise error

    names = ("clusters", "content", "content_plan", "content_section", "image_prompts")
    wrong = tools(site=SETTINGS, text=FakeText(dict.fromkeys(names, refuse)), images=FakeImages(error=error))

    async def run(using: Tools) -> Report:
        return await run_batch(
            SITE.stage(stage), world.run, waiting, store=world.store, tools_for=lambda scope: using,
            concurrency=2,
        )  # fmt: skip

    for _ in range(4):  # one more than an item has attempts
        with pytest.raises(ConfigurationError, match="the key is refused"):
            await run(wrong)
    assert world.all("SELECT * FROM item_failures") == []
    assert world.pending(stage) == waiting
    assert (await run(tools(site=SETTINGS))).done == 1


LABELS: dict[str, tuple[Any, list[str]]] = {
    "clusters": (lambda world, name: five(world), ["5 keywords → 2 clusters: {name}, Bread"]),
    "ideas": (lambda world, name: world.cluster(name), ["{name}: 1 idea"]),
    "tasks": (lambda world, name: world.idea(name), ["{name}"]),
    "content": (lambda world, name: world.task(name), ["“{name}”, 7 words"]),
    "image_prompts": (lambda world, name: world.article(name), ["“{name}”: 2 image prompts"]),
    "images": (
        lambda world, name: [world.image(world.article(name), 0), world.image(1, 1)],
        ["featured image of “{name}”", "image 1 of “{name}”"],
    ),
}
"""For each stage a scene around a name, and how the activity log puts what was made of it."""


@pytest.mark.parametrize("stage", LABELS)
@pytest.mark.parametrize("name", ["Pour over", "A name that " + "goes on and " * 15 + "on"])
async def test_the_activity_log_says_what_was_made(world: World, stage: str, name: str) -> None:
    scene, lines = LABELS[stage]
    scene(world, name)
    answers = {
        "clusters": {"clusters": [{"name": name, "keywords": [1, 2], "description": ""},
                                  {"name": "Bread", "keywords": [3, 4, 5], "description": ""}]},
        "ideas": {"ideas": [{"title": "Why", "angle": "a", "type": "guide", "keywords": [], "outline": []}]},
        "content": {"title": name[:60], "meta_description": "m", "excerpt": "e", "tags": [],
                    "introduction": ["One two three four five six seven."], "sections": []},
    }  # fmt: skip
    saved = await world.work(stage, tools(site=SETTINGS, text=FakeText(answers)))
    assert all(0 < len(each.label) <= LABEL_CHARS for each in saved)
    if name == "Pour over":
        assert [each.label for each in saved] == [line.format(name=name) for line in lines]
    elif stage not in ("clusters", "content"):  # the model's names and titles are cut before
        assert all("A name that goes on and" in each.label and "…" in each.label for each in saved)


async def test_a_known_cluster_is_extended_and_stays_as_it_is(world: World) -> None:
    tea = world.cluster("Tea Drinks", status="planned")
    five(world)
    answer = {"clusters": [{"name": "tea drinks", "keywords": [1, 2, 3, 4, 5], "description": "new"}]}
    assert (await world.work("clusters", tools(text=FakeText({"clusters": answer}))))[0].created == 0
    assert world.all("SELECT id, status, description FROM clusters") == [(tea, "planned", "")]
    assert world.pending("ideas") == []


async def test_a_clash_of_titles_still_leaves_every_cluster_an_idea(world: World) -> None:
    world.idea("Best tea")
    for name in ("Green", "Black"):
        world.cluster(name)
    answer = {"ideas": [{"title": "Best Tea", "angle": "", "type": "list", "keywords": [], "outline": []}]}
    await world.work("ideas", tools(site=SETTINGS, text=FakeText({"ideas": answer})))
    assert [row[0] for row in world.all("SELECT title FROM ideas ORDER BY id")] == [
        "Best tea", "Best Tea: Green", "Best Tea: Black"]  # fmt: skip


async def test_slugs_are_unique_on_the_site(world: World) -> None:
    world.article("Same title", slug="same-title")
    for n in range(2):
        world.task(f"Task {n}")
    answer = {"title": "Same title", "meta_description": "m", "excerpt": "e", "tags": ["1. a", "A"],
              "introduction": ["Hello there."], "sections": []}  # fmt: skip
    await world.work("content", tools(site=SETTINGS, text=FakeText({"content": answer})))
    assert [row[0] for row in world.all("SELECT slug FROM contents ORDER BY id")] == [
        "same-title", "same-title-2", "same-title-3"]  # fmt: skip
    assert world.one("SELECT tags FROM contents ORDER BY id DESC") == ["a"]


async def test_the_articles_of_a_run_count_what_it_wrote_before_it_was_cleared(world: World) -> None:
    tasks = [world.task(f"Task {n}") for n in range(5)]
    limited = replace(world.run, params={"articles": 3})
    assert world.pending("content", limited) == tasks[:3]
    await world.work("content", keys=tasks[:1])
    insert = "INSERT INTO ledger (account_id, kind, credits, workflow_id, run_id, stage, item, entry_key)"
    world.connection.execute(f"{insert} VALUES (%s, 'charge', -5, %s, %s, 'content', '1', 'content:1')",
                             (world.account, world.site, limited.id))  # fmt: skip
    assert world.pending("content", limited) == tasks[1:3]
    results = "INSERT INTO stage_results (account_id, run_id, stage, created) VALUES (%s, %s, 'content', 2)"
    world.connection.execute(results, (world.account, limited.id))
    assert world.pending("content", limited) == tasks[1:2]
    assert world.pending("content") == tasks[1:]


def test_of_two_last_images_at_once_one_moves_the_article_to_review(world: World) -> None:
    article = world.article()
    keys = [world.image(article, 0), world.image(article, 1)]
    drawn = images.Drawn("u", "image/png", 1, 1, "m")
    with world.store.transaction(world.account) as tx:
        items = list(images.load(tx, world.run, keys))
    first_saved = threading.Event()

    def first() -> None:
        with world.store.transaction(world.account) as tx:
            images.save(tx, world.run, items[0], drawn)
            first_saved.set()
            time.sleep(0.3)  # the second one must wait for this commit, or neither sees the other

    thread = threading.Thread(target=first)
    thread.start()
    first_saved.wait()
    with world.store.transaction(world.account) as tx:
        images.save(tx, world.run, items[1], drawn)
    thread.join()
    assert world.one("SELECT status FROM contents") == "review"


async def test_an_edited_status_is_left_alone_by_the_last_image(world: World) -> None:
    world.image(world.article(status="rejected"))
    await world.work("images")
    assert world.one("SELECT status FROM contents") == "rejected"


def test_the_preview_shows_articles_images_facts_and_the_model(world: World, tmp_path: Path) -> None:
    picture = tmp_path / "media" / "abc.png"
    picture.parent.mkdir()
    picture.write_bytes(PIXEL)
    article = world.article("Tea & <b>milk</b>", slug="tea", model="SmolLM2-135M-Instruct.Q4_1")
    world.article("Other", slug="other", model="SmolLM2-135M-Instruct.Q4_1", status="review")
    done = {"status": "generated", "media_type": "image/png", "width": 10, "height": 5, "model": "card"}
    world.image(article, 0, media_url=picture.as_uri(), **done)
    world.image(article, 1, media_url=picture.as_uri(), **done)
    world.image(article, 2, media_url="file:///nowhere/gone.png", **done)
    with world.store.transaction(world.account) as tx:
        index = write_preview(tx, world.site, tmp_path / "preview")
    text = index.read_text("utf-8")
    assert "Blog &amp; Co" in text
    assert "Tea &amp; &lt;b&gt;milk&lt;/b&gt;" in text
    assert 'href="tea.html"' in text
    assert "only shows that the machinery works" in text
    assert (tmp_path / "preview" / "images" / "abc.png").read_bytes() == PIXEL
    page = (tmp_path / "preview" / "tea.html").read_text("utf-8")
    assert page.count("images/abc.png") == 2
    assert page.index("<h2>One</h2>") < page.rindex("images/abc.png")
    assert "gone.png" not in page
    assert "Cluster of Tea" in page
    world.connection.execute("UPDATE contents SET model = 'gpt-9'")
    with world.store.transaction(world.account) as tx:
        text = write_preview(tx, world.site, tmp_path / "preview").read_text("utf-8")
    assert "Written by <strong>gpt-9</strong>" in text
    assert "only shows that the machinery works" not in text
    with world.store.transaction(world.other) as tx, pytest.raises(PermanentError):
        write_preview(tx, world.site, tmp_path / "other")
