"""The WordPress adapter against a real WordPress: each piece once and whole, whatever happened on the way."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from pressroom.adapters.targets.article import ArticleArguments
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.adapters.targets.wordpress.target import WordPress
from pressroom.domain.errors import ConfigurationError, PermanentError, UnknownOutcome
from pressroom.domain.publishing import Delivery, Picture, Piece, Placed
from tests.support.wordpress import RunningWordPress

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
STATUSES = "publish,future,draft,pending,private"


class Site:
    """The site as its owner sees it."""

    def __init__(self, blog: RunningWordPress) -> None:
        self._http = httpx.Client(
            auth=(blog.user, blog.password), base_url=f"{blog.url}/wp-json/wp/v2", timeout=60
        )

    def get(self, path: str, **params: str) -> Any:
        answer = self._http.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def change(self, id: str, **fields: Any) -> None:
        self._http.post(f"/posts/{id}", json=fields).raise_for_status()

    def author(self, name: str) -> tuple[str, str]:
        """Make a user that may write posts of its own only. Returns its name and application password."""
        user = {
            "username": name,
            "email": f"{name}@example.test",
            "password": "for people",
            "roles": ["author"],
        }
        made = self._http.post("/users", json=user).raise_for_status().json()
        login = self._http.post(f"/users/{made['id']}/application-passwords", json={"name": "tests"})
        return name, str(login.raise_for_status().json()["password"])

    def post(self, id: str) -> Any:
        return self.get(f"/posts/{id}", context="edit")

    def posts(self, word: str) -> list[Any]:
        """Posts of any status with a word in their title."""
        found = self.get("/posts", context="edit", status=STATUSES, per_page="100")
        return [post for post in found if word in post["title"]["raw"]]

    def media(self, word: str) -> list[Any]:
        found = self.get("/media", context="edit", per_page="100")
        return [medium for medium in found if word in medium["alt_text"]]

    def terms(self, taxonomy: str, word: str) -> list[str]:
        return [term["name"] for term in self.get(f"/{taxonomy}", per_page="100") if word in term["name"]]


@pytest.fixture
def site(blog: RunningWordPress) -> Site:
    return Site(blog)


def settings(blog: RunningWordPress, **fields: Any) -> WordPressSettings:
    given = {"host": blog.url, "login": blog.user, "password": blog.password, **fields}
    return WordPressSettings.from_connection("blog", **given)


@pytest.fixture
async def target(blog: RunningWordPress) -> AsyncIterator[WordPress]:
    async with WordPress(settings(blog)) as opened:
        yield opened


def picture(word: str, color: str = "red", url: str = "") -> Picture:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 40), color).save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png", f'{word} "{color}"', url)


def visit(url: str) -> httpx.Response:
    """What anybody gets to see."""
    return httpx.get(url, timeout=60)


def piece(word: str, **changes: Any) -> Piece[ArticleArguments]:
    fields = {"title": f"About {word}", "html": f"<p>All of {word}.</p>", **changes.pop("fields", {})}
    return Piece(**{"key": f"site/1 {word}", "arguments": ArticleArguments(**fields), **changes})


# What becomes of a piece ---------------------------------------------------------------------------------


async def test_a_piece_with_all_there_is(target: WordPress, site: Site, blog: RunningWordPress) -> None:
    fields = {
        "title": "About whole: R&D <b>",
        "html": '<h2>A</h2><p>x<img src="https://own.test/2.png"><script>1</script></p><h2>B</h2><p>y</p>',
        "excerpt": "Short & <sweet>",
        "slug": "the-whole",
        "tags": ["whole R&D", "Whole r&d", "whole ünïcode"],
        "categories": ["Whole news", "uncategorized"],
    }
    pictures = [
        picture("whole"),
        picture("whole", "blue", "https://own.test/2.png"),
        picture("whole", "pink"),
    ]
    await target.check()
    whole = piece("whole", fields=fields, pictures=pictures)
    placed = await target.publish(whole)
    assert (placed.url, placed.delivery) == (f"{blog.url}/the-whole/", Delivery.PUBLISHED)
    post = site.post(placed.external_id)
    assert (post["status"], post["slug"]) == ("publish", "the-whole")
    lead, blue, pink = sorted(site.media("whole"), key=lambda medium: int(medium["id"]))
    assert post["featured_media"] == lead["id"]
    assert (lead["alt_text"], lead["post"]) == ('whole "red"', post["id"])
    content = post["content"]["raw"]
    assert f'<p>x<img src="{blue["source_url"]}" alt="whole &quot;blue&quot;"' in content
    assert f'<figure><img src="{pink["source_url"]}"' in content
    assert "script" not in content
    assert site.terms("categories", "ncategorized") == ["Uncategorized"]
    assert sorted(site.terms("tags", "hole")) == ["whole R&amp;D", "whole ünïcode"]
    assert (len(post["categories"]), len(post["tags"])) == (2, 2)
    page = visit(placed.url).text
    assert "About whole: R&amp;D &lt;b&gt;</h1>" in page
    assert visit(blue["source_url"]).content == pictures[1].data
    assert await target.find(whole) == placed


async def test_the_same_key_is_updated_in_place(target: WordPress, site: Site) -> None:
    first = await target.publish(piece("update", pictures=[picture("update")]))
    date = site.post(first.external_id)["date_gmt"]
    site.change(first.external_id, slug="what-an-editor-chose", title="About update, by an editor")
    changed = piece(
        "update", fields={"html": "<p>New.</p>", "tags": ["update"]}, pictures=[picture("update")]
    )
    again = await target.publish(changed)
    assert again.external_id == first.external_id
    post = site.post(again.external_id)
    assert post["content"]["raw"].startswith("<p>New.")
    assert (post["slug"], post["date_gmt"], len(post["tags"])) == ("what-an-editor-chose", date, 1)
    assert len(site.posts("update")) == len(site.media("update")) == 1
    exchanged = await target.publish(piece("update", pictures=[picture("update", "blue")]))
    assert exchanged.external_id == first.external_id
    assert site.post(first.external_id)["featured_media"] != post["featured_media"]


async def test_a_scheduled_piece_waits(target: WordPress, site: Site) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    placed = await target.publish(piece("later", at=at))
    assert (placed.delivery, placed.url) == (Delivery.PENDING, "")
    post = site.post(placed.external_id)
    assert (post["status"], post["date_gmt"]) == ("future", at.strftime("%Y-%m-%dT%H:%M:%S"))
    assert await target.find(piece("later")) == placed
    now = await target.publish(piece("later"))
    assert (now.external_id, now.delivery) == (placed.external_id, Delivery.PUBLISHED)
    assert len(site.posts("later")) == 1
    assert visit(now.url).status_code == 200


async def test_a_piece_can_be_left_to_editors(blog: RunningWordPress, site: Site) -> None:
    async with WordPress(settings(blog, extra={"status": "pending"})) as target:
        placed = await target.publish(piece("review"))
        assert (placed.delivery, site.post(placed.external_id)["status"]) == (Delivery.PENDING, "pending")
        site.change(placed.external_id, status="publish")
        assert (await target.publish(piece("review"))).delivery is Delivery.PUBLISHED
        found = await target.find(piece("review"))
    assert found is not None
    assert found.delivery is Delivery.PUBLISHED


async def test_unpublished_pieces_are_in_the_trash(target: WordPress, site: Site) -> None:
    placed = await target.publish(piece("trash"))
    assert await target.unpublish(placed.external_id)
    assert site.post(placed.external_id)["status"] == "trash"
    assert await target.find(piece("trash")) is None
    assert visit(placed.url).status_code == 404
    assert await target.unpublish(placed.external_id)
    assert await target.unpublish("99999999")
    again = await target.publish(piece("trash"))
    assert again.external_id != placed.external_id
    assert len(site.posts("trash")) == 1


@pytest.mark.parametrize("status", STATUSES.split(","))
async def test_it_is_found_whatever_an_editor_did(target: WordPress, site: Site, status: str) -> None:
    word = f"editor-{status}"
    placed = await target.publish(piece(word))
    other = await target.publish(piece(f"{word}-2", fields={"title": f"About {word}"}))
    date = {"date_gmt": "2099-01-01T00:00:00"} if status == "future" else {}
    site.change(placed.external_id, slug=f"renamed-{status}", title="Renamed", status=status, **date)
    found = await target.find(piece(word))
    assert found is not None
    assert found.external_id == placed.external_id
    assert await target.find(piece(f"{word}-3", fields={"title": f"About {word}"})) is None
    sibling = await target.find(piece(f"{word}-2", fields={"title": f"About {word}"}))
    assert sibling is not None
    assert sibling.external_id == other.external_id


# Exactly once --------------------------------------------------------------------------------------------


class LosesAnswers(httpx.AsyncBaseTransport):
    """Sends every request, and loses the answer of the n-th one that writes."""

    def __init__(self, lost: int) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self._left = lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._real.handle_async_request(request)
        if request.method == "POST":
            self._left -= 1
            if self._left == 0:
                await answer.aread()
                raise httpx.ReadTimeout("lost", request=request)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


@pytest.mark.parametrize(
    ("lost", "there"), [(1, False), (2, False), (3, True)], ids=["claim", "media", "post"]
)
async def test_an_answer_that_was_lost(
    blog: RunningWordPress, target: WordPress, site: Site, lost: int, there: bool
) -> None:
    word = f"lost-{lost}"
    whole = piece(word, pictures=[picture(word)])
    async with WordPress(settings(blog), transport=LosesAnswers(lost)) as unlucky:
        with pytest.raises(UnknownOutcome):
            await unlucky.publish(whole)
    found = await target.find(whole)
    assert (found is not None) == there
    placed = await target.publish(whole)
    assert found in (None, placed)
    (post,) = site.posts(word)
    (medium,) = site.media(word)
    assert (post["status"], post["featured_media"]) == ("publish", medium["id"])


KILLED = """
import asyncio, os, signal, sys
import httpx
from tests.integration import test_target_wordpress as here

