"""Articles and posts that are written anew: what is archived, what waits, and what the model is told."""

from __future__ import annotations

import asyncio

import pytest

from pressroom.domain.run import Run
from pressroom.engine.runs.batch import run_batch
from pressroom.pipelines.mission import content as posts_stage
from pressroom.pipelines.site import SITE
from pressroom.pipelines.site import content as articles_stage
from pressroom.testing import FakeText
from pressroom.testing import tools as fake_tools
from tests.support.content_world import (
    TARGET,
    in_thread,
    posts_of,
)
from tests.support.control_world import Control
from tests.support.mission_world import wrote
from tests.support.press import add_articles

pytestmark = pytest.mark.integration


def write_articles(control: Control, text: FakeText, opened: Run) -> None:
    """What a run of the site does at its stage content."""
    world = control.world
    with world.store.transaction(world.account_id) as tx:
        keys = articles_stage.STAGE.pending(tx, opened)
        tx.run("plan_stage", run=opened.id, stage="content", planned=len(keys), skipped=None)  # type: ignore[arg-type]
    made = fake_tools(site=world.site, text=text)
    asyncio.run(
        run_batch(
            articles_stage.STAGE, opened, keys, store=world.store, tools_for=lambda scope: made,  # type: ignore[arg-type]
            concurrency=4,
        )
    )  # fmt: skip


async def test_an_article_is_written_anew_by_the_next_run(control: Control) -> None:
    world = control.world
    (number,) = add_articles(world, 1, images=[("file:///x", "a")])
    world.sql(
        "INSERT INTO images (account_id, site_id, content_id, role, position, prompt, alt)"
        " VALUES (%s, %s, %s, 'in_article', 1, 'p', 'b')", world.account_id, world.site_id, number,
    )  # fmt: skip
    answer = await control(
        "POST",
        f"/content/art_{number}/regenerate",
        json={"instructions": "Shorter, <b>please</b>."},
        expect=202,
    )
    assert answer.json() == {
        "id": f"art_{number}", "status": "archived", "revision": 2, "stage": "content", "job": None,
        "detail": "the site's next run writes version 2",
    }  # fmt: skip
    with world.store.transaction(world.account_id) as tx:
        waiting = dict(SITE.waiting(tx, world.site_id))
        assert (waiting["content"], waiting["images"], waiting["review"]) == (1, 0, 0)
        assert tx.rows("preview_articles", site=world.site_id) == []
        assert tx.rows("articles_for_review", site=world.site_id) == []
    text = FakeText()
    await in_thread(write_articles, control, text, await in_thread(world.run))
    [prompt] = text.prompts
    assert "This is version 2" in prompt.user
    assert "What the reviewer wants of it: Shorter, &lt;b&gt;please&lt;/b&gt;." in prompt.user
    rows = world.sql("SELECT id, slug, status FROM contents ORDER BY id")
    assert [status for _, _, status in rows] == ["archived", "draft"]
    found = await control.get(f"/content/art_{rows[1][0]}")
    assert (found["revision"], found["guidance"]) == (2, "Shorter, <b>please</b>.")
    assert world.sql("SELECT status, revision FROM tasks ORDER BY id") == [
        ("superseded", 1),
        ("completed", 2),
    ]


async def test_a_version_has_its_own_charge_and_its_own_answer(control: Control) -> None:
    world = control.world
    text = FakeText({"content": {
        "title": "The same title", "meta_description": "m" * 30, "excerpt": "e" * 30, "tags": ["tea"],
        "introduction": ["A first paragraph that is long enough."],
        "sections": [{"heading": "One", "paragraphs": ["More of it, and more."]}] * 2,
    }})  # fmt: skip
    (number,) = add_articles(world, 1)
    world.sql("DELETE FROM contents WHERE id = %s", number)
    world.sql("UPDATE tasks SET status = 'queued'")
    run = await in_thread(world.run)
    await in_thread(write_articles, control, text, run)
    slugs = []
    for version in (2, 3):
        [(id, slug)] = world.sql("SELECT id, slug FROM contents WHERE status <> 'archived'")
        slugs.append(slug)
        await control("POST", f"/content/art_{id}/regenerate", expect=202)
        await in_thread(write_articles, control, text, run)
        assert f"This is version {version}" in text.prompts[-1].user
    assert len({prompt.user for prompt in text.prompts}) == 3
    # The slug is free for the version to come, and each version is charged for.
    assert world.sql("SELECT slug FROM contents") == [(slugs[0],)] * 3
    [(charges, keys)] = world.sql(
        "SELECT count(*), count(DISTINCT entry_key) FROM ledger WHERE kind = 'charge'"
    )
    assert (charges, keys) == (3, 3)


