"""What a flow's items come from: an id lives in its feed, what cannot succeed ends, what is old stays."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from random import Random
from typing import Any

import pytest

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.domain.errors import ApprovalVoid, PastDate, PermanentError, TransientError
from pressroom.domain.flows import Flow
from pressroom.domain.packets import source_item
from pressroom.domain.publishing import Content
from pressroom.domain.social import Platform
from pressroom.engine.runs import reports
from pressroom.testing import FakeText
from pressroom.testing_flows import FakeTarget
from tests.support.flow_world import (
    AUTO,
    FEED,
    FETCH,
    PING,
    WRITE,
    FlowWorld,
    Make,
    broken,
    entries,
    mended,
)
from tests.support.postgres import open_connection

pytestmark = pytest.mark.integration


def reads(**source: Any) -> dict[str, Any]:
    return FETCH | {"source": source}


def pieces(world: FlowWorld) -> list[str]:
    """The texts at all targets."""
    return [piece.arguments.text for target in world.targets.values() for piece in target.pieces.values()]


def statuses(world: FlowWorld, items: list[int]) -> list[str]:
    return [world.state(item)[0] for item in items]


def run_of(world: FlowWorld, name: str) -> list[int]:
    run = world.run(name)
    items = world.work(run)
    world.close(run)
    return items


# An id lives in its feed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "other"),
    [
        (FEED, FEED | {"url": "https://example.com/feed"}),
        ({"type": "json", "url": "https://a.test/x.json"}, {"type": "json", "url": "https://b.test/x.json"}),
        ({"type": "json", "url": "https://a.test/x", "items": "posts"},
         {"type": "json", "url": "https://a.test/x", "items": "pages"}),
        ({"type": "files", "path": "s3://a/drafts"}, {"type": "files", "path": "s3://b/drafts"}),
        ({"type": "wordpress", "url": "https://a.test"}, {"type": "wordpress", "url": "https://a.test/blog"}),
        (None, None),
    ],
    ids=["feeds", "documents", "lists", "folders", "blogs", "triggers"],
)  # fmt: skip
def test_items_of_two_feeds_with_one_id_are_two(
    make: Make, source: dict[str, Any] | None, other: dict[str, Any] | None
) -> None:
    worlds = [
        make(*([reads(**facts)] if facts else []), AUTO, slug=slug)
        for slug, facts in (("one", source), ("other", other))
    ]
    worlds[1].targets = worlds[0].targets
    for world in worlds:
        world.sources = [source_item("1", title="One", text=f"Of {world.flow.slug}.")]
        run = world.run(item={"id": "1", "title": "One", "text": f"Of {world.flow.slug}."})
        assert statuses(world, world.work(run)) == ["done"]
    assert pieces(worlds[0]) == ["Of one.", "Of other."]
    assert worlds[0].events("publication_differs") == []


def test_a_flow_whose_feed_is_exchanged_takes_the_new_feeds_items(make: Make) -> None:
    world = make(FETCH, AUTO)
    world.sources = entries("1", "2")
    run_of(world, "first")
    world.flow = Flow.model_validate(
        world.flow.model_dump() | {"steps": [reads(**FEED | {"url": "https://other.test/feed"}), AUTO]}
    )
    world.sources = [source_item(id, title=id, text=f"New {id}.") for id in ("1", "2")]
    assert statuses(world, run_of(world, "second")) == ["done", "done"]
    assert sorted(pieces(world)) == ["All about 1.", "All about 2.", "New 1.", "New 2."]
    assert run_of(world, "third") == []


def test_an_address_that_is_written_otherwise_or_has_a_name_is_one_feed(make: Make) -> None:
    worlds = [
        make(FETCH, AUTO, slug="a"),
        make(reads(**FEED | {"url": "http://www.EXAMPLE.org/feed/"}), AUTO, slug="b"),
        make(reads(**FEED | {"url": "https://moved.test/feed"}), AUTO, slug="c", feed="rss example.org/feed"),
    ]
    for world in worlds:
        world.sources = entries("a", "b")
        world.targets = worlds[0].targets
        assert statuses(world, run_of(world, "only")) == ["done", "done"]
    assert len(pieces(worlds[0])) == 2


def _long(seed: int, chars: int) -> str:
    """A text that does not get shorter when it is packed."""
    letters = Random(seed)
    return "".join(chr(letters.randint(0x4E00, 0x9FFF)) for _ in range(chars))


LONG = f"https://a.test/{_long(1, 1985)}"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (FEED | {"url": LONG}, ""),
        ({"type": "json", "url": LONG, "items": "posts"}, ""),
        ({"type": "files", "path": _long(2, 1000)}, ""),
        (FEED, _long(3, 300)),
    ],
    ids=["address", "document", "path", "name"],
)
def test_a_feed_with_a_long_name_is_one_that_others_are_told_from(
    make: Make, source: dict[str, Any], name: str
) -> None:
    other = {key: f"{value[:-1]}x" if value in (LONG, source.get("path")) else value
             for key, value in source.items()}  # fmt: skip
    worlds = [
        make(reads(**source), AUTO, slug="one", feed=name),
        make(reads(**source), AUTO, slug="same", feed=name),
        make(reads(**other), AUTO, slug="other", feed=name and f"{name[:-1]}x"),
    ]
    for world in worlds:
        world.sources = [source_item(_long(4, 500), title="One", text=f"Of {world.flow.slug}.")]
        world.targets = worlds[0].targets
        assert statuses(world, run_of(world, "first")) == ["done"]
        assert run_of(world, "second") == []
    assert pieces(worlds[0]) == ["Of one.", "Of other."]


class Networks(FakeTarget):
    """A target of several networks over one connection."""

    def __init__(self) -> None:
        super().__init__("metricool", "pressroom_metricool")
        self.arguments = MetricoolArguments  # type: ignore[assignment]

    def from_content(self, content: Content) -> Any:
        return MetricoolArguments(network=Platform.TWITTER, text=content.text)


def test_one_flow_a_network_over_one_connection_has_a_post_on_each(make: Make) -> None:
    posts = AUTO | {"name": "post", "to": "metricool"}
    worlds = [
        make(FETCH, posts | {"settings": {"network": network}}, slug=network)
        for network in ("twitter", "linkedin")
    ]
    targets = {("metricool", "pressroom_metricool"): Networks()}
    for world in worlds:
        world.sources, world.targets = entries("one"), targets  # type: ignore[assignment]
        assert statuses(world, run_of(world, "only")) == ["done"]
    [target] = targets.values()
    sent: list[Any] = [piece.arguments for piece in target.pieces.values()]
    assert [arguments.network for arguments in sent] == ["twitter", "linkedin"]


def test_entries_that_share_an_id_are_all_published_once(make: Make) -> None:
    world = make(FETCH, AUTO)
    world.sources = [source_item("N/A", title=name, text=f"On {name}.") for name in ("tea", "milk")]
    assert len(run_of(world, "first")) == 2
    world.sources = [source_item("N/A", title="jam", text="On jam."), *world.sources]
    assert len(run_of(world, "second")) == 1
    assert sorted(pieces(world)) == ["On jam.", "On milk.", "On tea."]


# The upgrade ---------------------------------------------------------------------------------------------

BEFORE = """
DROP INDEX flow_claims_item;
ALTER TABLE flow_claims DROP COLUMN feed;
ALTER TABLE flow_claims ADD PRIMARY KEY (flow_id, source_id), ALTER COLUMN item_id SET NOT NULL;
ALTER TABLE flow_items DROP COLUMN feed, DROP COLUMN refused;
DROP TABLE flow_feeds;
"""


def _old_name(id: str, turn: str = "") -> str:
    return f"source:{hashlib.sha256(id.encode()).hexdigest()[:32]}{turn}"


def test_an_upgrade_knows_what_was_published(make: Make) -> None:
    again = AUTO | {"name": "again"}
    feed = reads(**FEED | {"url": "https://www.Example.org/Feed/?a=1#top"})
    worlds = [
        make(feed, AUTO, again, WRITE, slug="rss"),
        make(reads(type="files", path="s3://b/x", connection="s3"), AUTO, slug="files"),
        make(reads(type="json", url="https://a.test/x.json", items="data.posts"), AUTO, slug="json"),
        make(reads(type="web", url="https://a.test/map.xml", sitemap=True), AUTO, slug="web"),
        make(AUTO, slug="hook"),
        make(reads(**FEED | {"url": LONG}), AUTO, slug="long"),
    ]
    posts = AUTO | {"name": "post", "to": "metricool", "settings": {"network": "linkedin"}}
    worlds.append(make(reads(**FEED | {"url": "https://b.test"}), posts, slug="network"))
    network = Networks()
    worlds[-1].targets = {("metricool", "pressroom_metricool"): network}
    broken(worlds[0])  # its item fails behind what it published: the next run takes it up again
    names: dict[str, str] = {}
    for world in worlds:
        id = f"id of {world.flow.slug} ü"
        world.sources = [source_item(id, title="T", text="X.")]
        run = world.run(item={"id": id, "title": "T", "text": "X."})
        world.work(run)
        world.close(run)
        rows = world.sql("SELECT content FROM publications WHERE workflow_id = %s ORDER BY id", world.flow_id)
        for (content,) in rows:
            names[content] = _old_name(id, content[39:])
    assert len(names) == 8
    migration = files("pressroom.store").joinpath("migrations/0031_feeds.sql").read_text("utf-8")
    with open_connection(worlds[0].url) as connection:
        for new, old in names.items():
            connection.execute("UPDATE publications SET content = %s WHERE content = %s", [old, new])
        with connection.transaction():
            connection.execute(BEFORE)
            connection.execute(migration.encode())
    kept = {row[0] for row in worlds[0].sql("SELECT content FROM publications")}
    assert kept == set(names)
    mended(worlds[0])
    assert statuses(worlds[0], run_of(worlds[0], "again")) == ["done"]
    for world in (*worlds[1:4], worlds[5]):
        assert run_of(world, "again") == []
    assert [len(pieces(world)) for world in worlds[:6]] == [2, 1, 1, 1, 1, 1]
    # A flow that is new, over the same feed.
    late = make(feed, AUTO, slug="late")
    late.sources, late.targets = worlds[0].sources, worlds[0].targets
    assert statuses(late, run_of(late, "only")) == ["done"]
    assert len(pieces(worlds[0])) == 2


# What cannot succeed -------------------------------------------------------------------------------------


class Refusing(FakeTarget):
    """Refuses what is bad."""

    bad = "bad"

    async def publish(self, piece: Any) -> Any:
        if self.bad in piece.arguments.text:
            raise PermanentError("the target does not want it")
        return await super().publish(piece)


def refusing(make: Make, cap: int = 3) -> tuple[FlowWorld, Refusing]:
    world = make(reads(**FEED | {"cap": cap, "start": "all"}), AUTO)
    target = Refusing("blogs", "pressroom_blogs")
    world.targets["blogs", "pressroom_blogs"] = target
    return world, target


def test_items_that_fail_for_good_end_and_hold_up_no_other(make: Make) -> None:
    world, target = refusing(make)
    world.sources = entries("bad1", "bad2", "bad3", "good1", "good2", "good3", "good4")
    taken = [[world.state(item)[1] for item in run_of(world, f"run {n}")] for n in range(6)]
    assert taken == [
        ["bad1", "bad2", "bad3"],
        ["good1", "good2", "good3"],
        ["good4", "bad1", "bad2"],
        ["bad1", "bad2", "bad3"],
        ["bad3"],
        [],
    ]
    [(reason,)] = world.sql("SELECT reason FROM flow_items WHERE source_id = 'bad3' ORDER BY id DESC LIMIT 1")
    assert reason.startswith("blog: the target does not want it (given up after 3 tries")
    assert world.sql("SELECT count(*) FROM item_failures") == [(9,)]
    # They are tried again when somebody asks, once more at a time.
    target.bad = "bad1"
    with world.store.transaction(world.account_id) as tx:
        assert reports.forget_failures(tx, world.flow_id) == 9
    again = run_of(world, "asked")
    assert [(world.state(item)[1], world.state(item)[0]) for item in again] == [
        ("bad1", "failed"), ("bad2", "done"), ("bad3", "done"),
    ]  # fmt: skip
    assert len(target.pieces) == 6


def test_a_retry_of_the_run_takes_up_what_was_given_up(make: Make) -> None:
    world, target = refusing(make)
    world.sources = entries("bad")
    for n in range(3):
        [item] = run_of(world, f"run {n}")
    target.bad = "nothing"
    run = world.run("run 2")  # cleared
    world.step(run, "blog", item)
    assert world.state(item)[0] == "done"
    world.close(run)
    assert run_of(world, "next") == []


@pytest.mark.parametrize("error", [TransientError("busy"), ApprovalVoid("changed"), PastDate("over")])
def test_what_is_not_the_items_fault_is_taken_up_again_and_again(make: Make, error: Exception) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": error})
    for n in range(4):
        run = world.run(f"run {n}")
        [item] = world.take(run)
        world.step(run, "write", item, last_try=True)
        assert world.state(item)[0] == "failed"
        world.close(run)


def test_a_defect_ends_too(make: Make) -> None:
    world = make(FETCH, WRITE)
    world.sources = entries("one")
    world.text = FakeText({"TextAnswer": ValueError("a defect")})
    taken = []
    for n in range(4):
        run = world.run(f"run {n}")
        taken.append(world.take(run))
        for item in taken[-1]:
            with pytest.raises(ValueError, match="a defect"):
                world.step(run, "write", item)
        world.close(run)
    assert [len(items) for items in taken] == [1, 1, 1, 0]


# What was there before -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "taken"),
    [
        (None, [["5", "4"], ["6"], []]),
        ("now", [[], ["6"], []]),
        ("newest 1", [["5"], ["6"], []]),
        ("all", [["5", "4"], ["6", "3"], ["2", "1"]]),
    ],
)
def test_a_new_flow_says_what_it_does_with_what_is_there(
    make: Make, start: str | None, taken: list[list[str]]
) -> None:
    world = make(reads(**FEED | {"cap": 2, "start": start}), PING)
    days = [source_item(str(n), title=str(n), published_at=f"2026-11-0{n}") for n in range(1, 7)]
    world.sources = days[:5]
    found = [[world.state(item)[1] for item in run_of(world, "first")]]
    world.sources = days
    found += [[world.state(item)[1] for item in run_of(world, name)] for name in ("second", "third")]
    assert found == taken


def test_what_fails_at_the_start_is_taken_up_again_and_the_rest_stays_old(make: Make) -> None:
    world = make(reads(**FEED | {"cap": 1}), WRITE)
    world.sources = entries("one", "two")
    broken(world)
    run_of(world, "first")
    mended(world)
    assert [world.state(item) for item in run_of(world, "second")] == [("done", "one")]
    assert run_of(world, "third") == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (FEED | {"start": "newest 11"}, "more than cap, 10"),
        (FEED | {"start": "newest 0"}, "start"),
        (FEED | {"start": "old"}, "start"),
    ],
)
def test_a_start_that_cannot_be_is_refused(source: dict[str, Any], message: str) -> None:
    facts = {"kind": "Flow", "account": "demo", "slug": "x", "name": "X", "steps": [reads(**source), PING]}
    with pytest.raises(ValueError, match=message):
        Flow.model_validate(facts)
