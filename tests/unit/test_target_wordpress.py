"""What WordPress answers, and every way it does not, as one of our errors; where its API is found."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from pressroom.adapters.targets.article import ArticleArguments
from pressroom.adapters.targets.wordpress.answers import json_in
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.adapters.targets.wordpress.target import WordPress
from pressroom.adapters.targets.wordpress.wire import (
    claim,
    is_claim,
    is_finished,
    lacking,
    mark,
    marked,
    media_slug,
    placed,
    ranked,
    timing,
    token,
)
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Content, Delivery, Picture, Piece, Placed

PASSWORD = "abcd EFGH 1234 ijkl MNOP 5678"
BARE = PASSWORD.replace(" ", "")
BASIC = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
ROOT = "https://blog.test/wp-json/"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PIECE = Piece("key", ArticleArguments(title="A title", html="<p>x</p>"))
Handler = Callable[[httpx.Request], httpx.Response]


def settings(**fields: Any) -> WordPressSettings:
    extra = {"rest_base": ROOT, **fields.pop("extra", {})}
    given = {"host": "https://blog.test", "login": "ann", "password": PASSWORD, "extra": extra, **fields}
    return WordPressSettings.from_connection("blog", **given)


def wordpress(handler: Handler, **fields: Any) -> WordPress:
    return WordPress(settings(**fields), transport=httpx.MockTransport(handler), now=lambda: NOW)


def secret_in(text: str) -> bool:
    return any(form in text for form in (PASSWORD, BARE, BASIC, "EFGH"))


# Errors --------------------------------------------------------------------------------------------------


def on_write(answer: Callable[[httpx.Request], httpx.Response]) -> Handler:
    """An empty site that answers so to whoever writes."""
    return lambda request: answer(request) if request.method != "GET" else httpx.Response(200, json=[])


def refusal(status: int, code: str = "", **data: Any) -> httpx.Response:
    words = f"<strong>Error:</strong> no {PASSWORD} {BARE} Authorization: Basic {BASIC}"
    return httpx.Response(status, json={"code": code, "message": words, "data": {"status": status, **data}})


HTML = {"headers": {"Content-Type": "text/html"}, "text": "<!doctype html><p>Please log in</p>"}
FORBIDDEN = {"details": {"status": {"code": "rest_forbidden_status"}}}
ANSWERS: list[tuple[str, httpx.Response, type[PressroomError], type[PressroomError]]] = [
    ("bad field", refusal(400, "rest_invalid_param"), PermanentError, PermanentError),
    (
        "drafts hidden",
        refusal(400, "rest_invalid_param", **FORBIDDEN),
        ConfigurationError,
        ConfigurationError,
    ),
    ("login", refusal(401, "rest_not_logged_in"), ConfigurationError, ConfigurationError),
    ("rights", refusal(403, "rest_cannot_create"), ConfigurationError, ConfigurationError),
    ("firewall", httpx.Response(403, **cast("Any", HTML)), ConfigurationError, ConfigurationError),
    ("no route", refusal(404, "rest_no_route"), ConfigurationError, ConfigurationError),
    ("page not found", httpx.Response(404, **cast("Any", HTML)), ConfigurationError, ConfigurationError),
    ("post gone", refusal(404, "rest_post_invalid_id"), TransientError, TransientError),
    ("firewall's 406", httpx.Response(406, **cast("Any", HTML)), PermanentError, PermanentError),
    ("database", httpx.Response(500, **cast("Any", HTML)), UnknownOutcome, TransientError),
    ("broken", refusal(500, "internal_server_error"), UnknownOutcome, TransientError),
    ("bad file", refusal(500, "rest_upload_unknown_error"), PermanentError, PermanentError),
    ("maintenance", httpx.Response(503, **cast("Any", HTML)), UnknownOutcome, TransientError),
    ("a page", httpx.Response(200, **cast("Any", HTML)), UnknownOutcome, ConfigurationError),
    ("cut short", httpx.Response(200, text='{"id": 1'), UnknownOutcome, TransientError),
    ("another thing", httpx.Response(200, json="x"), UnknownOutcome, TransientError),
    ("no post", httpx.Response(200, json={}), UnknownOutcome, TransientError),
]


@pytest.mark.parametrize("writes", [True, False], ids=["write", "read"])
@pytest.mark.parametrize(
    ("answer", "on_writing", "on_reading"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
async def test_answers_that_are_none(
    answer: httpx.Response, on_writing: type[PressroomError], on_reading: type[PressroomError], writes: bool
) -> None:
    async with wordpress(on_write(lambda _: answer) if writes else lambda _: answer) as target:
        with pytest.raises(PressroomError) as caught:
            await (target.publish(PIECE) if writes else target.find(PIECE))
    assert type(caught.value) is (on_writing if writes else on_reading)
    text = str(caught.value)
    assert text.startswith("connection 'blog': ")
    assert not secret_in(text)
    assert "<" not in text


async def test_a_site_that_hides_the_contents_is_not_taken_for_an_empty_one() -> None:
    post = {"id": 1, "status": "publish", "content": {"rendered": ""}}
    async with wordpress(lambda _: httpx.Response(200, json=[post])) as target:
        with pytest.raises(ConfigurationError, match=r"without content\.raw"):
            await target.find(PIECE)


# Answers with more in them than JSON ---------------------------------------------------------------------

NOTICE = b"<br />\n<b>Warning</b>:  Undefined array key [0] in {x.php} on line <b>3</b><br />\n"
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"id": 1}', {"id": 1}),
        (BOM + BOM + b' [{"id": 1}]', [{"id": 1}]),
        (NOTICE + b'{"id": 1, "tags": [3]}', {"id": 1, "tags": [3]}),
        (b'Notice: x[{"id": 1}, {"id": 2}]', [{"id": 1}, {"id": 2}]),
        (b"Warning: expected [] but got {}\n[]", []),
        (b'[{"id": 1}]\n<!-- cached by a plugin [12 ms] -->', [{"id": 1}]),
        (b"[]<!-- cached -->", []),
        (NOTICE + b"[]" + NOTICE, []),
        (b'caf\xe9 {"id": "\\u00e9"}', {"id": "\u00e9"}),
    ],
)
def test_json_is_read_whatever_was_printed_around_it(content: bytes, value: object) -> None:
    assert json_in(content) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        NOTICE,
        b"Warning: expected [] but got {} in x.php",
        b'[{"id": 1, "meta": []}, {"id": 2, "meta": []',
        NOTICE + b'{"id": 1, "content": {"raw": "x"}, "ta',
        b"<!DOCTYPE html><script>var posts = [];</script>[]",
        b'<html><script type="application/json">{"a": [1, 2]}</script></html>',
        b"[x" * 100_000,
    ],
)
def test_a_part_of_an_answer_or_of_a_page_is_not_an_answer(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        json_in(content)


# Check ---------------------------------------------------------------------------------------------------

ALL = {"edit_posts": True, "upload_files": True, "publish_posts": True}


async def test_check_asks_who_we_are_and_what_we_may() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": 1, "capabilities": ALL})

    async with wordpress(handler) as target:
        await target.check()
    assert str(seen[0].url) == f"{ROOT}wp/v2/users/me?context=edit"
    assert seen[0].headers["Authorization"] == f"Basic {BASIC}"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refusal(401, "rest_not_logged_in"), "takes the Authorization header away"),
        (refusal(401, "incorrect_password"), "application password is wrong"),
        (httpx.Response(200, **cast("Any", HTML)), "a page instead of JSON"),
        (httpx.Response(200, json={"id": 1}), "does not say what user 'ann' may do"),
        (
            httpx.Response(200, json={"capabilities": {**ALL, "publish_posts": False}}),
            "may not publish_posts",
        ),
        (httpx.Response(200, json={"capabilities": {"edit_posts": True}}), "upload_files, publish_posts"),
    ],
)
async def test_check_says_what_is_wrong(answer: httpx.Response, message: str) -> None:
    async with wordpress(lambda _: answer) as target:
        with pytest.raises(ConfigurationError, match=message) as caught:
            await target.check()
    assert not secret_in(str(caught.value))


async def test_who_leaves_drafts_need_not_be_allowed_to_publish() -> None:
    may = {"edit_posts": True, "upload_files": True}
    answer = httpx.Response(200, json={"capabilities": may})
    async with wordpress(lambda _: answer, extra={"status": "draft"}) as target:
        await target.check()


# Where the API is ----------------------------------------------------------------------------------------


def site(routes: dict[str, httpx.Response], seen: list[httpx.Request]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return routes.get(str(request.url), httpx.Response(404, **cast("Any", HTML)))

    return handler


def front(link: str, **more: str) -> httpx.Response:
    links = f'<https://blog.test/feed>; rel="alternate", <{link}>; rel="https://api.w.org/"'
    return httpx.Response(200, headers={"Link": links, **more}, text="<html></html>")


ME = httpx.Response(200, json={"capabilities": ALL})
API = httpx.Response(200, json={"namespaces": ["oembed/1.0", "wp/v2"]})
ME_PATH = "wp/v2/users/me?context=edit"
ME_ROUTE = "?rest_route=%2Fwp%2Fv2%2Fusers%2Fme&context=edit"


@pytest.mark.parametrize(
    "routes",
    [
        {
            "https://blog.test/sub": httpx.Response(503),
            "https://blog.test/sub/wp-json/": API,
            f"https://blog.test/sub/wp-json/{ME_PATH}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(503),
            "https://blog.test/sub/wp-json/": httpx.Response(503),
            "https://blog.test/sub?rest_route=%2F": API,
            f"https://blog.test/sub{ME_ROUTE}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(503, headers=front(ROOT).headers),
            f"{ROOT}{ME_PATH}": ME,
        },
        {"https://blog.test/sub": front(ROOT), f"{ROOT}{ME_PATH}": ME},
        {
            "https://blog.test/sub": front("/index.php?rest_route=/"),
            f"https://blog.test/index.php{ME_ROUTE}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(301, headers={"Location": "https://www.blog.test/sub/"}),
            "https://www.blog.test/sub/": front("https://www.blog.test/sub/api/"),
            f"https://www.blog.test/sub/api/{ME_PATH}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(200),
            "https://blog.test/sub/wp-json/": API,
            f"https://blog.test/sub/wp-json/{ME_PATH}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(200),
            "https://blog.test/sub?rest_route=%2F": API,
            f"https://blog.test/sub{ME_ROUTE}": ME,
        },
        {
            "https://blog.test/sub": httpx.Response(200),
            "https://blog.test/sub/wp-json/": httpx.Response(500),
            "https://blog.test/sub?rest_route=%2F": API,
            f"https://blog.test/sub{ME_ROUTE}": ME,
        },
        {
            "https://blog.test/sub": front(ROOT),
            f"{ROOT}{ME_PATH}": httpx.Response(
                200, headers={"Content-Type": "text/html"}, content=ME.content
            ),
        },
    ],
    ids=[
        "closed front page",
        "closed front page, plain addresses",
        "link of a closed front page",
        "link",
        "link to a route",
        "redirect",
        "usual place",
        "usual route",
        "only the route",
        "JSON as HTML",
    ],
)
async def test_the_api_is_found(routes: dict[str, httpx.Response]) -> None:
    seen: list[httpx.Request] = []
    async with wordpress(site(routes, seen), host="https://blog.test/sub", extra={"rest_base": ""}) as target:
        await target.check()
        looked = len(seen)
        await target.check()
    assert len(seen) == looked + 1
    told = [request for request in seen if "Authorization" in request.headers]
    assert [str(request.url) for request in told] == [str(seen[-1].url)] * 2


@pytest.mark.parametrize(
    ("page", "kind", "message"),
    [
        (front("https://stranger.test/wp-json/"), ConfigurationError, "stranger.test"),
        (front("http://blog.test/wp-json/"), ConfigurationError, "https"),
        (httpx.Response(200), ConfigurationError, "no WordPress REST API at blog.test"),
        (httpx.Response(503), TransientError, "503"),
        (httpx.Response(301, headers={"Location": "https://blog.test/"}), ConfigurationError, "circles"),
        (front("https://blog.test:x/"), ConfigurationError, "not a URL"),
    ],
)
async def test_the_password_goes_to_no_other_place(
    page: httpx.Response, kind: type[PressroomError], message: str
) -> None:
    seen: list[httpx.Request] = []
    handler = site({"https://blog.test": page, "https://blog.test/": page}, seen)
    async with wordpress(handler, extra={"rest_base": ""}) as target:
        with pytest.raises(kind, match=message) as caught:
            await target.check()
    assert type(caught.value) is kind
    assert not [request for request in seen if "Authorization" in request.headers]


@pytest.mark.parametrize("password", [PASSWORD, "other"])
async def test_an_api_for_users_only_is_found_with_the_login(password: str) -> None:
    allowed = f"Basic {BASIC}"

    def handler(request: httpx.Request) -> httpx.Response:
        if str(request.url) == "https://blog.test":
            return httpx.Response(200)
        if not request.url.path.startswith("/wp-json"):
            return httpx.Response(404, **cast("Any", HTML))
        if request.headers.get("Authorization") != allowed:
            return refusal(401, "rest_login_required")
        return ME if request.url.path.endswith("/me") else API

    async with wordpress(handler, extra={"rest_base": ""}, password=password) as target:
        if password == PASSWORD:
            await target.check()
        else:
            with pytest.raises(ConfigurationError, match="application password is wrong"):
                await target.check()


async def test_a_redirect_that_would_lose_the_login_is_named() -> None:
    moved = httpx.Response(301, headers={"Location": "https://www.blog.test/wp-json/?key=1"})
    routes = {
        "https://blog.test": httpx.Response(200),
        "https://blog.test/wp-json/": moved,
        "https://www.blog.test/wp-json/?key=1": API,
    }
    seen: list[httpx.Request] = []
    async with wordpress(site(routes, seen), extra={"rest_base": ""}) as target:
        with pytest.raises(ConfigurationError, match=r"moved to https://www\.blog\.test/wp-json/, .* login"):
            await target.check()
    async with wordpress(lambda _: moved) as target:
        with pytest.raises(
            ConfigurationError, match=r"leads to https://www\.blog\.test/wp-json/ \(a redirect"
        ):
            await target.check()
    assert not [request for request in seen if "Authorization" in request.headers]


# Posts ---------------------------------------------------------------------------------------------------


class Site:
    """As much of a WordPress as shows which requests are made: one post, and faults on request."""

    def __init__(self) -> None:
        self.post: dict[str, Any] | None = None
        self.calls: list[str] = []
        self.media: dict[str, Any] = {"id": 9, "source_url": "https://blog.test/9.png", "alt_text": ""}
        self.answers: dict[str, httpx.Response] = {}
        self.keeps_featured = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path.removeprefix('/wp-json/wp/v2')}"
        self.calls.append(call)
        if call in self.answers:
            return self.answers[call]
        if call == "GET /posts":
            return httpx.Response(200, json=[self.post] if self.post else [])
        if call == "GET /media":
            return httpx.Response(200, json=[self.media])
        if call.startswith("POST /posts"):
            body = json.loads(request.content)
            kept = body.get("featured_media", 0) if self.keeps_featured else 0
            content = {"raw": body["content"]}
            self.post = {"id": 4, "link": "L", **body, "content": content, "featured_media": kept}
            return httpx.Response(201, json=self.post)
        if call == "GET /posts/4":
            return httpx.Response(200, json=self.post) if self.post else refusal(404, "rest_post_invalid_id")
        if call == "DELETE /posts/4":
            self.post = None
            return httpx.Response(200, json={"deleted": True})
        raise AssertionError(call)


PNG = Picture(b"png", "image/png")


async def test_titles_and_excerpts_are_text() -> None:
    site = Site()
    arguments = ArticleArguments(title="<script>1</script> & co", html="<p>x</p>", excerpt="a < b")
    async with wordpress(site) as target:
        assert await target.publish(Piece("key", arguments)) == Placed("4", "L")
    assert site.post is not None
    assert site.post["title"] == "&lt;script&gt;1&lt;/script&gt; &amp; co"
    assert site.post["excerpt"] == "a &lt; b"
    assert site.post["content"]["raw"] == f"<p>x{mark('key')}</p>"


@pytest.mark.parametrize(
    ("extra", "excerpt", "meta"),
    [
        ({"meta_description_field": "_seo"}, "Long.", {"_seo": "Short."}),
        ({"meta_description_field": "_seo"}, "", {"_seo": "Short."}),
        ({}, "Long.", None),
    ],
)
async def test_the_meta_description_goes_where_the_sites_plugin_has_it(
    extra: dict[str, Any], excerpt: str, meta: dict[str, str] | None
) -> None:
    site = Site()
    arguments = ArticleArguments(title="T", html="<p>x</p>", excerpt=excerpt, meta_description="Short.")
    async with wordpress(site, extra=extra) as target:
        await target.publish(Piece("key", arguments))
    assert site.post is not None
    assert site.post.get("meta") == meta
    assert site.post["excerpt"] == (excerpt or "Short.")


async def test_what_is_wrong_with_a_picture_shows_before_anything_is_sent() -> None:
    site = Site()
    async with wordpress(site) as target:
        with pytest.raises(PermanentError, match="svg"):
            await target.publish(Piece("key", PIECE.arguments, [Picture(b"x", "image/svg+xml")]))
    assert site.calls == []


async def test_a_piece_that_is_refused_leaves_no_draft() -> None:
    site = Site()
    site.answers["GET /media"] = httpx.Response(400, json={"code": "x", "message": "no"})
    async with wordpress(site) as target:
        with pytest.raises(PermanentError, match="no"):
            await target.publish(Piece("key", PIECE.arguments, [PNG]))
    assert site.post is None
    assert site.calls[-1] == "DELETE /posts/4"


async def test_a_passing_trouble_leaves_the_draft_for_the_next_try() -> None:
    site = Site()
    site.answers["GET /media"] = httpx.Response(503)
    async with wordpress(site) as target:
        with pytest.raises(TransientError):
            await target.publish(Piece("key", PIECE.arguments, [PNG]))
        assert await target.find(PIECE) is None
        del site.answers["GET /media"]
        made = site.calls.count("POST /posts")
        assert await target.publish(Piece("key", PIECE.arguments, [PNG])) == Placed("4", "L")
    assert (made, site.calls.count("POST /posts")) == (1, 1)


async def test_a_site_that_keeps_no_picture_is_not_a_success() -> None:
    site = Site()
    site.keeps_featured = False
    async with wordpress(site) as target:
        with pytest.raises(PermanentError, match=r"post 4 is there, but .* featured picture"):
            await target.publish(Piece("key", PIECE.arguments, [PNG]))
    assert site.post is not None
    assert site.calls.count("POST /posts/4") == 3


@pytest.mark.parametrize("id", ["", "x", "4/..", "-1", "4?force=true", "٤x"])
async def test_only_a_number_is_unpublished(id: str) -> None:
    site = Site()
    async with wordpress(site) as target:
        with pytest.raises(PermanentError, match="not the id"):
            await target.unpublish(id)
    assert site.calls == []


@pytest.mark.parametrize("code", ["rest_post_invalid_id", "rest_already_trashed"])
async def test_what_is_gone_is_unpublished(code: str) -> None:
    site = Site()
    site.answers["DELETE /posts/4"] = refusal(410, code)
    async with wordpress(site) as target:
        assert await target.unpublish("4")


async def test_a_site_without_a_trash_gets_a_draft() -> None:
    sent: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return refusal(501, "rest_trash_not_supported")
        sent.append(request.content)
        return httpx.Response(200, json={"id": 4})

    async with wordpress(handler) as target:
        assert await target.unpublish("4")
    assert [json.loads(one) for one in sent] == [{"status": "draft"}]


# Pure parts ----------------------------------------------------------------------------------------------


def post(id: int, content: str, status: str = "publish") -> dict[str, Any]:
    return {"id": id, "status": status, "content": {"raw": content}}


def test_a_mark_is_of_one_key_only() -> None:
    assert is_finished(post(1, f"<p>x{mark('12')}</p>"), "12")
    assert not is_finished(post(1, mark("123")), "12")
    assert not is_finished(post(1, claim("12")), "12")
    assert is_claim(post(1, claim("12")), "12")
    assert not is_claim(post(1, claim("12") + mark("12")), "12")
    assert token("a b/ü") in mark("a b/ü")
    assert " " not in token("a b/ü")


def test_everybody_chooses_the_same_post() -> None:
    posts = [
        post(1, claim("k"), "draft"),
        post(5, mark("k"), "draft"),
        post(4, mark("k"), "future"),
        post(3, mark("k"), "publish"),
        post(2, "x"),
        post(6, mark("k"), "publish"),
    ]
    expected = [3, 6, 4, 5, 1]
    assert [one["id"] for one in ranked(posts, "k")] == expected
    assert [one["id"] for one in ranked([*posts[::-1], posts[0]], "k")] == expected


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("<p>a</p>", "<p>a{}</p>"),
        ("<ul><li>a</li></ul>", "<ul><li>a</li>{}</ul>"),
        ("text", "text{}"),
        ("", "{}"),
    ],
)
def test_the_mark_stands_within_the_last_element(body: str, where: str) -> None:
    assert marked(body, "k") == where.format(mark("k"))


ON_RECORD = Piece(
    "key", ArticleArguments(title="A title", html="<p>x</p>"), known=Placed("7", "https://blog.test/a/")
)


def with_post(answer: httpx.Response, *, seen: httpx.Response | None = None) -> Handler:
    """A site with the post 7 alone. ``seen``: how it shows it to visitors."""

    def handler(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/posts/7"):
            return httpx.Response(200, json=[])
        return answer if request.url.params.get("context") == "edit" or seen is None else seen

    return handler


@pytest.mark.parametrize(
    ("link", "ours"),
    [
        ("https://blog.test/a/", True),
        ("https://www.blog.test/a/", True),
        ("https://WWW.Blog.test/another-slug/", True),
        ("https://other.test/a/", False),
    ],
)
async def test_a_post_on_record_is_the_piece_with_www_and_without(link: str, *, ours: bool) -> None:
    """A page builder took its mark out of it."""
    shown = {**post(7, "<p>x</p>"), "link": link}
    async with wordpress(with_post(httpx.Response(200, json=shown))) as target:
        assert await target.find(ON_RECORD) == (Placed("7", link) if ours else None)


async def test_what_another_site_has_under_the_id_may_be_closed_to_us() -> None:
    """The connection leads to another site by now, whose user is an author there."""
    closed = refusal(403, "rest_forbidden_context")
    elsewhere = httpx.Response(200, json={"id": 7, "link": "https://other.test/theirs/"})
    async with wordpress(with_post(closed, seen=elsewhere)) as target:
        assert await target.find(ON_RECORD) is None


@pytest.mark.parametrize(
    "seen",
    [httpx.Response(200, json={"id": 7, "link": "https://www.blog.test/a/"}), refusal(403, "rest_forbidden")],
    ids=["at the same host", "not shown"],
)
async def test_what_may_be_the_piece_of_another_user_is_not_made_twice(seen: httpx.Response) -> None:
    async with wordpress(with_post(refusal(403, "rest_forbidden_context"), seen=seen)) as target:
        with pytest.raises(ConfigurationError, match="rest_forbidden_context"):
            await target.publish(ON_RECORD)


async def test_a_post_that_cannot_be_read_was_not_written() -> None:
    answer = {name: part for name, part in post(7, "<p>x</p>").items() if name != "id"}
    async with wordpress(with_post(httpx.Response(200, json=answer))) as target:
        with pytest.raises(TransientError, match="is not what WordPress's API promises") as caught:
            await target.find(ON_RECORD)
    assert type(caught.value) is TransientError


def test_a_picture_has_one_slug_a_piece() -> None:
    assert media_slug("k", PNG) == media_slug("k", Picture(b"png", "image/png", "Other words"))
    assert len({media_slug("k", PNG), media_slug("l", PNG), media_slug("k", Picture(b"x", "image/png"))}) == 3


LATER = NOW + timedelta(hours=2)
FUTURE = {"status": "future", "date_gmt": "2026-11-24T11:00:00"}


@pytest.mark.parametrize(
    ("default", "at", "current", "expected"),
    [
        ("publish", None, None, {"status": "publish"}),
        ("publish", NOW - timedelta(days=1), None, {"status": "publish"}),
        ("publish", LATER, None, FUTURE),
        ("publish", LATER.astimezone(), None, FUTURE),
        ("publish", LATER, "publish", FUTURE),
        ("publish", None, "future", {"status": "publish", "date_gmt": "2026-11-24T08:59:00"}),
        ("publish", None, "draft", {"status": "publish"}),
        ("publish", None, "private", {}),
        ("draft", None, None, {"status": "draft"}),
        ("pending", LATER, None, {"status": "pending", "date_gmt": "2026-11-24T11:00:00"}),
        ("draft", None, "publish", {}),
        ("pending", LATER, "future", {}),
    ],
)
def test_status_and_date(
    default: str, at: datetime | None, current: str | None, expected: dict[str, str]
) -> None:
    assert timing(default, at, NOW, current) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("publish", Placed("4", "https://blog.test/x/")),
        ("future", Placed("4", "", Delivery.PENDING, "scheduled for 2026-11-24T11:00:00 UTC")),
        ("pending", Placed("4", "", Delivery.PENDING, "pending: an editor publishes it")),
        ("private", Placed("4", "", Delivery.PUBLISHED, "private")),
    ],
)
def test_what_a_post_says_of_itself(status: str, expected: Placed) -> None:
    answer = {"id": 4, "link": "https://blog.test/x/", "date_gmt": "2026-11-24T11:00:00", "status": status}
    assert placed(answer) == expected


def test_what_a_post_lacks() -> None:
    sent = {"categories": [1, 2], "tags": [3], "featured_media": 9}
    assert lacking({"categories": [2, 1, 7], "tags": [3], "featured_media": 9}, sent) == ""
    assert lacking({"categories": [1], "tags": None}, sent) == "categories, tags, featured picture"
    assert lacking({"featured_media": 9}, {}) == ""


def test_content_becomes_arguments() -> None:
    content = Content(title="T", text="a\n\nb", tags=["x"], categories=["y"], excerpt="e")
    made = wordpress(lambda _: httpx.Response(200)).from_content(content)
    assert made == ArticleArguments(
        title="T", html="<p>a</p>\n<p>b</p>", excerpt="e", tags=["x"], categories=["y"]
    )


# Settings ------------------------------------------------------------------------------------------------


def test_a_connection_is_read() -> None:
    found = WordPressSettings.from_connection(
        "blog", host="blog.test/sub", schema="http", port=8080, login=" ann ", password=f" {PASSWORD} "
    )
    assert (found.site_url, found.user, found.secret) == ("http://blog.test:8080/sub", "ann", PASSWORD)
    assert (found.status, found.timeout_seconds, found.settle_seconds) == ("publish", 30, 30)
    assert not secret_in(repr(found))
    assert not secret_in(found.model_dump_json())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"login": ""}, "login"),
        ({"login": "a:b"}, "login"),
        ({"password": " "}, "password"),
        ({"host": ""}, "web address"),
        ({"host": "ftp://blog.test"}, "web address"),
        ({"host": f"https://ann:{BARE}@blog.test"}, "not in the host"),
        ({"extra": {"rest_base": "wp-json"}}, "rest_base"),
        ({"extra": {"rest_base": f"https://ann:{BARE}@blog.test/"}}, "rest_base"),
        ({"extra": {"status": "future"}}, "status"),
        ({"extra": {"settle": 1}}, "did you mean 'settle_seconds'"),
        ({"extra": {"password": "x"}}, "unknown key 'password'"),
        ({"extra": {"timeout_seconds": 0}}, "timeout_seconds"),
    ],
)
def test_a_wrong_setting_is_named_and_no_password_shown(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        settings(**fields)
    assert "'blog'" in str(caught.value)
    assert not secret_in(str(caught.value))
