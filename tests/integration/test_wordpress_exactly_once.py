"""200 articles for a real WordPress, and a worker that is killed again and again: each there exactly once.

The site prints notices at each stage of saving, and its page builder takes the marks out of what it is given.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pressroom.adapters.storage.media import MediaFiles
from pressroom.pipelines.site import approval
from pressroom.pipelines.site.publish import pending
from pressroom.store.database import Store
from pressroom.testing import PIXEL
from tests.support.press import add_articles
from tests.support.press_process import facts_of
from tests.support.wordpress import RunningWordPress
from tests.support.world import World, make_world

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
ARTICLES = 200
KILLS = 8
STARTS = 30
SECONDS = 420.0

PLUGINS = """
foreach (['save_post', 'transition_post_status', 'rest_after_insert_post', 'add_attachment'] as $hook) {
    add_action($hook, function () { echo "<br />\\n<b>Warning</b>:  Undefined array key [1]<br />\\n"; });
}
add_filter('wp_insert_post_data', function ($data) {
    if ($data['post_type'] === 'post') {
        $data['post_content'] = '<div class="b">' . wp_strip_all_tags($data['post_content']) . '</div>';
    }
    return $data;
});
"""


class Workers:
    """Starts one worker after another. Each one's standard error is kept in case it has something to say."""

    def __init__(self, world: World, facts: str, log: Path) -> None:
        self._world, self._facts, self._log = world, facts, log
        self.started = 0

    @contextmanager
    def one(self) -> Iterator[subprocess.Popen[bytes]]:
        self.started += 1
        assert self.started <= STARTS, self._log.read_text("utf-8")[-3000:]
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.support.press_process", self._world.url, self._facts],
                cwd=ROOT,
                env={"PYTHONPATH": f"{ROOT}:{ROOT / 'include'}", "PATH": "/usr/bin:/bin"},
                stderr=log,
            )
            try:
                yield worker
            finally:
                worker.kill()
                worker.wait()

    def counts(self) -> Counter[str]:
        rows = self._world.sql("SELECT status, count(*) FROM publications GROUP BY status")
        return Counter(dict(rows))


@pytest.fixture(autouse=True)
def _plugins(blog: RunningWordPress) -> Iterator[None]:
    with blog.plugin(PLUGINS):
        yield


@pytest.mark.timeout(SECONDS + 120)
def test_each_article_is_there_once_with_its_picture_however_often_the_worker_dies(
    blog: RunningWordPress, database_url: str, store: Store, tmp_path: Path
) -> None:
    world = make_world(database_url, store, publish={"targets": [{"to": "wordpress"}]})
    media = MediaFiles(tmp_path / "media")
    ids = add_articles(world, ARTICLES, images=[(media.put(PIXEL, "image/png"), "a cup of tea")])
    with store.transaction(world.account_id) as tx:
        for one in approval.articles(tx, world.site_id):
            approval.approve(tx, world.site_id, one.id, one.content_hash, "Ada")
    run = world.run("publish__1", exclusive=False)
    facts = facts_of(
        run, tmp_path / "media", {"host": blog.url, "login": blog.user, "password": blog.password}
    )
    workers = Workers(world, facts, tmp_path / "workers.log")
    deadline = time.monotonic() + SECONDS
    chance = random.Random(4)
    in_the_middle = 0
    for _ in range(KILLS):
        with workers.one() as worker:
            enough = workers.counts()["accepted"] + chance.randint(1, ARTICLES // (KILLS + 2))
            while worker.poll() is None and workers.counts()["accepted"] < enough:
                assert time.monotonic() < deadline, workers.counts()
                time.sleep(0.05)
            time.sleep(chance.random() * 0.5)
            worker.kill()
        in_the_middle += workers.counts()["attempting"] > 0
    assert in_the_middle >= KILLS // 2, "the worker was hardly ever killed while it published"

    while workers.counts()["accepted"] < ARTICLES:
        with workers.one() as worker:
            worker.wait(max(1.0, deadline - time.monotonic()))
        # What a worker that died held is free again after a while.
        time.sleep(1)

    with store.transaction(world.account_id) as tx:
        assert pending(tx, run) == []
        assert [one.id for one in approval.articles(tx, world.site_id, "published")] == ids
    assert workers.counts() == {"accepted": ARTICLES}
    posts, pictures = _all(blog, "posts"), _all(blog, "media")
    titles = [f"Article {number:04}" for number in range(1, ARTICLES + 1)]
    assert sorted((post["title"]["raw"], post["status"]) for post in posts) == [
        (title, "publish") for title in titles
    ]
    assert all("More of it." in post["content"]["raw"] for post in posts)
    assert sorted(post["featured_media"] for post in posts) == sorted(picture["id"] for picture in pictures)
    assert {picture["post"]: picture["id"] for picture in pictures} == {
        post["id"]: post["featured_media"] for post in posts
    }
    assert {picture["alt_text"] for picture in pictures} == {"a cup of tea"}
    ledger = world.sql("SELECT external_id FROM publications")
    assert sorted(int(id) for (id,) in ledger) == sorted(post["id"] for post in posts)


def _all(blog: RunningWordPress, kind: str) -> list[dict[str, Any]]:
    """All posts of any status but the one that WordPress brings along, or all media."""
    status = {"status": "publish,future,draft,pending,private"} if kind == "posts" else {}
    found: list[dict[str, Any]] = []
    with httpx.Client(auth=(blog.user, blog.password), timeout=60) as http:
        for page in range(1, 10):
            answer = http.get(
                f"{blog.url}/wp-json/wp/v2/{kind}",
                # By date, posts of one second may change places between two pages.
                params={"context": "edit", "per_page": "100", "page": str(page), "orderby": "id", **status},
            )
            answer.raise_for_status()
            found += answer.json()
            if page >= int(answer.headers["X-WP-TotalPages"]):
                break
    return [one for one in found if kind == "media" or one["slug"] != "hello-world"]
