"""The content stage on a real store: what is kept, what is charged, and what is undone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from pressroom.domain.definitions import BrandContext
from pressroom.domain.text import to_json
from pressroom.engine.runs.batch import SAVE_TOGETHER
from pressroom.pipelines.mission.content import STAGE as CONTENT
from pressroom.pipelines.mission.writing.compliance import excluded
from pressroom.pipelines.stage import Undone
from pressroom.store.database import Store
from pressroom.testing import FakeText, MemoryMedia
from tests.support.mission_world import MissionWorld, post_answer, started, two_pillars, wrote

Make = Callable[..., MissionWorld]


@pytest.fixture
def make(database_url: str, store: Store) -> Make:
    return two_pillars(database_url, store)


def test_the_contents_output_has_the_fields_that_were_promised(make: Make) -> None:
    world = make(constraints={"posts_per_day": 3})
    run = started(world)
    report = world.work(CONTENT, run)
    assert (report.done, report.created, int(report.credits), report.failed) == (21, 21, 21, 0)
    for stage, cents in (("content", 2.5), ("strategy", 9)):
        world.sql(
            "INSERT INTO ledger (account_id, workflow_id, run_id, stage, item, kind, cents, entry_key)"
            " VALUES (%s, %s, %s, %s, '1', 'cost', %s, %s)",
            world.account_id, world.mission_id, run.id, stage, cents, f"test:{stage}",
        )  # fmt: skip
    out = world.output(CONTENT, run)
    assert set(out) == {"content_items", "total_items", "total_cost_cents"}
    assert out["total_items"] == len(out["content_items"]) == 21
    assert out["total_cost_cents"] == 2.5
    for item in out["content_items"]:
        assert set(item) == {"id", "calendar_slot", "platform", "type", "copy", "visuals", "metadata"}
        assert item["id"].startswith("cnt_")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["calendar_slot"])
        assert {"headline", "body", "cta", "parts", "hashtags", "mentions"} <= set(item["copy"])
        assert item["copy"]["hashtags"][0] in ("#ThoughtLeadership", "#Updates")
        assert {"pillar", "topic", "confidence"} <= set(item["metadata"])
        assert 0 <= item["metadata"]["confidence"] <= 1
        assert item["visuals"] == [] or set(item["visuals"][0]) == {"url", "alt"}
    assert any(item["visuals"] for item in out["content_items"])
    assert all(len(item["copy"]["parts"]) > 1 for item in out["content_items"] if item["type"] == "thread")
    assert out["content_items"] == sorted(out["content_items"], key=lambda item: item["calendar_slot"])
    assert json.loads(to_json(out)) == out
    assert world.statuses("slots") == {"written": 21}


def test_sixty_posts_take_sixty_calls_and_are_written_in_groups(make: Make) -> None:
    world = make()
    text = FakeText()
    run = started(world, days=30, text=text)
    assert len(text.prompts) <= 3
    assert len(world.pending(CONTENT, run)) == 60 > SAVE_TOGETHER
    posts = FakeText()
    assert world.work(CONTENT, run, world.tools(posts), concurrency=60).done == 60
    assert [prompt.name for prompt in posts.prompts] == ["post"] * 60
    assert world.sql("SELECT count(*), count(DISTINCT slot_id) FROM posts") == [(60, 60)]
    assert world.sql("SELECT balance, reserved FROM accounts") == [(1000 - 2 - 60, 0)]


def test_a_stage_that_was_interrupted_finds_just_what_is_left(make: Make) -> None:
    world = make()
    run = started(world)
    waiting = world.pending(CONTENT, run)
    text = FakeText(
        {"post": [*[post_answer(f"Number {number}.") for number in range(9)], RuntimeError("gone")]}
    )
    with pytest.raises(RuntimeError):
        world.work(CONTENT, run, world.tools(text), concurrency=1)
    left = world.pending(CONTENT, run)
    assert left == waiting[9:]
    world.sql("UPDATE runs SET opened_at = now() + interval '1 second'")
    assert world.work(CONTENT, run).done == 5
    assert world.statuses("posts") == {"approved": 14}


def test_a_post_that_cannot_be_published_fails_alone(make: Make) -> None:
    brand = BrandContext(account="demo", slug="b", name="B", banned_words=["synergy"])
    world = make(brand=brand)
    run = started(world)
    bad = post_answer("Pure synergy.")
    text = FakeText({"post": [bad, post_answer("Fine.")], "post_repair": bad})
    report = world.work(CONTENT, run, world.tools(text), concurrency=1)
    assert (report.done, report.failed) == (13, 1)
    [(error, told)] = world.sql("SELECT error_class, error FROM item_failures")
    assert error == "InvalidAnswer"
    assert "it uses the banned word 'synergy'" in told
    assert world.statuses("slots") == {"planned": 1, "written": 13}
    assert world.sql("SELECT balance, reserved FROM accounts") == [(1000 - 2 - 13, 0)]
    assert world.sql("SELECT count(*) FROM posts WHERE array_to_string(parts, ' ') ILIKE '%%synergy%%'") == [
        (0,)
    ]


def test_excluded_topics_are_neither_in_the_calendar_nor_in_the_posts(make: Make) -> None:
    world = make(constraints={"excluded_topics": ["election"]})
    said = {"topics": [
        {"pillar": 1, "topic": "Election night", "angle": "live"},
        {"pillar": 1, "topic": "Good tools", "angle": "at the election"},
        {"pillar": 2, "topic": "Better tools", "angle": "in use"},
    ]}  # fmt: skip
    run = started(world, text=FakeText({"topics": said}))
    bad, good = post_answer("Go to the election!"), post_answer("Use good tools.")
    wrote(world, run, FakeText({"post": bad, "post_repair": good}))
    rows = world.sql(
        "SELECT slots.topic, slots.angle, posts.parts FROM slots JOIN posts ON posts.slot_id = slots.id"
    )
    assert len(rows) == 14
    for topic, angle, parts in rows:
        assert excluded(" ".join([topic, angle, *parts]), ["election"]) is None


def test_posts_wait_for_people_where_the_mission_wants_it(make: Make) -> None:
    world = make(constraints={"require_approval": True})
    wrote(world, started(world))
    assert world.statuses("posts") == {"pending_review": 14}
    assert world.sql("SELECT count(*) FROM posts WHERE approved_hash IS NOT NULL") == [(0,)]


def test_posts_are_approved_as_they_are_where_nobody_wants_to_see_them(make: Make) -> None:
    world = make()
    wrote(world, started(world))
    assert world.sql("SELECT DISTINCT status, approved_by, approved_hash = content_hash FROM posts") == [
        ("approved", "auto", True)
    ]


def test_what_the_rubric_says_no_to_waits_for_a_person_with_the_reason(make: Make) -> None:
    world = make(brand=BrandContext(account="demo", slug="b", name="B", tone_rubric=["Is it kind?"]))
    wrote(world, started(world), FakeText({"tone_check": {"answers": [False]}}))
    assert world.sql("SELECT DISTINCT status, review_note FROM posts") == [
        ("pending_review", "the tone check says no to: Is it kind?")
    ]


def test_the_brand_is_the_one_of_the_cycle(make: Make) -> None:
    world = make(brand=BrandContext(account="demo", slug="b", name="B", disclosures=["#ad"]))
    run = started(world)
    world.brand = None  # it was changed meanwhile
    wrote(world, run)
    assert all("#ad" in parts[0] for (parts,) in world.sql("SELECT parts FROM posts"))


def test_pictures_are_kept_with_their_description(make: Make) -> None:
    world = make(platforms=["instagram"])
    media = MemoryMedia()
    run = started(world)
    text = FakeText({"post": post_answer("Look.")})
    world.work(CONTENT, run, world.tools(text, media=media))
    rows = world.sql("SELECT DISTINCT media_url, media_type, media_alt FROM posts")
    assert rows == [(next(iter(media.stored)), "image/png", "A cup on a table")]


def test_a_topic_that_comes_again_is_asked_for_as_such(make: Make) -> None:
    world = make(pillars=["One"], platforms=["twitter"])
    topic = {"topics": [{"pillar": 1, "topic": "The only topic", "angle": "x"}]}
    world.sql('UPDATE missions SET definition = definition || \'{"objectives": ["..."]}\'')
    run = started(world, text=FakeText({"topics": topic}))
    text = FakeText()
    wrote(world, run, text)
    asked = [prompt.user for prompt in text.prompts]
    assert len(set(asked)) == len(asked)  # else the answer to one would be the answer to all
    assert sum("It is post number" in user for user in asked) == 14 - len(
        {topic for (topic,) in world.sql("SELECT topic FROM slots")}
    )


def test_a_second_version_is_kept_as_a_draft_and_not_listed_as_content(make: Make) -> None:
    world = make(ab_variants=True)
    run = started(world)
    wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    assert world.statuses("posts") == {"approved": 14, "draft": 14}
    assert world.sql("SELECT DISTINCT variant, status, body FROM posts WHERE format = 'post' ORDER BY 1") == [
        ("A", "approved", "The first.\n\nMore of it.\n\nThe end of it."),
        ("B", "draft", "Quite another one."),
    ]
    assert world.output(CONTENT, run)["total_items"] == 14


def test_undoing_content_twice_is_the_same_as_once(make: Make) -> None:
    world = make(ab_variants=True)
    run = started(world)
    wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    assert world.undo(CONTENT, run) == Undone(28, [])
    once = world.statuses("posts"), world.statuses("slots")
    assert once == ({"archived": 28}, {"planned": 14})
    assert world.undo(CONTENT, run) == Undone(0, [])
    assert (world.statuses("posts"), world.statuses("slots")) == once
    assert world.output(CONTENT, run)["total_items"] == 0
    assert len(world.pending(CONTENT, run)) == 14


@pytest.mark.parametrize("ledger", [None, "attempting", "unknown", "accepted", "confirmed"])
def test_what_is_out_or_may_be_stays_and_is_told(make: Make, ledger: str | None) -> None:
    world = make(ab_variants=True)
    run = started(world)
    ids = wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    if ledger is None:
        world.sql("UPDATE posts SET status = 'published' WHERE id = %s", ids[0])
    else:
        world.publication(run, ids[0], ledger)
    [(platform, slot)] = world.sql("SELECT platform, slot_id FROM posts WHERE id = %s", ids[0])
    for archived in (27, 0):
        assert world.undo(CONTENT, run) == Undone(archived, [f"cnt_{ids[0]} is out on {platform}"])
        assert world.sql("SELECT status FROM slots WHERE id = %s", slot) == [("written",)]
        assert world.statuses("slots") == {"planned": 13, "written": 1}


def test_a_withdrawn_publication_holds_nothing_back(make: Make) -> None:
    world = make()
    run = started(world)
    ids = wrote(world, run)
    world.publication(run, ids[0], "withdrawn")
    assert world.undo(CONTENT, run) == Undone(14, [])