url, user, password, word, step, before = sys.argv[1:]

class Killer(httpx.AsyncHTTPTransport):
    left = int(step)

    async def handle_async_request(self, request):
        self.left -= request.method == "POST"
        dies = request.method == "POST" and self.left == 0
        if dies and before == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await super().handle_async_request(request)
        if dies:
            await answer.aread()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

async def main():
    settings = here.WordPressSettings.from_connection("blog", host=url, login=user, password=password)
    async with here.WordPress(settings, transport=Killer()) as target:
        await target.publish(here.piece(word, pictures=[here.picture(word), here.picture(word, "blue")]))

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3, 4], ids=["claim", "first-picture", "second-picture", "post"])
async def test_a_process_that_dies_on_the_way(
    blog: RunningWordPress, target: WordPress, site: Site, step: int, moment: str
) -> None:
    word = f"killed-{step}-{moment}"
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, blog.url, blog.user, blog.password, word, str(step), moment],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'include'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    whole = piece(word, pictures=[picture(word), picture(word, "blue")])
    found = await target.find(whole)
    assert (found is not None) == (step == 4 and moment == "after")
    placed = await target.publish(whole)
    (post,) = site.posts(word)
    assert (str(post["id"]), post["status"]) == (placed.external_id, "publish")
    assert len(site.media(word)) == 2
    assert post["featured_media"] in {medium["id"] for medium in site.media(word)}