async def test_what_is_written_anew_comes_before_what_waits(control: Control) -> None:
    world = control.world
    first, second = add_articles(world, 2)
    world.sql("DELETE FROM contents WHERE id = %s", first)
    world.sql("UPDATE tasks SET status = 'queued' WHERE id NOT IN (SELECT task_id FROM contents)")
    await control("POST", f"/content/art_{second}/regenerate", expect=202)
    text = FakeText()
    run = await in_thread(lambda: world.run(params={"articles": 1}))
    await in_thread(write_articles, control, text, run)
    [prompt] = text.prompts
    assert "Article 0002" in prompt.user


async def test_the_reason_of_a_rejection_counts_when_nothing_else_is_said(control: Control) -> None:
    world, _, posts = await posts_of(control)
    (number,) = add_articles(control.world, 1)
    for id in (f"art_{number}", f"cnt_{posts[0]}"):
        await control("POST", f"/content/{id}/reject", user="ann", json={"reason": "too thin"}, expect=200)
        await control("POST", f"/content/{id}/regenerate", json={}, expect=202)
    assert control.world.sql("SELECT guidance FROM tasks WHERE status = 'queued'") == [
        ("user:ann: too thin",)
    ]
    assert world.sql("SELECT guidance FROM slots WHERE status = 'planned'") == [
        ("rejected by user:ann: too thin",)
    ]


@pytest.mark.parametrize("status", ["published", "scheduled", "archived"])
async def test_an_article_that_is_out_is_not_written_anew(control: Control, status: str) -> None:
    (number,) = add_articles(control.world, 1, status=status)
    answer = await control("POST", f"/content/art_{number}/regenerate", expect=409)
    assert status in answer.json()["detail"]
    assert control.world.sql("SELECT status FROM contents") == [(status,)]


@pytest.mark.parametrize(
    ("publication", "expect"),
    [
        ("attempting", 409),
        ("unknown", 409),
        ("accepted", 409),
        ("confirmed", 409),
        ("failed", 202),
        ("planned", 202),
    ],
)
async def test_an_article_that_a_target_may_have_is_not_written_anew(
    control: Control, publication: str, expect: int
) -> None:
    world = control.world
    (number,) = add_articles(world, 1, status="approved")
    run = await in_thread(world.run)
    world.sql(
        "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status, content_hash,"
        " scheduled_for, external_id) VALUES (%s, %s, %s, %s, %s, %s, 'h', now(), %s)",
        world.account_id, world.site_id, run.id, f"article:{number}", TARGET, publication,
        "x" if publication in ("accepted", "confirmed") else None,
    )  # fmt: skip
    await control("POST", f"/content/art_{number}/regenerate", expect=expect)
    [(now,)] = world.sql("SELECT status FROM publications")
    assert now == ("withdrawn" if publication == "planned" else publication)


async def test_an_article_that_is_being_published_is_not_written_anew(control: Control) -> None:
    world = control.world
    approved, waiting = add_articles(world, 2)
    world.sql("UPDATE contents SET status = 'approved' WHERE id = %s", approved)
    run = await in_thread(lambda: world.run("publish__1", exclusive=False))
    with world.store.transaction(world.account_id) as tx:
        tx.run("set_current_stage", run=run.id, stage="publish")
        tx.run("plan_stage", run=run.id, stage="publish", planned=1, skipped=None)
    answer = await control("POST", f"/content/art_{approved}/regenerate", expect=409)
    assert "being published" in answer.json()["detail"]
    await control("POST", f"/content/art_{waiting}/regenerate", expect=202)
    with world.store.transaction(world.account_id) as tx:
        tx.run("add_to_stage", run=run.id, stage="publish", processed=1, created=0, words=0, credits=0)
    await control("POST", f"/content/art_{approved}/regenerate", expect=202)


