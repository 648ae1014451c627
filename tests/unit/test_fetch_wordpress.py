"""Posts of WordPress sites, in a server that answers as WordPress does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pressroom.adapters.sources import wordpress as fetch_wordpress
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.fetching import WordpressFetch
from pressroom.domain.packets import FindClaimed, SourceItem
from tests.support.sources import HOST, knowing, reaching, sample
from tests.support.web_server import Reply, Web, serve

JSON = {"Content-Type": "application/json; charset=UTF-8"}
HTML = {"Content-Type": "text/html"}
NEWEST = datetime(2026, 1, 31, tzinfo=UTC)


def site(posts: list[dict[str, Any]], *, pretty: bool = True) -> Web:
    """WordPress with these posts, newest first."""

    def api(path: str, query: Mapping[str, list[str]]) -> Reply:
        if path == "/categories":
            terms = [{"id": 3, "slug": "news"}, {"id": 4, "slug": "views"}]
            wanted = query["slug"][0].split(",")
            return Reply(json.dumps([term for term in terms if term["slug"] in wanted]).encode(), JSON)
        assert path == "/posts"
        size, page = int(query["per_page"][0]), int(query["page"][0])
        found = [post for post in posts if query.get("categories", ["3"])[0] == str(post.get("in", 3))]
        if page > 1 and (page - 1) * size >= len(found):
            return Reply(b'{"code":"rest_post_invalid_page_number"}', JSON, 400)
        return Reply(json.dumps(found[(page - 1) * size : page * size]).encode(), JSON)

    def answer(path: str, _: Mapping[str, str]) -> Reply:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if pretty and parts.path.startswith("/blog/wp-json/wp/v2"):
            return api(parts.path.removeprefix("/blog/wp-json/wp/v2"), query)
        route = query.get("rest_route", [""])[0]
        if parts.path == "/blog/" and route.startswith("/wp/v2"):
            return api(route.removeprefix("/wp/v2"), query)
        return Reply(b"<html>Not found</html>", HTML, 404)

    paths = [
        "/blog/",
        "/blog/wp-json/wp/v2/posts",
        "/blog/wp-json/wp/v2/categories",
        "/blog/wp-json/wp/v2/tags",
    ]
    return serve(dict.fromkeys(paths, answer))


def post(number: int, **more: Any) -> dict[str, Any]:
    at = (NEWEST - timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "id": number,
        "link": f"https://wp.test/{number}",
        "date_gmt": at,
        "title": {"rendered": f"P{number}"},
        **more,
    }


async def fetched(web: Web, known: FindClaimed | None = None, **settings: Any) -> list[SourceItem]:
    async with reaching(web) as http:
        source = WordpressFetch(type="wordpress", url=web.url("/blog/", HOST), **settings)
        return list(await fetch_wordpress.fetch(source, http, known or knowing()))


@pytest.mark.parametrize("pretty", [True, False])
async def test_posts(pretty: bool) -> None:
    with site(json.loads(sample("posts.json")), pretty=pretty) as web:
        second, first = await fetched(web)
    assert second.source_id == "https://wp.test/?p=7&lang=en"
    assert second.title == "Second – a “post”"
    assert second.html == '<p>Hello <a href="https://wp.test/about" rel="noopener nofollow">about</a></p>'
    assert second.published_at == datetime(2026, 1, 3, 10, tzinfo=UTC)
    assert (second.author, second.tags) == ("Wanda Press", ("News & views", "ice"))
    assert second.images == ("https://wp.test/wp-content/uploads/a.jpg",)
    assert second.extra == {"post_id": 7, "slug": "second"}
    assert (first.source_id, first.text, first.images) == ("https://wp.test/?p=5", "Old", ())


async def test_pages_until_the_cap_is_filled_with_unknown_ones() -> None:
    with site([post(number) for number in range(70)]) as web:
        assert [item.title for item in await fetched(web, cap=3)] == ["P0", "P1", "P2"]
        assert len(web.requests) == 1
        assert len(await fetched(web, cap=50)) == 50
        taken = knowing(*(f"https://wp.test/{number}" for number in range(45)))
        assert [item.title for item in await fetched(web, taken, cap=2)] == ["P45", "P46"]
        assert len(await fetched(web, cap=100)) == 70


async def test_a_last_page_that_is_full() -> None:
    with site([post(number) for number in range(20)]) as web:
        assert len(await fetched(web, cap=100)) == 20
        assert [int(parse_qs(urlsplit(path).query)["page"][0]) for path in web.paths] == [1, 2]


async def test_categories_by_slug() -> None:
    with site([post(1), post(2, **{"in": 4})]) as web:
        assert [item.title for item in await fetched(web, categories=["views"])] == ["P2"]
        with pytest.raises(PermanentError, match="it has no categories with the slug 'wiews'"):
            await fetched(web, categories=["news", "wiews"])


async def test_search_is_passed_on() -> None:
    with site([post(1)]) as web:
        await fetched(web, search="ice & snow")
        assert parse_qs(urlsplit(web.paths[0]).query)["search"] == ["ice & snow"]


POSTS = "/blog/wp-json/wp/v2/posts"


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ({"/blog/": Reply(b"<html>Hi</html>", HTML)}, PermanentError, "there is no WordPress REST API"),
        ({POSTS: Reply(b'{"code":"rest_disabled"}', JSON, 401)}, PermanentError, "the server answered 401"),
        (
            {POSTS: Reply(b'{"code":"rest_no_route"}', JSON, 404)},
            PermanentError,
            "there is no WordPress REST API",
        ),
        ({POSTS: Reply(b'{"a": 1}', JSON)}, TransientError, "not a list of posts"),
        ({POSTS: Reply(b"[", JSON)}, PermanentError, "this is not JSON"),
    ],
)
async def test_what_is_no_wordpress(answers: dict[str, Reply], error: type[Exception], said: str) -> None:
    with serve(answers) as web, pytest.raises(error, match=said):
        await fetched(web)
