"""The queue of what waits, what an editor compares and weighs, and the decisions, by API and page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pressroom.testing_flows import FakeTarget
from tests.support.control_things import add, furnish
from tests.support.control_world import Control
from tests.support.page_world import Browser, content_hash_in
from tests.support.world import World

pytestmark = pytest.mark.integration


def article(world: World, title: str, *, html: str = "<p>Text.</p>", words: int = 5, **columns: Any) -> str:
    """An article that waits. Returns its public id."""
    cluster = world.sql("SELECT id FROM clusters LIMIT 1")[0][0]
    own = {"site_id": world.site_id}
    idea = add(world, "ideas", cluster_id=cluster, title=title, normalized=title, type="guide", **own)
    task = add(world, "tasks", idea_id=idea, status="completed", **own)
    columns = {"meta_description": "", "status": "review", **columns}
    number = add(
        world, "contents", task_id=task, title=title, slug=title.lower(), html=html, excerpt="",
        word_count=words, model="m", **own, **columns,
    )  # fmt: skip
    return f"art_{number}"


def open_gate(world: World) -> None:
    """The furnished gate waits at its step, for somebody on Airflow's page."""
    world.sql("UPDATE flow_items SET step = 'look'")
    world.sql("UPDATE gates SET by = 'approval', subject = 'Is it good?'")


async def test_the_queue_has_everything_that_waits_for_a_person(control: Control) -> None:
    things = furnish(control.world)
    open_gate(control.world)
    queue = await control.get("/review")
    assert [each["kind"] for each in queue["entries"]] == ["publication", "gate", "post", "article"]
    assert [each["id"] for each in queue["entries"]] == [
        things["publication"], things["gate"], things["post"], things["article"],
    ]  # fmt: skip
    assert queue["waiting"] == 4
    assert {each["kind"]: each["waiting"] for each in queue["workflows"]} == {
        "site": 1, "mission": 2, "flow": 1,
    }  # fmt: skip
    only = await control.get("/review", flow=things["flow"])
    assert [each["kind"] for each in only["entries"]] == ["gate"]
    assert only["entries"][0]["workflow"] == "News"
    control.world.sql("DELETE FROM publications")
    control.world.sql("UPDATE contents SET status = 'approved'")
    assert [each["kind"] for each in (await control.get("/review"))["entries"]] == ["gate", "post"]
    assert (await control.get("/review", user="stella"))["entries"] == []


async def test_by_risk_the_weakest_piece_comes_first_and_a_score_bounds_what_is_listed(
    control: Control,
) -> None:
    furnish(control.world)
    control.world.sql("UPDATE contents SET status = 'archived'")
    control.world.sql("DELETE FROM publications")
    strong = article(control.world, "Strong", words=1200, meta_description="m" * 100)
    weak = article(control.world, "Weak", words=10)
    first = await control.get("/review")  # rated as it is looked at
    scores = {each["id"]: each["score"] for each in first["entries"]}
    assert scores[strong] == 100
    assert scores[weak] < 70
    by_risk = [each["id"] for each in (await control.get("/review"))["entries"] if each["kind"] == "article"]
    assert by_risk == [weak, strong]
    good = await control.get("/review", min_score=90)
    assert [each["id"] for each in good["entries"]] == [strong]
    newest = await control.get("/review", order="newest")
    assert [each["id"] for each in newest["entries"] if each["kind"] == "article"] == [weak, strong]


async def test_an_edit_shows_what_it_changed_of_the_generated_and_of_the_approved_text(
    control: Control,
) -> None:
    furnish(control.world)
    art = article(control.world, "Knives", html="<h2>Care</h2><p>Wash it by hand and dry it.</p><p>Last.</p>")
    assert await control.get(f"/content/{art}/difference") is None
    seen = (await control.get(f"/content/{art}"))["content_hash"]
    first = {
        "content_hash": seen, "html": "<h2>Care</h2><p>Wash it by machine and dry it.</p><p>Last.</p>",
    }  # fmt: skip
    edited = (await control("PATCH", f"/content/{art}", json=first, expect=200)).json()
    compared = await control.get(f"/content/{art}/difference")
    assert compared["changed"]
    [changed] = [block for block in compared["blocks"] if any(each["change"] != "same" for each in block)]
    assert [(each["change"], each["text"]) for each in changed] == [
        ("same", "Wash it by "), ("removed", "hand"), ("added", "machine"), ("same", " and dry it."),
    ]  # fmt: skip
    body = {"content_hash": edited["content_hash"]}
    await control("POST", f"/content/{art}/approve", user="ann", json=body, expect=200)
    approved = await control.get(f"/content/{art}/difference", to="approved")
    assert (approved["changed"], approved["by"]) == (False, "user:ann")
    second = {"content_hash": edited["content_hash"], "title": "Sharp knives"}
    await control("PATCH", f"/content/{art}", json=second, expect=200)
    approved = await control.get(f"/content/{art}/difference", to="approved")
    assert [each["text"] for each in approved["blocks"][0] if each["change"] == "added"] == ["Sharp knives"]
    generated = await control.get(f"/content/{art}/difference", to="generated")
    assert "hand" in str(generated["blocks"])