async def test_a_post_is_written_anew_when_its_job_is_retried(control: Control) -> None:
    world, run, posts = await posts_of(control, ab_variants=True)
    [(slot, at)] = world.sql(
        "SELECT s.id, s.at FROM slots s JOIN posts p ON p.slot_id = s.id WHERE p.id = %s", posts[0]
    )
    before = world.statuses("slots")["written"]
    world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'publish', %s, 'E', 'e', %s)",
        world.account_id, world.mission_id, str(posts[0]), run.id,
    )  # fmt: skip
    answer = await control(
        "POST", f"/content/cnt_{posts[0]}/regenerate", json={"instructions": "Be brief"}, expect=202
    )
    found = answer.json()
    assert (found["status"], found["revision"], found["stage"]) == ("archived", 2, "content")
    assert found["job"] == f"job_{run.id}"
    assert world.statuses("slots") == {"written": before - 1, "withdrawn": 1, "planned": 1}
    [(new, same_at, revision, guidance)] = world.sql(
        "SELECT id, at, revision, guidance FROM slots WHERE status = 'planned'"
    )
    assert (same_at, revision, guidance) == (at, 2, "Be brief")
    assert world.sql("SELECT count(*) FROM posts WHERE slot_id = %s AND status <> 'archived'", slot) == [(0,)]
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    items = world.output(posts_stage.STAGE, run)["content_items"]
    assert f"cnt_{posts[0]}" not in [one["id"] for one in items]
    text = FakeText()
    await in_thread(wrote, world, run, text)
    asked = [prompt for prompt in text.prompts if prompt.name == "post"]
    assert len(asked) == 1
    assert asked[0].user.endswith(
        "This is version 2: the one before was turned down. Write it differently."
        " What the reviewer wants of it: Be brief"
    )
    assert world.sql("SELECT status FROM slots WHERE id = %s", new) == [("written",)]


@pytest.mark.parametrize("status", ["scheduled", "published", "archived"])
async def test_a_post_that_is_out_is_not_written_anew(control: Control, status: str) -> None:
    world, _, posts = await posts_of(control)
    world.sql("UPDATE posts SET status = %s WHERE id = %s", status, posts[0])
    await control("POST", f"/content/cnt_{posts[0]}/regenerate", expect=409)
    assert world.sql("SELECT status FROM posts WHERE id = %s", posts[0]) == [(status,)]


@pytest.mark.parametrize(
    ("publication", "expect"), [("attempting", 409), ("unknown", 409), ("accepted", 409), ("failed", 202)]
)
async def test_a_post_that_a_target_may_have_is_not_written_anew(
    control: Control, publication: str, expect: int
) -> None:
    world, run, posts = await posts_of(control)
    world.publication(run, posts[0], publication)
    await control("POST", f"/content/cnt_{posts[0]}/regenerate", expect=expect)


async def test_a_post_is_not_written_anew_while_it_is_published_or_once_its_cycle_is_over(
    control: Control,
) -> None:
    world, run, posts = await posts_of(control)
    path = f"/content/cnt_{posts[0]}/regenerate"
    world.sql("UPDATE posts SET status = 'approved', approved_hash = content_hash WHERE id = %s", posts[0])
    with world.store.transaction(world.account_id) as tx:
        tx.run("set_current_stage", run=run.id, stage="publish")
        tx.run("plan_stage", run=run.id, stage="publish", planned=1, skipped=None)
    assert "being published" in (await control("POST", path, expect=409)).json()["detail"]
    world.close(run)
    world.sql("UPDATE cycles SET measured_at = now()")
    assert "is over" in (await control("POST", path, expect=409)).json()["detail"]
    world.sql("UPDATE cycles SET measured_at = NULL, withdrawn_at = now()")
    assert "is over" in (await control("POST", path, expect=409)).json()["detail"]
    world.sql("UPDATE cycles SET withdrawn_at = NULL")
    await control("POST", path, expect=202)


async def test_written_anew_once_for_one_key(control: Control) -> None:
    (number,) = add_articles(control.world, 1)
    path, headers = f"/content/art_{number}/regenerate", {"Idempotency-Key": "k"}
    first = await control("POST", path, json={}, headers=headers, expect=202)
    again = await control("POST", path, json={}, headers=headers, expect=202)
    assert first.json() == again.json()
    await control("POST", path, json={}, expect=409)
    assert control.world.sql("SELECT count(*) FROM tasks") == [(2,)]
    await control("POST", path, json={"instructions": "x" * 1001}, expect=422)