async def test_tries_that_race_end_at_one_post(blog: RunningWordPress, site: Site) -> None:
    racers = [WordPress(settings(blog)) for _ in range(6)]
    race = piece("race", fields={"categories": ["Race news"], "tags": ["race"]}, pictures=[picture("race")])
    placed = await asyncio.gather(*(racer.publish(race) for racer in racers))
    for racer in racers:
        await racer.__aexit__()
    assert len(set(placed)) == 1
    (post,) = site.posts("race")
    (medium,) = site.media("race")
    assert (str(post["id"]), post["status"]) == (placed[0].external_id, "publish")
    assert post["featured_media"] == medium["id"]


@pytest.mark.parametrize("together", [True, False], ids=["one-client", "clients-of-their-own"])
async def test_many_at_once_share_their_categories(
    blog: RunningWordPress, site: Site, together: bool
) -> None:
    word = f"crowd-{together}"
    names = {"categories": [f"{word} A&B", f"{word} two"], "tags": [f"{word} tag"]}
    shared = WordPress(settings(blog))
    targets = [shared if together else WordPress(settings(blog)) for _ in range(20)]
    pieces = [
        piece(
            f"{word}-{n:02}", fields={**names, "title": f"{word} piece"}, pictures=[picture(f"{word}-{n:02}")]
        )
        for n in range(20)
    ]
    placed = await asyncio.gather(*(target.publish(one) for target, one in zip(targets, pieces, strict=True)))
    for target in {*targets, shared}:
        await target.__aexit__()
    posts = site.posts(word)
    assert sorted(str(post["id"]) for post in posts) == sorted(one.external_id for one in placed)
    assert len({post["slug"] for post in posts}) == len(posts) == 20
    assert sorted(site.terms("categories", word)) == [f"{word} A&amp;B", f"{word} two"]
    assert site.terms("tags", word) == [f"{word} tag"]
    assert {len(post["categories"]) for post in posts} == {2}
    assert len({post["featured_media"] for post in posts} - {0}) == 20
    assert len(site.media(word)) == 20


