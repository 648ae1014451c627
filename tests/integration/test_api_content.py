"""Articles and posts over the API: lists, each of them whole, previews and pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pressroom.adapters.storage.media import MediaFiles
from pressroom.store.database import statements
from pressroom.testing import PIXEL
from tests.support.content_world import (
    EVIL,
    mission_of,
    posts_of,
)
from tests.support.control_world import Control
from tests.support.posts import add_posts
from tests.support.press import add_articles

pytestmark = pytest.mark.integration

# Lists ------------------------------------------------------------------------------------------------


async def everything(control: Control, **params: Any) -> list[str]:
    """The ids of all pages, three to a page."""
    ids: list[str] = []
    page = await control.get("/content", limit=3, **params)
    while True:
        ids += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            return ids
        page = await control.get("/content", limit=3, cursor=page["next_cursor"], **params)


def times(control: Control, table: str, ids: Sequence[int], hours: Sequence[int]) -> None:
    for number, hour in zip(ids, hours, strict=True):
        control.world.sql(
            f"UPDATE {table} SET created_at = '2026-01-01Z'::timestamptz + make_interval(hours => %s)"  # noqa: S608
            " WHERE id = %s",
            hour, number,
        )  # fmt: skip


async def test_articles_and_posts_are_one_list_newest_first_whatever_the_pages(control: Control) -> None:
    world = mission_of(control)
    run = world.run()
    cycle = world.cycle(run)
    assert cycle
    articles = add_articles(control.world, 5)
    posts = add_posts(world, run, [f"2026-03-0{day}T09:00Z" for day in range(2, 6)])  # type: ignore[misc]
    # Moments that an article and a post, or two of a kind, have in common must not lose or repeat one.
    times(control, "contents", articles, [1, 1, 1, 1, 5])
    times(control, "posts", posts, [1, 1, 3, 9])
    a, p = [f"art_{one}" for one in articles], [f"cnt_{one}" for one in posts]
    expected = [p[3], a[4], p[2], p[1], p[0], a[3], a[2], a[1], a[0]]
    assert await everything(control) == expected
    for size in (1, 2, 4):
        found, cursor = [], None
        while True:
            page = await control.get("/content", limit=size, **({"cursor": cursor} if cursor else {}))
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == expected
    assert await everything(control, kind="article") == [one for one in expected if one in a]
    assert await everything(control, kind="post") == [one for one in expected if one in p]
    assert await everything(control, site=control.world.site_id) == [one for one in expected if one in a]
    assert await everything(control, mission=f"msn_{world.mission_id}") == [
        one for one in expected if one in p
    ]
    assert await everything(control, mission=f"msn_{world.mission_id}", kind="article") == []


async def test_an_entry_says_what_it_is(control: Control) -> None:
    world, _, posts = await posts_of(control)
    (article,) = add_articles(control.world, 1)
    world.sql("UPDATE posts SET parts = ARRAY[%s] WHERE id = %s", "Word " * 100, posts[0])
    found = {one["id"]: one for one in (await control.get("/content"))["items"]}
    one = found[f"art_{article}"]
    assert (one["kind"], one["site_id"], one["mission_id"]) == ("article", control.world.site_id, None)
    assert (one["title"], one["status"], one["word_count"], one["platform"]) == (
        "Article 0001", "review", 5, None,
    )  # fmt: skip
    one = found[f"cnt_{posts[0]}"]
    assert (one["kind"], one["site_id"], one["mission_id"]) == ("post", None, f"msn_{world.mission_id}")
    assert one["title"] == ("Word " * 23 + "Word…")
    assert (one["status"], one["word_count"], one["platform"]) == ("pending_review", None, "twitter")
    assert len(one["content_hash"]) == 64


async def test_a_list_is_by_status_and_hides_what_was_archived(control: Control) -> None:
    ids = add_articles(control.world, 4)
    for number, status in zip(ids, ("review", "approved", "archived", "published"), strict=True):
        control.world.sql("UPDATE contents SET status = %s WHERE id = %s", status, number)
    names = [f"art_{one}" for one in ids]
    assert await everything(control) == [names[3], names[1], names[0]]
    for status, name in (("review", names[0]), ("approved", names[1]), ("archived", names[2])):
        assert await everything(control, status=status) == [name]
        assert await everything(control, status=status, site=control.world.site_id) == [name]
    assert await everything(control, status="pending_review") == []


async def test_another_accounts_content_does_not_exist(control: Control) -> None:
    (mine,) = add_articles(control.world, 1)
    (theirs,) = add_articles(control.other, 1)
    assert await everything(control) == [f"art_{mine}"]
    assert await everything(control, site=control.other.site_id) == []
    assert (await control.get("/content", user="nobody"))["items"] == []
    for path in ("", "/preview", "/images/0"):
        await control("GET", f"/content/art_{theirs}{path}", expect=404)
    await control("GET", "/content/art_9", expect=404)
    await control("GET", "/content/cnt_1", expect=404)
    body: dict[str, Any] = {"content_hash": "x"}
    await control("POST", f"/content/art_{theirs}/approve", user="ann", json=body, expect=404)
    await control("PATCH", f"/content/art_{theirs}", json=body | {"title": "x"}, expect=404)


@pytest.mark.parametrize(
    "cursor",
    ["x", "W10", "WzFd", "WyIyMDI2IiwicG9zdCIsMV0", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwicG9zdCIsIjEiXQ",
     "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwicG9zdCIsLTFd", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwicG9zdCIsMV0"],
)  # fmt: skip
async def test_a_cursor_that_is_none_is_refused(control: Control, cursor: str) -> None:
    answer = await control.get("/content", expect=422, cursor=cursor)
    assert answer["errors"][0]["field"] == "query.cursor"


async def test_filters_that_exclude_each_other_are_refused(control: Control) -> None:
    answer = await control("GET", "/content", params={"site": 1, "mission": "msn_1"}, expect=422)
    assert answer.json()["remedy"] == "name a site or a mission"


async def test_the_lists_go_by_their_indexes(control: Control) -> None:
    """Each status is read in order, and only as far as a page goes, however many rows there are."""
    facts = {
        "account": control.world.account_id, "at": None, "limit": 51,
        "article": 10**9, "post": 10**9, "article_statuses": ["review"], "post_statuses": ["approved"],
        "statuses": ["failed"], "before": 10**9,
    }  # fmt: skip
    with psycopg.connect(control.world.url) as connection:
        # Of copies: what the tables hold by statistics and dead rows of other tests would decide which of
        # several good indexes is taken.
        for table in ("contents", "posts", "publications"):
            connection.execute(f"CREATE TEMP TABLE {table} (LIKE {table} INCLUDING INDEXES)")
        for other in ("seqscan", "bitmapscan", "sort"):
            connection.execute(f"SET enable_{other} = off")
        for name, workflow, expected in (
            (
                "content_page",
                None,
                {"contents_account_id_status_created_at_id_idx", "posts_account_id_status_created_at_id_idx"},
            ),
            (
                "content_page",
                1,
                {"contents_site_id_status_created_at_id_idx", "posts_mission_id_status_created_at_id_idx"},
            ),
            ("publication_page", None, {"publications_account_id_status_id_idx"}),
            ("publication_page", 1, {"publications_workflow_id_status_id_idx"}),
        ):
            asked = {**facts, "workflow": workflow}
            rows = connection.execute(f"EXPLAIN {statements()[name]}", asked).fetchall()
            plan = "\n".join(row[0] for row in rows)
            assert set(re.findall(r"Index (?:Only )?Scan using (\w+)", plan)) == expected, plan
            # What is sorted is the page, and not what it is taken from.
            assert plan.count("Sort Key") == 1, plan


# One of them ------------------------------------------------------------------------------------------


async def test_an_article_is_shown_with_everything(control: Control, tmp_path: Path) -> None:
    stored = MediaFiles(tmp_path).put(PIXEL, "image/png")
    images = [(stored, "a cup"), ("https://media.example/b.png", "b")]
    (number,) = add_articles(control.world, 1, images=images)
    found = await control.get(f"/content/art_{number}")
    assert (found["kind"], found["title"], found["slug"]) == ("article", "Article 0001", "article-1")
    assert found["html"].startswith("<p>Article 0001.</p><h2>More</h2>")
    assert (found["tags"], found["cluster"], found["revision"], found["guidance"]) == (["tea"], "Tea", 1, "")
    assert [(one["position"], one["role"], one["url"]) for one in found["images"]] == [
        (0, "featured", f"/content/art_{number}/images/0"), (1, "in_article", "https://media.example/b.png"),
    ]  # fmt: skip
    assert len(found["content_hash"]) == 64
    assert found["publications"] == []


async def test_a_post_is_shown_with_everything(control: Control) -> None:
    world, run, posts = await posts_of(control)
    world.publication(run, posts[0], "failed")
    found = await control.get(f"/content/cnt_{posts[0]}")
    assert (found["kind"], found["mission_id"], found["job"]) == (
        "post", f"msn_{world.mission_id}", f"job_{run.id}",
    )  # fmt: skip
    assert found["parts"]
    assert found["scheduled_for"].startswith("2026-03-02T")
    [publication] = found["publications"]
    assert (publication["content"], publication["status"]) == (f"cnt_{posts[0]}", "failed")


async def test_a_preview_is_a_page_without_scripts(control: Control, tmp_path: Path) -> None:
    stored = MediaFiles(tmp_path).put(PIXEL, "image/png")
    (number,) = add_articles(control.world, 1, images=[(stored, "a cup")])
    control.world.sql("UPDATE contents SET html = html || %s, title = %s", EVIL, f"Tea {EVIL}")
    answer = await control("GET", f"/content/art_{number}/preview", user="vera", expect=200)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
    assert "<script" not in answer.text
    assert "Tea &lt;script&gt;" in answer.text
    assert f'src="/content/art_{number}/images/0"' in answer.text
    assert "index.html" not in answer.text


async def test_a_posts_preview_says_when_and_where_it_appears(control: Control) -> None:
    world, _, posts = await posts_of(
        control, constraints={"timezone": "Europe/Berlin", "require_approval": True}
    )
    world.sql("UPDATE posts SET parts = ARRAY[%s], media_url = NULL, media_type = NULL", f"Hello {EVIL}")
    answer = await control("GET", f"/content/cnt_{posts[0]}/preview", user="vera", expect=200)
    assert "<script" not in answer.text
    assert "Hello &lt;script&gt;" in answer.text
    assert "(Europe/Berlin) on twitter" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_an_archived_piece_can_be_looked_at(control: Control) -> None:
    _, _, posts = await posts_of(control)
    (number,) = add_articles(control.world, 1)
    for id in (f"art_{number}", f"cnt_{posts[0]}"):
        await control("POST", f"/content/{id}/regenerate", expect=202)
        assert (await control.get(f"/content/{id}"))["status"] == "archived"
        await control("GET", f"/content/{id}/preview", user="vera", expect=200)


async def test_a_picture_of_a_folder_is_shown_and_nothing_else(control: Control, tmp_path: Path) -> None:
    stored = MediaFiles(tmp_path / "media").put(PIXEL, "image/png")
    (number,) = add_articles(control.world, 1, images=[(stored, "a cup")])
    path = f"/content/art_{number}/images"
    answer = await control("GET", f"{path}/0", user="vera", expect=200)
    assert (answer.content, answer.headers["content-type"]) == (PIXEL, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for position, status in ((1, 404), (-1, 422), ("x", 422), (10**30, 422)):
        await control("GET", f"{path}/{position}", user="vera", expect=status)
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    digest = "ab" * 32
    forged = tmp_path / "ab" / "ab" / f"{digest}.png"
    forged.parent.mkdir(parents=True)
    forged.write_bytes(b"secret")
    for url in (
        secret.as_uri(), forged.as_uri(), "https://media.example/b.png", "s3://bucket/b.png",
        stored.replace("/media/", "/gone/"), f"file:///../ab/ab/{digest}.png",
    ):  # fmt: skip
        control.world.sql("UPDATE images SET media_url = %s", url)
        await control("GET", f"{path}/0", user="vera", expect=404)
    control.world.sql("UPDATE images SET media_url = %s, media_type = 'text/html'", stored)
    await control("GET", f"{path}/0", user="vera", expect=404)


async def test_a_posts_numbers_over_time_are_listed_newest_first(control: Control) -> None:
    world, _, posts = await posts_of(control)
    world.sql(
        "INSERT INTO post_metrics (account_id, mission_id, post_id, platform, hour, published_at,"
        " impressions, engagements, link_clicks, new_followers)"
        " SELECT account_id, mission_id, id, platform, timestamptz '2026-03-02 10:00Z' + n * interval '1h',"
        " '2026-03-02 09:00Z', 100 * n, 3 * n, n, 0"
        " FROM posts CROSS JOIN generate_series(0, 2) AS n WHERE id = %s",
        posts[0],
    )
    path = f"/content/cnt_{posts[0]}/metrics"
    found = await control.get(path, limit=2)
    assert [(one["at"], one["impressions"], one["engagement_rate"]) for one in found["items"]] == [
        ("2026-03-02T12:00:00Z", 200, 3.0), ("2026-03-02T11:00:00Z", 100, 3.0),
    ]  # fmt: skip
    rest = await control.get(path, cursor=found["next_cursor"])
    assert [(one["impressions"], one["engagement_rate"]) for one in rest["items"]] == [(0, 0.0)]
    await control.get(path, user="stella", expect=404)
    assert (await control.get(f"/content/cnt_{posts[1]}/metrics"))["items"] == []


async def test_articles_are_not_measured(control: Control) -> None:
    world, _, posts = await posts_of(control)
    assert 1 in posts
    [number] = add_articles(control.world, 1)
    assert number == 1
    world.sql(
        "INSERT INTO post_metrics (account_id, mission_id, post_id, platform, hour, published_at,"
        " impressions, engagements, link_clicks, new_followers)"
        " SELECT account_id, mission_id, id, platform, now(), now(), 1, 1, 1, 1 FROM posts"
    )
    assert (await control.get(f"/content/art_{number}/metrics"))["items"] == []


async def test_a_posts_picture_has_position_0(control: Control, tmp_path: Path) -> None:
    world, _, posts = await posts_of(control)
    stored = MediaFiles(tmp_path).put(PIXEL, "image/png")
    world.sql("UPDATE posts SET media_url = %s, media_type = 'image/png'", stored)
    id = f"cnt_{posts[0]}"
    found = await control.get(f"/content/{id}")
    assert found["media"]["url"] == f"/content/{id}/images/0"
    answer = await control("GET", f"/content/{id}/images/0", user="vera", expect=200)
    assert answer.content == PIXEL
    await control("GET", f"/content/{id}/images/1", user="vera", expect=404)