async def test_a_posts_edit_is_compared_too(control: Control) -> None:
    post = furnish(control.world)["post"]
    control.world.sql("DELETE FROM publications")
    control.world.sql("UPDATE posts SET format = 'post'")
    body = {"content_hash": "h", "parts": ["A sharper P"]}
    await control("PATCH", f"/content/{post}", json=body, expect=200)
    compared = await control.get(f"/content/{post}/difference")
    assert [(each["change"], each["text"]) for each in compared["blocks"][0]] == [
        ("added", "A sharper "), ("same", "P"),
    ]  # fmt: skip


async def test_facts_say_what_it_was_written_from_and_what_it_lacks(control: Control) -> None:
    things = furnish(control.world)
    control.world.sql(
        "UPDATE keywords SET cluster_id = (SELECT id FROM clusters), status = 'clustered', volume = 900"
    )
    art = article(control.world, "Knives")
    facts = await control.get(f"/content/{art}/facts")
    sources = {each["name"]: each["text"] for each in facts["sources"]}
    assert sources["Idea"] == "Knives"
    assert sources["Cluster's keywords"] == "K (900 a month)"
    assert {each["name"]: each["good"] for each in facts["checks"]}["Length"] is False
    assert facts["score"] < 100
    assert (await control.get(f"/content/{things['post']}/facts"))["score"] == 50


TARGET = "UPDATE sites SET definition = jsonb_set(definition, '{publish}', %s::jsonb)"


async def test_each_target_shows_what_it_would_be_sent(browser: Browser) -> None:
    control = browser.control
    furnish(control.world)
    control.world.sql(
        TARGET, '{"targets": [{"to": "webhook", "connection": "c"}, {"to": "x", "connection": "gone"}]}'
    )
    control.plane.targets["c/webhook"] = FakeTarget("webhook", "c")
    art = article(control.world, "Knives", html="<p>Wash it.</p>")
    sent, lost = await control.get(f"/content/{art}/targets")
    assert (sent["target"], sent["problem"]) == ("c/webhook", "")
    assert (sent["arguments"]["title"], sent["arguments"]["text"]) == ("Knives", "Wash it.")
    assert lost["problem"]
    assert lost["arguments"] == {}
    page = await browser.open(f"/review?piece={art}&look=0", "ann")
    assert f'src="/content/{art}/targets/0"' in page
    assert "As c/webhook would get it now" in await browser.open(f"/content/{art}/targets/0", "ann")
    assert "It would get nothing" in await browser.open(f"/content/{art}/targets/1", "ann")
    await browser.open(f"/content/{art}/targets/2", "ann", expect=404)


async def test_the_page_shows_the_difference_escaped_and_in_its_direction(browser: Browser) -> None:
    furnish(browser.control.world)
    hebrew = "\u05e9\u05dc\u05d5\u05dd"
    art = article(browser.control.world, "Knives", html=f"<p>{hebrew} old</p>")
    html = await browser.open(f"/review?piece={art}", "ann")
    seen = content_hash_in(html)
    text = f"<p>{hebrew} &lt;script&gt;new&lt;/script&gt;</p>"
    saved = await browser.send("/review", f"/review/{art}/edit", "ann", content_hash=seen, html=text)
    assert "Changes to the generated text" in saved
    assert '<p dir="auto">' in saved
    assert "<del>old</del><ins>&lt;script&gt;new&lt;/script&gt;</ins>" in saved
    assert "<script>new" not in saved