RACE = """
add_filter('pre_wp_unique_post_slug', function ($own, $slug, $id, $status) {
    if ($status !== 'publish' || get_option("raced-$id")) return $own;
    update_option("raced-$id", '1');
    return $slug;
}, 10, 4);
"""
"""At its first publication a post gets its slug unseen, as when another gets the same at that moment."""


async def test_two_posts_of_one_moment_have_an_address_each(blog: RunningWordPress) -> None:
    with blog.plugin(RACE):
        async with WordPress(settings(blog)) as target:
            first, second = [
                await target.publish(piece(key, fields={"title": "One moment"})) for key in ("a1", "b2")
            ]
    assert {first.url, second.url} == {f"{blog.url}/one-moment/", f"{blog.url}/one-moment-2/"}, (
        first,
        second,
    )


# What plugins do to a site ---------------------------------------------------------------------------------

NOTICE = "<br />\\n<b>Warning</b>:  Undefined array key [0] in {x.php} on line 3<br />\\n"
SAVING = [
    "save_post",
    "wp_insert_post",
    "rest_after_insert_post",
    "transition_post_status",
    "publish_post",
    "add_attachment",
    "created_term",
]


def prints(*hooks: str, then: str = "") -> str:
    """A plugin that prints a notice whenever one of the hooks is run, as PHP does with display_errors on."""
    return "".join(f"add_action('{hook}', function () {{ echo \"{NOTICE}\"; {then} }});\n" for hook in hooks)


