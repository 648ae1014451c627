"""Publications over the API: lists, what an operator settles, and what is tried again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError, TransientError
from pressroom.pipelines.mission import publish as posts_publish
from pressroom.pipelines.site import publish as articles_publish
from pressroom.pipelines.site.approval import terms_of
from pressroom.store.workflows import workflow
from pressroom.testing_flows import FakeTarget
from tests.support.content_world import TARGET, in_thread, mission_of, with_targets
from tests.support.control_world import Control
from tests.support.mission_world import START, MissionWorld
from tests.support.posts import add_posts
from tests.support.press import add_articles

pytestmark = pytest.mark.integration

HASH = "as-approved"


def add(
    control: Control,
    content: str,
    status: str,
    *,
    target: str = TARGET,
    workflow: int | None = None,
    claimed: str = "0 s",
    other: bool = False,
) -> str:
    """A publication, and the run that tried. Returns its public id."""  # fmt: skip
    world = control.other if other else control.world
    of = workflow or world.site_id
    [(run,)] = world.sql(
        "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until, status,"
        " completed_at) SELECT %s, %s, 'd', 'r' || count(*), 'manual', 'o', now(), 'completed', now()"
        " FROM runs RETURNING id",
        world.account_id, of,
    )  # fmt: skip
    there = status in ("accepted", "confirmed")
    [(number,)] = world.sql(
        "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status, content_hash,"
        " scheduled_for, external_id, claim, claimed_until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, '2026-03-02T09:00Z', %s, 'c', now() + %s::interval)"
        " RETURNING id",
        world.account_id, of, run, content, target, status, HASH, f"x-{content}" if there else None, claimed,
    )  # fmt: skip
    return f"pub_{number}"


def approved(control: Control, number: int = 1) -> list[int]:
    """Articles that are approved as they are."""
    ids = add_articles(control.world, number, status="approved")
    terms = json.dumps(terms_of(_row(control).run().site))
    control.world.sql(
        "UPDATE contents SET content_hash = %s, approved_hash = %s, approved_terms = %s", HASH, HASH, terms
    )
    return ids


def give_up(control: Control, workflow: int, item: str) -> None:
    control.world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, attempts, error_class, error,"
        " run_id) VALUES (%s, %s, 'publish', %s, 3, 'E', 'e', 1)", control.world.account_id, workflow, item,
    )  # fmt: skip


def posted(control: Control, *, status: str = "failed") -> tuple[MissionWorld, Any, int, str]:
    """A mission, its run, which is over, a post that was approved, and what became of it."""
    world = mission_of(control)
    run = world.run()
    world.cycle(run)
    (post,) = add_posts(world, run, [START + timedelta(hours=9)])
    world.close(run)
    name = add(control, f"post:{post}", status, target="c/twitter", workflow=world.mission_id)
    if status == "failed":
        world.sql("UPDATE posts SET status = 'failed'")
    return world, run, post, name


# Lists ------------------------------------------------------------------------------------------------


async def test_publications_are_listed_newest_first_and_by_what_is_asked_for(control: Control) -> None:
    world = mission_of(control)
    made = [
        add(control, "article:1", "failed"),
        add(control, "article:1", "accepted", target="mirror/static_site"),
        add(control, "post:7", "unknown", workflow=world.mission_id),
        add(control, "source:abc", "failed"),
    ]
    add(control, "article:1", "failed", other=True)

    async def found(**params: Any) -> list[str]:
        ids: list[str] = []
        while True:
            page = await control.get("/publications", limit=1, **params)
            ids += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                return ids
            params["cursor"] = page["next_cursor"]

    first, second, third, fourth = made
    assert await found() == [fourth, third, second, first]
    assert await found(status="failed") == [fourth, first]
    assert await found(site=control.world.site_id) == [fourth, second, first]
    assert await found(site=control.world.site_id, status="accepted") == [second]
    assert await found(mission=f"msn_{world.mission_id}") == [third]
    assert await found(flow="flw_999") == []
    assert await found(content="art_1") == [second, first]
    assert await found(content="art_1", status="failed") == [first]
    assert await found(content="cnt_7", mission=f"msn_{world.mission_id}") == [third]
    assert await found(content="cnt_7", site=control.world.site_id) == []
    assert await found(content="nonsense") == []
    assert await found(site=control.other.site_id) == []
    assert (await control.get("/publications", user="nobody"))["items"] == []
    await control("GET", "/publications", params={"status": "lost"}, expect=422)
    await control("GET", "/publications", params={"cursor": "x"}, expect=422)
    await control("GET", "/publications", params={"site": 1, "mission": "msn_1"}, expect=422)


async def test_a_publication_says_what_is_where(control: Control) -> None:
    world = mission_of(control)
    article = await control.get(f"/publications/{add(control, 'article:5', 'accepted')}")
    assert (article["kind"], article["content"], article["target"]) == ("article", "art_5", TARGET)
    assert (article["site_id"], article["mission_id"], article["flow_id"]) == (
        control.world.site_id, None, None,
    )  # fmt: skip
    assert (article["status"], article["external_id"], article["job"]) == ("accepted", "x-article:5", "job_1")
    post = await control.get(f"/publications/{add(control, 'post:7', 'failed', workflow=world.mission_id)}")
    assert (post["kind"], post["content"], post["mission_id"]) == ("post", "cnt_7", f"msn_{world.mission_id}")
    item = await control.get(f"/publications/{add(control, 'source:ab:2', 'failed')}")
    assert (item["kind"], item["content"]) == ("item", "source:ab:2")


async def test_another_accounts_publication_does_not_exist(control: Control) -> None:
    theirs = add(control, "article:1", "unknown", other=True)
    for method, path, body in (
        ("GET", "", None), ("POST", "/settle", {"sent": False}), ("POST", "/retry", None),
        ("POST", "/unpublish", None),
    ):  # fmt: skip
        await control(method, f"/publications/{theirs}{path}", user="ann", json=body, expect=404)
        await control(method, f"/publications/pub_99{path}", user="ann", json=body, expect=404)


# Taking back ------------------------------------------------------------------------------------------


async def test_a_publication_is_taken_back_once(control: Control) -> None:
    blog = FakeTarget("blogs", "c")
    control.plane.targets["c/blogs"] = blog
    name = add(control, "source:abc", "accepted", target="c/blogs")
    for _ in range(2):
        found = (await control("POST", f"/publications/{name}/unpublish", user="ann", expect=200)).json()
        assert (found["status"], found["kind"]) == ("withdrawn", "item")
    assert control.audit() == [("user:ann", "publication.unpublish", "publication:1")] * 2


async def test_what_cannot_be_taken_back_says_so(control: Control) -> None:
    planned, post = add(control, "article:1", "planned"), add(control, "post:1", "accepted")
    for name, words in ((planned, "nothing to take back"), (post, "roll its job back")):
        answer = await control("POST", f"/publications/{name}/unpublish", user="ann", expect=409)
        assert words in answer.json()["detail"]
    lost = add(control, "article:2", "accepted")
    answer = await control("POST", f"/publications/{lost}/unpublish", user="ann", expect=409)
    assert "does not exist" in answer.json()["detail"]
    await control("POST", f"/publications/{lost}/unpublish", user="ed", expect=403)


# Settling ---------------------------------------------------------------------------------------------


async def test_what_nobody_knows_is_settled(control: Control) -> None:
    sent, not_sent = add(control, "article:1", "unknown"), add(control, "article:2", "attempting")
    body: dict[str, Any] = {"sent": True, "external_id": "42"}
    found = (await control("POST", f"/publications/{sent}/settle", user="ann", json=body, expect=200)).json()
    assert (found["status"], found["external_id"]) == ("accepted", "42")
    again = await control("POST", f"/publications/{sent}/settle", user="ann", json=body, expect=409)
    assert "nothing to settle" in again.json()["detail"]
    body = {"sent": False}
    found = (
        await control("POST", f"/publications/{not_sent}/settle", user="ann", json=body, expect=200)
    ).json()
    assert (found["status"], found["external_id"]) == ("planned", None)
    assert control.audit() == [
        ("user:ann", "publication.settle", "publication:1"),
        ("user:ann", "publication.settle", "publication:2"),
    ]


async def test_a_settled_post_is_scheduled(control: Control) -> None:
    world, _, _, name = await in_thread(lambda: posted(control, status="unknown"))
    body = {"sent": True, "external_id": "42"}
    await control("POST", f"/publications/{name}/settle", user="ann", json=body, expect=200)
    assert world.sql("SELECT status FROM posts") == [("scheduled",)]


async def test_what_a_worker_is_at_and_an_id_of_another_are_not_settled(control: Control) -> None:
    busy = add(control, "article:1", "attempting", claimed="1 min")
    body = {"sent": True, "external_id": "x-article:3"}
    answer = await control("POST", f"/publications/{busy}/settle", user="ann", json=body, expect=409)
    assert "a worker is at" in answer.json()["detail"]
    add(control, "article:3", "accepted")
    twin = add(control, "article:2", "unknown")
    answer = await control("POST", f"/publications/{twin}/settle", user="ann", json=body, expect=409)
    assert "article:3" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sent": True},
        {"sent": True, "external_id": ""},
        {"sent": True, "external_id": "x" * 501},
        {"sent": False, "external_id": "1"},
        {"sent": "?"},
        {"sent": False, "why": "x"},
    ],
)
async def test_a_settlement_that_says_too_little_is_refused(control: Control, body: dict[str, Any]) -> None:
    name = add(control, "article:1", "unknown")
    await control("POST", f"/publications/{name}/settle", user="ann", json=body, expect=422)


async def test_an_approver_settles_and_retries(control: Control) -> None:
    name = add(control, "article:1", "unknown")
    await control("POST", f"/publications/{name}/settle", user="ed", json={"sent": False}, expect=403)
    await control("POST", f"/publications/{name}/retry", user="ed", expect=403)


# Articles tried again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "planned", "unknown", "attempting"])
async def test_an_article_is_tried_again_in_a_new_job(control: Control, status: str) -> None:
    with_targets(control)
    (number,) = approved(control)
    name = add(control, f"article:{number}", status)
    give_up(control, control.world.site_id, f"{number}:{TARGET}")
    give_up(control, control.world.site_id, f"{number}:another")
    found = (await control("POST", f"/publications/{name}/retry", user="ann", expect=202)).json()
    assert (found["id"], found["status"]) == (name, status)
    [(dag, dag_run, conf)] = control.plane.triggered
    assert (dag, conf) == ("site__brew__publish", {})
    rows = control.world.sql("SELECT id, dag_run_id, status FROM runs WHERE dag_id = 'site__brew__publish'")
    assert rows == [(int(found["job"].removeprefix("job_")), dag_run, "running")]
    assert control.world.sql("SELECT item FROM item_failures") == [(f"{number}:another",)]
    # And it is among what that job will plan.
    site = await in_thread(lambda: _row(control))
    with control.world.store.transaction(control.world.account_id) as tx:
        assert list(articles_publish.pending(tx, site.run(rows[0][0]))) == [[number, 0]]
    assert control.audit()[0] == ("user:ann", "publication.retry", f"publication:{name.removeprefix('pub_')}")


def _row(control: Control) -> Any:
    with control.plane.kept.transaction() as tx:
        return workflow(tx, "site/brew")


async def test_the_same_key_starts_one_job(control: Control) -> None:
    with_targets(control)
    (number,) = approved(control)
    name = add(control, f"article:{number}", "failed")
    headers = {"Idempotency-Key": "k"}
    path = f"/publications/{name}/retry"
    first = await control("POST", path, user="ann", headers=headers, expect=202)
    again = await control("POST", path, user="ann", headers=headers, expect=202)
    assert first.json() == again.json()
    assert len(control.plane.triggered) == 1


async def test_a_job_that_is_about_to_begin_takes_it_up(control: Control) -> None:
    with_targets(control)
    first, second = approved(control, 2)
    names = [add(control, f"article:{number}", "failed") for number in (first, second)]
    job = (await control("POST", f"/publications/{names[0]}/retry", user="ann", expect=202)).json()["job"]
    found = (await control("POST", f"/publications/{names[1]}/retry", user="ann", expect=202)).json()
    assert (found["job"], found["detail"]) == (job, "the job is about to begin, and publishes it")
    assert len(control.plane.triggered) == 1
    # One that has planned already does not: what it works on is settled.
    control.world.sql(
        "INSERT INTO stage_results (account_id, run_id, stage) VALUES (%s, %s, 'publish')",
        control.world.account_id, int(job.removeprefix("job_")),
    )  # fmt: skip
    found = (await control("POST", f"/publications/{names[1]}/retry", user="ann", expect=202)).json()
    assert found["job"] != job
    assert len(control.plane.triggered) == 2


@pytest.mark.parametrize(("error", "status"), [(TransientError("away"), 503), (PermanentError("no"), 409)])
async def test_a_job_that_airflow_does_not_take_is_over(
    control: Control, error: Exception, status: int
) -> None:
    with_targets(control)
    (number,) = approved(control)
    name = add(control, f"article:{number}", "failed")
    control.plane.error = error
    await control("POST", f"/publications/{name}/retry", user="ann", expect=status)
    assert control.world.sql("SELECT status FROM runs WHERE dag_id LIKE '%%publish'") == [("failed",)]
    control.plane.error = None
    await control("POST", f"/publications/{name}/retry", user="ann", expect=202)


@pytest.mark.parametrize(
    ("status", "said"),
    [("accepted", "nothing to try again"), ("confirmed", "nothing to try again"), ("withdrawn", "withdrawn")],
)
async def test_what_is_there_or_was_taken_back_is_not_tried_again(
    control: Control, status: str, said: str
) -> None:
    with_targets(control)
    (number,) = approved(control)
    name = add(control, f"article:{number}", status)
    answer = await control("POST", f"/publications/{name}/retry", user="ann", expect=409)
    assert said in answer.json()["detail"]
    assert control.plane.triggered == []


async def test_what_cannot_be_published_is_not_tried_again(control: Control) -> None:
    (number,) = approved(control)
    name = add(control, f"article:{number}", "failed")
    path = f"/publications/{name}/retry"
    assert "no longer publishes to" in (await control("POST", path, user="ann", expect=409)).json()["detail"]
    with_targets(control)
    control.world.sql("UPDATE sites SET status = 'disabled'")
    assert "activate" in (await control("POST", path, user="ann", expect=409)).json()["detail"]
    control.world.sql("UPDATE sites SET status = 'active'")
    control.world.sql("UPDATE contents SET approved_hash = 'another'")
    assert "approved as it is now" in (await control("POST", path, user="ann", expect=409)).json()["detail"]
    control.world.sql("UPDATE contents SET status = 'archived', approved_hash = %s", HASH)
    assert "is archived" in (await control("POST", path, user="ann", expect=409)).json()["detail"]
    busy = add(control, f"article:{number}", "attempting", target="b/b", claimed="1 min")
    answer = await control("POST", f"/publications/{busy}/retry", user="ann", expect=409)
    assert "a worker is at" in answer.json()["detail"]
    assert control.plane.triggered == []


async def test_a_flows_next_run_takes_up_what_failed(control: Control) -> None:
    name = add(control, "source:abc", "failed")
    answer = await control("POST", f"/publications/{name}/retry", user="ann", expect=409)
    assert "the flow's next run" in answer.json()["detail"]


# Posts tried again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "planned", "unknown"])
async def test_a_post_is_tried_again_in_its_job(control: Control, status: str) -> None:
    world, run, post, name = await in_thread(lambda: posted(control, status=status))
    give_up(control, world.mission_id, str(post))
    found = (await control("POST", f"/publications/{name}/retry", user="ann", expect=202)).json()
    assert (found["job"], found["detail"]) == (f"job_{run.id}", "the job runs again from its stage publish")
    assert control.plane.cleared == [("mission__launch", "manual__1", ["publish.plan"])]
    assert world.sql("SELECT status FROM runs WHERE id = %s", run.id) == [("running",)]
    assert world.sql("SELECT status FROM posts") == [("approved",)]
    assert world.pending(posts_publish.STAGE, run) == [post]


@pytest.mark.parametrize("lease", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_post_of_a_live_job_is_not_tried_again(control: Control, lease: timedelta) -> None:
    """Airflow has its DAG run, whether or not it was heard of."""
    world, run, _, name = await in_thread(lambda: posted(control))
    control.plane.living.add("manual__1")
    world.sql(
        "UPDATE runs SET status = 'running', current_stage = 'analytics',"
        " lease_until = now() + %s WHERE id = %s",
        lease, run.id,
    )  # fmt: skip
    answer = await control("POST", f"/publications/{name}/retry", user="ann", expect=409)
    assert f"run {run.id} of this mission is running at its stage analytics" in answer.json()["detail"]
    assert "wait for its end" in answer.json()["detail"]
    assert world.sql("SELECT status FROM posts") == [("failed",)]
    assert control.plane.cleared == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE posts SET approved_hash = NULL", "approved as it is now"),
        ("UPDATE posts SET status = 'rejected'", "is rejected"),
        ("UPDATE cycles SET measured_at = now()", "is over"),
        ("UPDATE cycles SET withdrawn_at = now()", "is over"),
    ],
)
async def test_a_post_that_cannot_be_published_is_not_tried_again(
    control: Control, change: str, said: str
) -> None:
    world, _, _, name = await in_thread(lambda: posted(control))
    world.sql(change)
    answer = await control("POST", f"/publications/{name}/retry", user="ann", expect=409)
    assert said in answer.json()["detail"]
    assert control.plane.cleared == []