async def test_two_reviewers_do_not_decide_over_each_other(browser: Browser) -> None:
    furnish(browser.control.world)
    art = article(browser.control.world, "Knives")
    html = await browser.open(f"/review?piece={art}", "ann")
    seen = content_hash_in(html)
    decision: dict[str, Any] = {"content_hash": seen}
    assert "is approved" in await browser.send("/review", f"/review/{art}/approve", "olga", **decision)
    late = await browser.send(
        "/review", f"/review/{art}/reject", "ann", expect=409, reason="Dull.", **decision
    )
    assert "somebody has approved it meanwhile" in late
    assert "it is approved, by user:olga" in late
    again = await browser.send("/review", f"/review/{art}/approve", "ann", expect=409, **decision)
    assert "does not wait for review" in again
    assert art not in await browser.open("/review/list", "ann")
    other = article(browser.control.world, "Forks")
    stale = await browser.send(
        "/review", f"/review/{other}/reject", "ann", expect=409, reason="Dull.", content_hash="0" * 64
    )
    assert "has changed since it was read" in stale


async def test_a_gate_is_answered_in_the_queue_with_another_text(browser: Browser) -> None:
    control = browser.control
    things = furnish(control.world)
    open_gate(control.world)
    gate = things["gate"]
    html = await browser.open(f"/review?piece={gate}", "ann")
    assert "Is it good?" in html
    assert "Approve" not in await browser.open(f"/review?piece={gate}", "vera")
    path = f"/review/gates/{gate}/answer"
    await browser.send("/review", path, "ann", expect=422, decision="maybe")
    done = await browser.send("/review", path, "ann", decision="approve", text="Better.", shown="Good.")
    assert f"{gate}: approved" in done
    [(_, option, fields)] = control.plane.answered
    assert (option, fields) == ("Approve", {"text": "Better."})
    assert ("user:ann", "gate.answer", gate) in control.audit()


async def test_a_publication_is_settled_or_tried_again_in_the_queue(browser: Browser) -> None:
    control = browser.control
    things = furnish(control.world)
    publication = things["publication"]
    page = f"/review?piece={publication}"
    assert "Nobody could find out" in await browser.open(page, "ann")
    path = f"/review/publications/{publication}"
    refused = await browser.send(page, f"{path}/settle", "ann", expect=422, sent="yes")
    assert "say under which id" in refused
    done = await browser.send(page, f"{path}/settle", "ann", sent="yes", external_id="77")
    assert "is at the target" in done
    assert control.world.sql("SELECT status, external_id FROM publications") == [("accepted", "77")]
    late = await browser.send("/review", f"{path}/settle", "ann", expect=409, sent="no")
    assert 'class="notice bad"' in late
    control.world.sql("UPDATE publications SET status = 'failed', error = 'no'")
    refused = await browser.send(page, f"{path}/retry", "ann", expect=409, once="1")
    assert "approve it first" in refused


async def test_what_has_the_chosen_score_is_approved_together(browser: Browser) -> None:
    world = browser.control.world
    furnish(world)
    world.sql("UPDATE contents SET status = 'archived'")
    for number in range(3):
        article(world, f"Strong{number}", words=1200, meta_description="m" * 100)
    article(world, "Weak")
    await browser.open("/review", "ann")
    html = await browser.open("/review?least=90", "ann")
    ticked = re.findall(r'name="piece" value="(art_\d+:[0-9a-f]+)"', html)
    assert "Weak" not in html
    done = await browser.send("/review", "/review/approve", "ann", account="demo", piece=ticked, least="90")
    assert "3 pieces approved." in done
    assert world.sql("SELECT title FROM contents WHERE status = 'review'") == [("Weak",)]


async def test_a_link_is_made_shown_once_and_revoked_on_the_page(browser: Browser) -> None:
    world = browser.control.world
    furnish(world)
    made = await browser.send(
        "/review/links", "/review/links", "ann", account="demo", recipient="Kim", role="approver", days="7",
        of=f"queue:site_id={world.site_id}",
    )  # fmt: skip
    link = re.search(r'value="(http://pressroom/link#prl_[^"]+)"', made)
    assert link is not None
    again = await browser.open("/review/links", "ann")
    assert "prl_" not in again
    assert "Kim" in again
    [(number, kind, role)] = world.sql("SELECT id, kind, role FROM links WHERE recipient = 'Kim'")
    assert (kind, role) == ("site", "approver")
    gone = await browser.send("/review/links", f"/review/links/lnk_{number}/revoke", "ann")
    assert "opens nothing any more" in gone
    await browser.send(
        "/review", "/review/links", "ed", expect=403, account="demo", recipient="Kim", of="queue:"
    )
    said = await browser.send(
        "/review/links", "/review/links", "ann", expect=422, account="demo", recipient=" ", of="queue:"
    )
    assert "no link is made" in said