async def test_a_plugin_that_prints_notices_at_every_stage_of_saving_destroys_nothing(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    whole = piece("noisy", fields={"tags": ["noisy"]}, pictures=[picture("noisy")])
    with blog.plugin(prints(*SAVING)):
        placed = await target.publish(whole)
        assert visit(placed.url).status_code == 200
        again = await target.publish(piece("noisy", fields={"html": "<p>New.</p>"}))
    assert again.external_id == placed.external_id
    (post,) = site.posts("noisy")
    assert (post["status"], str(post["id"])) == ("publish", placed.external_id)
    assert post["content"]["raw"].startswith("<p>New.")
    assert len(site.media("noisy")) == len(site.terms("tags", "noisy")) == 1


async def test_a_site_that_prints_into_every_answer_is_used_all_the_same(
    blog: RunningWordPress, site: Site
) -> None:
    everywhere = """
    add_action('rest_api_init', function () { echo "\\xef\\xbb\\xbf\\xef\\xbb\\xbfNotice: [] in x.php\\n"; });
    register_shutdown_function(function () { echo "\\n<!-- cached by a plugin -->"; });
    """
    with blog.plugin(everywhere):
        async with WordPress(settings(blog)) as target:
            await target.check()
            assert await target.find(piece("printing")) is None
            placed = await target.publish(piece("printing", pictures=[picture("printing")]))
            assert await target.find(piece("printing")) == placed
            # Its refusals have the status 200, for the headers are away: they are refusals still.
            with pytest.raises(PermanentError, match="not allowed to upload"):
                await target.publish(piece("odd", pictures=[Picture(b"not a picture", "image/png", "x")]))
            assert await target.unpublish(placed.external_id)
            assert await target.unpublish(placed.external_id)
    assert site.posts("printing") == site.posts("odd") == []


async def test_an_answer_without_its_json_is_looked_up(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    names = {"tags": ["silent"]}
    dies = prints("rest_after_insert_post", "add_attachment", "created_term", then="exit;")
    with blog.plugin(dies):
        placed = await target.publish(piece("silent", fields=names, pictures=[picture("silent")]))
        newer = piece("silent", fields={"html": "<p>New.</p>", **names}, pictures=[picture("silent")])
        assert (await target.publish(newer)).external_id == placed.external_id
    (post,) = site.posts("silent")
    assert (post["status"], post["slug"], len(post["tags"])) == ("publish", "about-silent", 1)
    assert post["content"]["raw"].startswith("<p>New.")
    assert [post["featured_media"]] == [medium["id"] for medium in site.media("silent")]


async def test_a_site_that_breaks_off_while_it_saves_has_what_it_has(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    whole = piece("broken", fields={"tags": ["broken"]})
    with (
        blog.plugin(prints("save_post", then="exit;")),
        pytest.raises(PermanentError, match="is there, but the site does not keep its tags"),
    ):
        await target.publish(whole)
    (post,) = site.posts("broken")
    assert visit(post["link"]).status_code == 200
    assert (await target.publish(whole)).external_id == str(post["id"])
    assert len(site.post(str(post["id"]))["tags"]) == 1


async def test_a_refusal_deletes_only_what_is_a_claim_still(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    # The post is published, and only then the site says that it is not.
    too_late = """
    add_action('rest_after_insert_post', function ($post) {
        if ($post->post_status !== 'publish') return;
        status_header(400);
        wp_send_json(['code' => 'rest_invalid_param', 'message' => 'no', 'data' => ['status' => 400]], 400);
    });
    """
    with blog.plugin(too_late), pytest.raises(PermanentError, match="no"):
        await target.publish(piece("too-late"))
    (post,) = site.posts("too-late")
    assert post["status"] == "publish"
    assert visit(post["link"]).status_code == 200
    placed = await target.publish(piece("too-late"))
    assert placed.external_id == str(post["id"])


BUILDER = """
add_filter('wp_insert_post_data', function ($data) {
    if ($data['post_type'] === 'post') {
        $data['post_content'] = '<div class="b">' . wp_strip_all_tags($data['post_content']) . '</div>';
    }
    return $data;
});
"""
"""A page builder that writes every content in its own way, without comments."""


async def test_what_a_page_builder_writes_again_is_updated_in_place(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    noted: list[Placed] = []

    async def note(placed: Placed) -> None:
        noted.append(placed)

    with blog.plugin(BUILDER):
        # As when the answer to the last request is lost: what is on record is the claim that was noted.
        async with WordPress(settings(blog), transport=LosesAnswers(2)) as unlucky:
            with pytest.raises(UnknownOutcome):
                await unlucky.publish(piece("built", noted=note))
        (post,) = site.posts("built")
        assert post["content"]["raw"] == '<div class="b">All of built.</div>'
        assert [claim.external_id for claim in noted] == [str(post["id"])]
        placed = await target.find(piece("built", known=noted[0]))
        assert placed == Placed(str(post["id"]), post["link"])
        newer = piece("built", fields={"html": "<p>New.</p>"}, known=placed)
        assert await target.publish(newer) == placed
        # A claim that a worker left behind is found by its slug.
        async with WordPress(settings(blog), transport=LosesAnswers(1)) as unlucky:
            with pytest.raises(UnknownOutcome):
                await unlucky.publish(piece("builtlater", noted=note))
        assert await target.find(piece("builtlater")) is None
        later = await target.publish(piece("builtlater"))
    assert [old["content"]["raw"] for old in site.posts("About built")][-1:] == ['<div class="b">New.</div>']
    assert [str(old["id"]) for old in site.posts("builtlater")] == [later.external_id]
    assert len(site.posts("built")) == 2


async def test_an_id_on_record_is_no_licence_to_write_over_another_post(
    target: WordPress, site: Site
) -> None:
    other = await target.publish(piece("others"))
    mine = await target.publish(piece("mine", known=other))
    assert mine.external_id != other.external_id
    site.change(other.external_id, content="<p>An editor's own.</p>")
    elsewhere = Placed(other.external_id, "https://old.example/about-others/")
    moved = await target.publish(piece("moved", known=elsewhere))
    assert moved.external_id not in (other.external_id, mine.external_id)
    assert site.post(other.external_id)["content"]["raw"] == "<p>An editor's own.</p>"


async def test_an_author_takes_nobody_elses_post_for_the_piece(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    """WordPress shows an author no post of others for editing."""
    theirs = await target.publish(piece("theirs"))
    name, password = site.author("ann")
    async with WordPress(settings(blog, login=name, password=password)) as author:
        elsewhere = Placed(theirs.external_id, "https://old.example/about-mine/")
        own = await author.publish(piece("authored", known=elsewhere))
        assert own.external_id != theirs.external_id
        with pytest.raises(ConfigurationError, match="rest_forbidden_context"):
            await author.publish(piece("theirs", known=theirs))
    assert len(site.posts("About theirs")) == 1


async def test_brackets_and_blocks_in_a_text_are_text(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    html = (
        "<p>Write [gallery] or [audio src=x.mp3] and [shout]a[/shout].</p>"
        "<pre><code>[gallery ids=1]</code></pre>"
        '<!-- wp:shortcode -->[shout]b[/shout]<!-- /wp:shortcode --><p><a href="https://x.test/?a[]=1">l</a></p>'
    )
    shouts = "add_shortcode('shout', function ($a, $text) { return 'SHOUTED'; });"
    with blog.plugin(shouts):
        placed = await target.publish(piece("codes", fields={"html": html, "excerpt": "An [shout]x[/shout]"}))
        page = visit(placed.url).text
    raw = site.post(placed.external_id)["content"]["raw"]
    assert "SHOUTED" not in page
    assert "<audio" not in page
    for text in ("[gallery]", "[audio src=x.mp3]", "[shout]a[/shout]", "[gallery ids=1]"):
        assert text in page.replace("&#91;", "[").replace("&#091;", "[")
    assert "<!-- wp:" not in raw
    assert "[" not in raw


CLOSED_TO_GUESTS = """
add_filter('rest_authentication_errors', function ($result) {
    if ($result || is_user_logged_in()) return $result;
    return new WP_Error('rest_login_required', 'Only for users.', ['status' => 401]);
});
remove_action('template_redirect', 'rest_output_link_header', 11);
"""
COMING_SOON = """
add_action('template_redirect', function () {
    header_remove('Link'); status_header(503); echo '<html>Coming soon</html>'; exit;
}, 0);
"""
PLAIN = "add_filter('pre_option_permalink_structure', function () { return ''; });"


@pytest.mark.parametrize(
    "plugin",
    [CLOSED_TO_GUESTS, COMING_SOON + PLAIN, CLOSED_TO_GUESTS + COMING_SOON],
    ids=["users only", "coming soon, plain addresses", "both"],
)
async def test_the_api_is_found_behind_what_closes_the_site(blog: RunningWordPress, plugin: str) -> None:
    with blog.plugin(plugin):
        async with WordPress(settings(blog)) as target:
            await target.check()
        async with WordPress(settings(blog, password="abcd EFGH 1234 ijkl MNOP 5678")) as stranger:
            with pytest.raises(ConfigurationError, match="application password is wrong"):
                await stranger.check()


# Set-up --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"password": "abcd EFGH 1234 ijkl MNOP 5678"}, {"login": "nobody"}])
async def test_a_wrong_login_is_a_matter_of_set_up(blog: RunningWordPress, fields: dict[str, str]) -> None:
    async with WordPress(settings(blog, **fields)) as target:
        for call in (
            target.check(),
            target.find(piece("x")),
            target.publish(piece("x")),
            target.unpublish("1"),
        ):
            with pytest.raises(ConfigurationError, match="'blog'") as caught:
                await call
            assert "EFGH" not in str(caught.value)


STRIPS = "unset($_SERVER['PHP_AUTH_USER'], $_SERVER['PHP_AUTH_PW'], $_SERVER['HTTP_AUTHORIZATION']);"
PAGE = """
add_filter('rest_pre_dispatch', function () {
    header('Content-Type: text/html'); echo '<html>Please log in</html>'; exit;
});
"""
BLIND = "add_filter('posts_search', function ($where) { return $where ? ' AND 1=0' : $where; });"
NOT_FOR_EDITING = "add_filter('rest_prepare_post', function ($r) { $r->set_data(['id' => 1]); return $r; });"


@pytest.mark.parametrize(
    ("plugin", "message"), [(STRIPS, "Authorization header"), (PAGE, "a page instead of JSON")]
)
async def test_plugins_that_stand_in_the_way_are_named(
    blog: RunningWordPress, plugin: str, message: str
) -> None:
    with blog.plugin(plugin):
        async with WordPress(settings(blog)) as target:
            for call in (target.check(), target.find(piece("x")), target.publish(piece("x"))):
                with pytest.raises(ConfigurationError, match=message):
                    await call


async def test_a_site_that_shows_no_contents_gets_no_second_post(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    await target.publish(piece("hidden"))
    with blog.plugin(NOT_FOR_EDITING), pytest.raises(ConfigurationError, match="without content"):
        await target.publish(piece("hidden"))
    assert len(site.posts("hidden")) == 1


async def test_a_search_that_knows_no_comments_is_no_obstacle(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    with blog.plugin(BLIND):
        placed = await target.publish(piece("blind"))
        assert await target.find(piece("blind")) == placed
        assert await target.publish(piece("blind")) == placed
    assert len(site.posts("blind")) == 1


async def test_a_file_that_is_no_picture_is_the_pieces_fault(target: WordPress, site: Site) -> None:
    with pytest.raises(PermanentError, match="not allowed to upload"):
        await target.publish(piece("nopicture", pictures=[Picture(b"not a picture", "image/png", "x")]))
    assert site.posts("nopicture") == []


async def test_without_pretty_addresses_the_api_is_found_too(blog: RunningWordPress) -> None:
    plain = "add_filter('pre_option_permalink_structure', function () { return ''; });"
    with blog.plugin(plain):
        assert "rest_route" in visit(blog.url).headers["Link"]
        async with WordPress(settings(blog)) as target:
            await target.check()
            placed = await target.publish(piece("plain", pictures=[picture("plain")]))
            assert await target.find(piece("plain")) == placed


async def test_a_months_first_uploads_may_come_together(
    blog: RunningWordPress, target: WordPress, site: Site
) -> None:
    # WordPress fails the upload whose folder another one has just made: so does this plugin, once.
    fails_once = """
    add_filter('wp_handle_upload_prefilter', function ($file) {
        if (add_option('failed_once', 1)) { $file['error'] = 'Unable to create directory'; }
        return $file;
    });
    """
    with blog.plugin(fails_once):
        await target.publish(piece("month", pictures=[picture("month")]))
    (post,) = site.posts("month")
    assert [post["featured_media"]] == [medium["id"] for medium in site.media("month")]


UsesApi = Callable[[RunningWordPress], str]


@pytest.mark.parametrize(
    "root",
    [lambda blog: f"{blog.url}/wp-json", lambda blog: f"{blog.url}/?rest_route=/"],
    ids=["path", "route"],
)
async def test_the_api_can_be_named(blog: RunningWordPress, root: UsesApi) -> None:
    async with WordPress(settings(blog, extra={"rest_base": root(blog)})) as target:
        await target.check()
