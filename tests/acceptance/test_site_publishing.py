"""From review to the targets through a real Airflow: decided by people, and without them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.pipelines.site import approval
from tests.acceptance.newsroom import Newsroom
from tests.acceptance.outside import Outside

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


def pressroom(newsroom: Newsroom, *words: str) -> str:
    """What a command prints, as it is run next to this Airflow."""
    info = newsroom.services.info
    env = {
        "PRESSROOM_DATABASE_URL": info.database_url,
        "PRESSROOM_AIRFLOW_URL": info.airflow_url,
        "PRESSROOM_AIRFLOW_USER": info.airflow_user,
        "PRESSROOM_AIRFLOW_PASSWORD": info.airflow_password,
    }
    result = CliRunner().invoke(app, list(words), env=env)
    assert result.exit_code == 0, result.output
    return result.output


def pages(newsroom: Newsroom) -> dict[str, str]:
    """Title to address of the site's articles on the static site."""
    found = newsroom.sql(
        "SELECT c.title, p.public_url FROM publications p JOIN contents c ON p.content = 'article:' || c.id"
        " WHERE p.workflow_id = %(site)s AND p.target = 'pressroom_static_site/static_site'"
        " AND p.status IN ('accepted', 'confirmed')"
    )
    return dict(found)


@pytest.mark.site("decided")
def test_approved_articles_reach_each_target_once_and_an_edit_changes_them_in_place(
    newsroom: Newsroom, outside: Outside
) -> None:
    if outside.blog is None:
        pytest.skip(f"a real WordPress needs Debian's packages: {outside.lacks}")
    newsroom.queue("Tamping for the decided", "Grinding for the decided")
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success", newsroom.events()
    assert newsroom.state_of(run, "approved") == ["skipped"]
    assert newsroom.count("contents", "status = 'review'") == 2
    (rejected, _), (kept, headline) = newsroom.sql(
        "SELECT id, title FROM contents WHERE site_id = %(site)s ORDER BY id"
    )
    assert not outside.posts(headline)
    pressroom(newsroom, "reject-article", "decided", str(rejected), "--reason", "too dry")

    assert "publishing starts" in pressroom(newsroom, "approve-article", "decided", str(kept))
    newsroom.until(lambda: newsroom.count("contents", "status = 'published'") == 1, "the article to be out")
    assert newsroom.count("contents", "status = 'rejected'") == 1
    planned = "SELECT planned FROM stage_results WHERE account_id = %(account)s AND stage = 'publish'"
    assert newsroom.sql(planned) == [(2,)]  # one article, two targets
    (post,) = outside.posts(headline)
    assert post["status"] == "publish"
    assert post["featured_media"] > 0

    # Approved anew after an edit: the same post, the same page.
    with newsroom.store.transaction(newsroom.row.account_id) as tx:
        title = "A second thought for the decided"
        approval.edit(tx, newsroom.row.workflow_id, kept, by="me", title=title)
    pressroom(newsroom, "approve-article", "decided", "--all")
    newsroom.until(lambda: newsroom.count("contents", "status = 'published'") == 1, "the edit to be out")
    assert [changed["id"] for changed in outside.posts(title)] == [post["id"]]
    assert not outside.posts(headline)
    assert list(pages(newsroom)) == [title]
    assert newsroom.sql(
        "SELECT count(*), count(DISTINCT target) FROM publications WHERE workflow_id = %(site)s"
    ) == [(2, 2)]


@pytest.mark.site("unattended")
def test_with_auto_publish_a_run_has_its_articles_published_by_itself(newsroom: Newsroom) -> None:
    newsroom.queue("Nobody looks at one", "Nobody looks at two")
    run = newsroom.trigger()
    assert newsroom.finish(run) == "success", newsroom.events()
    assert newsroom.state_of(run, "approved") == ["success"]
    newsroom.until(lambda: newsroom.count("contents", "status = 'published'") == 2, "the articles to be out")
    out = pages(newsroom)
    assert len(out) == 2
    for title, address in out.items():
        page = Path(address.removeprefix("file://"))
        assert title in page.read_text(encoding="utf-8"), address
