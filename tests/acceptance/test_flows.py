"""Flows through a real Airflow: a real WordPress, strict Pinterest and X, and gates answered from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from pressroom.adapters.http.signing import sign
from pressroom.cli import app
from pressroom.domain.errors import PressroomError
from pressroom_dev.local.services import LocalServices
from tests.acceptance.desk import Desk, answer, as_stranger, forged, other_link, press
from tests.acceptance.outside import INBOUND_SECRET, Entry, Outside
from tests.support.scripted_openai import ScriptedOpenAI

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300), pytest.mark.site("pair-a", "pair-b")]

TITLE = {"find": "Title: <data>(.*?)</data>"}
LINK = {"find": "Link: <data>(.*?)</data>"}
ARTICLE = {"title": TITLE, "html": {**TITLE, "as": "<p>All about {}.</p>"}}
PIN = {"title": TITLE, "description": {**TITLE, "as": "Look: {}"}, "link": LINK}
POST = {"text": {"find": "(?s)Title: <data>(.*?)</data>", "as": "New: {}"}}

Readers = list[tuple[Desk, str]]
SHARED = [Entry("Shared roast"), Entry("Shared blend")]


def calls(*made: tuple[str, dict[str, Any]], match: str = "") -> dict[str, Any]:
    """A rule: the model calls these tools."""
    told = [{"name": name, "arguments": arguments} for name, arguments in made]
    return {"match": match, "action": "call", "calls": told}


WRITE = calls(("publish_blog", ARTICLE), match="Retell this as an article")
PIN_COPY = calls(("publish_pin", PIN), match="Make a pin")


@pytest.fixture(scope="module", autouse=True)
def readers(services: LocalServices, model: ScriptedOpenAI, outside: Outside) -> Iterator[Readers]:
    """Two flows with one feed and one target, and a run of each, begun at once.

    Before all tests: who comes second at the target may wait for a minute, and does so while others run.
    """
    with ExitStack() as stack:
        desks = [stack.enter_context(Desk(slug, services, model, outside)) for slug in ("pair-a", "pair-b")]
        feed(desks[0], *SHARED, name="pair")
        yield [(desk, desk.trigger()) for desk in desks]


@pytest.fixture
def blog(outside: Outside) -> Outside:
    """What is outside, with a real WordPress."""
    if outside.blog is None:
        pytest.skip(f"a real WordPress needs Debian's packages: {outside.lacks}")
    return outside


def feed(desk: Desk, *entries: Entry, name: str = "") -> None:
    desk.outside.web.feeds[name or desk.slug] = list(entries)


# The recommended patterns, as they are in examples/ ------------------------------------------------------


@pytest.mark.site("content-pinterest")
def test_an_article_and_the_pin_that_leads_to_it(desk: Desk, blog: Outside) -> None:
    feed(desk, Entry("Moka pots"))
    desk.rules(WRITE, PIN_COPY)
    run = desk.trigger()
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {"Moka pots": "done"}
    (post,) = blog.posts("Moka pots")
    assert post["status"] == "publish"
    assert post["featured_media"] > 0
    assert "All about Moka pots." in post["content"]["raw"]
    (pin,) = [pin for pin in blog.pinterest.pins if pin["title"] == "Moka pots"]
    assert pin["link"] == post["link"]
    assert pin["board_id"] == "11"
    assert [one["target"] for one in desk.packets("Moka pots", "published")] == [
        "pressroom_wordpress/wordpress", "pressroom_pinterest/pinterest",
    ]  # fmt: skip
    published = desk.sql("SELECT status FROM publications WHERE workflow_id = %(site)s")
    assert len(published) == 2
    assert {status for (status,) in published} <= {"accepted", "confirmed"}


@pytest.mark.site("content-review-pinterest")
def test_a_pin_waits_for_its_review_and_every_wrong_answer_is_refused(desk: Desk, blog: Outside) -> None:
    good, bad = "Scales for coffee", "Milk for coffee"
    feed(desk, Entry(good), Entry(bad))
    desk.rules(WRITE, PIN_COPY)
    run = desk.trigger()
    links = {title: desk.link(title, "answer") for title in (good, bad)}
    desk.until(lambda: desk.parked(run, **{good: "review", bad: "review"}), "both items to be parked")
    # The articles are out, somebody was told, and there is no pin.
    for title in links:
        (post,) = blog.posts(title)
        (ping,) = desk.told("ping", title)
        assert ping["message"] == f"{title} is on the blog: {post['link']}"
    assert not [pin for pin in blog.pinterest.pins if pin["title"] in links]

    other = desk.gate(bad)
    assert other
    assert answer(forged(links[good]), "approve").status_code == 404
    assert answer(other_link(links[good], other["id"]), "approve").status_code == 404
    person = links[good].replace("/gates/", "/approvals/")
    assert press(person, decision="approve").status_code == 404
    assert answer(links[good], "perhaps").status_code == 400
    assert [gate["outcome"] for title in links if (gate := desk.gate(title))] == [None, None]

    first = answer(links[good], "approve", reviewer="ann")
    assert (first.status_code, first.json()["outcome"]) == (200, "approve")
    again = answer(links[good], "reject")
    assert again.status_code == 409
    assert "answered already" in again.json()["detail"]
    desk.until(lambda: desk.items()[good] == "done", "the approved item")
    assert desk.items()[bad] == "active"
    assert answer(links[bad], "reject").status_code == 200
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {good: "done", bad: "rejected"}
    assert [pin["title"] for pin in blog.pinterest.pins if pin["title"] in links] == [good]
    assert desk.packets(good, "answer")[0] == {"outcome": "approve", "by": "a webhook", "reviewer": "ann"}


@pytest.mark.site("content-multi-platform")
def test_each_platform_gets_its_own_words(desk: Desk, blog: Outside) -> None:
    title = "Cold drip towers"
    feed(desk, Entry(title))
    post = calls(
        ("publish_post", {"text": {**LINK, "as": "One drop a second: {}"}}), match="Write a post for X"
    )
    desk.rules(WRITE, PIN_COPY, post)
    run = desk.trigger()
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {title: "done"}
    (article,) = blog.posts(title)
    assert [pin["link"] for pin in blog.pinterest.pins if pin["title"] == title] == [article["link"]]
    assert f"One drop a second: {article['link']}" in [post["written"] for post in blog.x.posts]


@pytest.mark.site("picture-route")
def test_one_ai_step_serves_three_publishers_and_a_route_decides_on_the_pin(
    desk: Desk, blog: Outside
) -> None:
    feed(desk, Entry("Kettle pictured", image=True), Entry("Kettle plain"), Entry("Kettle unfit"))
    every = (("publish_blog", ARTICLE), ("publish_pin", PIN), ("publish_post", POST))
    desk.rules(
        calls(("skip_item", {"reason": "no news in it"}), match="Kettle unfit"),
        calls(*every, match="Kettle"),
    )
    run = desk.trigger()
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {
        "Kettle pictured": "done", "Kettle plain": "done", "Kettle unfit": "agent_skipped",
    }  # fmt: skip
    assert sorted(post["title"]["raw"] for post in blog.posts("Kettle")) == [
        "Kettle pictured",
        "Kettle plain",
    ]
    assert sorted(
        post["written"] for post in blog.x.posts if "Kettle" in post["written"]
    ) == ["New: Kettle pictured", "New: Kettle plain"]  # fmt: skip
    assert [pin["title"] for pin in blog.pinterest.pins if "Kettle" in pin["title"]] == ["Kettle pictured"]
    assert desk.packets("Kettle unfit", "note") == [{"skipped": "no news in it"}]
    asked = [one for one in desk.model.script.journal if "Kettle pictured" in one["prompt"]]
    assert len(asked) == 1


# Gates ---------------------------------------------------------------------------------------------------


@pytest.mark.site("edited")
def test_a_person_edits_approves_and_rejects(desk: Desk) -> None:
    feed(desk, Entry("Edited note"), Entry("Linked note"), Entry("Refused note"))
    desk.rules(
        *(
            {"match": title, "action": "answer", "content": json.dumps({"text": f"The draft of {title}."})}
            for title in ("Edited note", "Linked note", "Refused note")
        )
    )
    run = desk.trigger()
    approve, reject = desk.link("Linked note", "approve"), desk.link("Refused note", "reject")
    desk.until(
        lambda: desk.parked(run, **{"Edited note": "look", "Linked note": "look", "Refused note": "look"}),
        "all items to be parked",
    )
    gate = desk.gate("Edited note")
    assert gate
    with as_stranger(desk) as stranger, pytest.raises(PressroomError, match="is not a respondent"):
        stranger.answer(gate["task"], "Approve", {"text": "What a stranger wrote instead."})
    desk.api.answer(gate["task"], "Approve", {"text": "What a person wrote instead."})

    # Programs that look at links decide nothing.
    assert httpx.get(approve, timeout=30).status_code == 200
    shown = press(approve)
    assert shown.status_code == 200
    assert "Is Linked note good?" in shown.text
    assert press(forged(approve)).status_code == 404
    assert press(forged(approve), decision="approve").status_code == 404
    linked = desk.gate("Linked note")
    assert linked
    assert linked["outcome"] is None
    assert desk.items()["Linked note"] == "active"

    assert press(approve, decision="approve").status_code == 200
    assert press(approve, decision="reject").status_code == 409
    assert press(reject, decision="reject").status_code == 200
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {"Edited note": "done", "Linked note": "done", "Refused note": "rejected"}
    edited = desk.page("What a person wrote instead.")
    assert edited
    assert "The draft of Edited note." not in edited
    assert desk.page("The draft of Linked note.")
    assert not desk.page("Refused note")
    assert press(approve, decision="reject").status_code == 409
    logs = [path.read_text("utf-8", "replace") for path in (desk.services.root / "logs").glob("*.log")]
    assert any("/pressroom/hooks/approvals/" in log for log in logs)
    assert not any(link.partition("#")[2] in log for link in (approve, reject) for log in logs)
    answered = desk.gate("Edited note")
    assert answered
    assert answered["by"] == desk.services.info.airflow_user


@pytest.mark.site("late")
def test_an_answer_after_the_time_changes_nothing(desk: Desk) -> None:
    feed(desk, Entry("Late note"))
    run = desk.trigger()
    link = desk.link("Late note", "answer")
    desk.until(
        lambda: desk.sql(
            "SELECT 1 FROM gates JOIN flow_items AS i ON i.id = item_id"
            " WHERE i.flow_id = %(site)s AND due_at < now()"
        ),
        "the gate's time to be over",
    )
    late = answer(link, "approve")
    assert late.status_code == 409, late.text
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {"Late note": "rejected"}
    gate = desk.gate("Late note")
    assert gate
    assert (gate["outcome"], gate["by"]) == ("reject", "the time")
    assert not desk.page("Late note")


@pytest.mark.site("restarted")
def test_gates_outlive_every_component_of_airflow(desk: Desk) -> None:
    feed(desk, Entry("For a service"), Entry("For a person"))
    run = desk.trigger()
    by_service, by_person = desk.link("For a service", "answer"), desk.link("For a person", "approve")
    parked = {"For a service": "service", "For a person": "person"}
    desk.until(lambda: desk.parked(run, **parked), "both items to be parked")
    desk.restart("scheduler", "triggerer", "api server")
    assert desk.parked(run, **parked)
    assert desk.items() == {"For a service": "active", "For a person": "active"}
    assert answer(by_service, "approve").status_code == 200
    assert answer(by_service, "approve").status_code == 409
    assert press(by_person, decision="approve").status_code == 200
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {"For a service": "done", "For a person": "done"}
    assert desk.run_status(run) == "completed"
    assert desk.page("For a service")
    assert desk.page("For a person")


# What a run needs, and what it does not ------------------------------------------------------------------


@pytest.mark.site("wordless")
def test_a_flow_without_an_ai_step_needs_no_model(desk: Desk) -> None:
    feed(desk, Entry("Without a model"))
    assert check(desk) == (0, ["flow/wordless: ready to run"])
    run = desk.trigger()
    assert answer(desk.link("Without a model", "answer"), "approve").status_code == 200
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {"Without a model": "done"}
    assert desk.page("Without a model")
    assert desk.model.script.journal == []


@pytest.mark.site("incomplete")
def test_all_that_is_missing_is_named_before_anything_is_fetched_or_spent(desk: Desk, blog: Outside) -> None:
    feed(desk, Entry("Never read"))
    code, lines = check(desk)
    assert code == 1
    assert [line.partition(": ")[0] for line in lines] == ["problem", "problem", "warning"]
    found = "\n".join(lines)
    assert "write: the Airflow connection 'pressroom_nowhere' does not exist: add it to" in found
    assert "blog: connection 'pressroom_wrong_password'" in found
    assert "tell: the Airflow connection 'pressroom_nobody' does not exist: add it to" in found

    run = desk.trigger()
    assert desk.finish(run) == "failed"
    [(status, error)] = desk.sql("SELECT status, error_message FROM runs WHERE workflow_id = %(site)s")
    assert status == "failed"
    for line in (line for line in lines if line.startswith("problem: ")):
        assert line.removeprefix("problem: ") in error.splitlines()
    assert [one["try_number"] for one in desk.api.task_instances(desk.dag_id, run)
            if one["task_id"] == "open_run"] == [1]  # fmt: skip
    assert desk.items() == {}
    assert desk.model.script.journal == []
    assert desk.sql("SELECT count(*) FROM ledger WHERE workflow_id = %(site)s") == [(0,)]


def check(desk: Desk) -> tuple[int, list[str]]:
    """(exit code, lines) of ``pressroom check`` on the flow, against the running services."""
    info = desk.services.info
    env = {
        "PRESSROOM_DATABASE_URL": info.database_url, "PRESSROOM_AIRFLOW_URL": info.airflow_url,
        "PRESSROOM_AIRFLOW_USER": info.airflow_user, "PRESSROOM_AIRFLOW_PASSWORD": info.airflow_password,
    }  # fmt: skip
    done = CliRunner().invoke(app, ["check", f"flow/{desk.slug}"], env=env)
    return done.exit_code, done.output.splitlines()


# Items go their own ways ---------------------------------------------------------------------------------


@pytest.mark.site("uneven")
def test_a_failure_a_skip_and_a_wait_hold_no_other_item_and_a_failed_one_is_cleared(desk: Desk) -> None:
    feed(desk, Entry("A broken one"), Entry("A slow one"), Entry("A quick one"), Entry("An unfit one"))
    good = calls(("publish_page", ARTICLE))
    desk.rules(
        {"match": "A broken one", "action": "status", "status": 400, "message": "no such luck"},
        calls(("skip_item", {"reason": "of no interest"}), match="An unfit one"),
        good,
    )
    run = desk.trigger()
    link = desk.link("A slow one", "answer")
    over = {"A broken one": "failed", "A slow one": "active", "A quick one": "done",
            "An unfit one": "agent_skipped"}  # fmt: skip
    desk.until(lambda: desk.items() == over, "all but the slow one to be through")
    assert desk.page("All about A quick one.")
    desk.until(lambda: desk.parked(run, **{"A slow one": "look"}), "the slow one alone to be left")

    # The failed one is cleared while the slow one still waits.
    desk.rules(good)
    index = desk.map_index("A broken one")
    assert desk.api.clear(desk.dag_id, run, [("item.write", index)]) > 0
    desk.until(lambda: desk.items()["A broken one"] == "done", "the cleared item")
    assert desk.page("All about A broken one.")
    assert desk.items()["A slow one"] == "active"
    assert answer(link, "approve").status_code == 200
    assert desk.finish(run) == "success", desk.events()[-8:]
    assert desk.items() == {**over, "A broken one": "done", "A slow one": "done"}
    assert len(desk.packets("A quick one", "published")) == 1
    assert desk.packets("An unfit one", "published") == []


def test_a_feed_is_published_once_however_often_and_by_whomever_it_is_read(
    readers: Readers, blog: Outside
) -> None:
    assert [desk.finish(run) for desk, run in readers] == ["success"] * 2
    assert [desk.run_status(run) for desk, run in readers] == ["completed"] * 2
    (one, _), (two, _) = readers
    assert one.items() == two.items() == {"Shared roast": "done", "Shared blend": "done"}
    assert sorted(post["title"]["raw"] for post in blog.posts("Shared")) == ["Shared blend", "Shared roast"]
    urls = [desk.packets("Shared roast", "published")[0]["url"] for desk in (one, two)]
    assert urls[0] == urls[1]

    # Once more with nothing new in the feed, and then with one new entry.
    assert one.finish(one.trigger()) == "success", one.events()[-8:]
    feed(one, *SHARED, Entry("Shared harvest"), name="pair")
    assert one.finish(one.trigger()) == "success", one.events()[-8:]
    assert one.sql("SELECT source ->> 'title' FROM flow_items WHERE flow_id = %(site)s ORDER BY 1") == [
        ("Shared blend",), ("Shared harvest",), ("Shared roast",),
    ]  # fmt: skip
    assert sorted(post["title"]["raw"] for post in blog.posts("Shared")) == [
        "Shared blend", "Shared harvest", "Shared roast",
    ]  # fmt: skip


@pytest.mark.site("inbound")
def test_a_signed_webhook_starts_one_run_and_only_one(desk: Desk) -> None:
    url = f"{desk.services.info.airflow_url}/pressroom/hooks/flows/inbound/inbound"
    body = json.dumps({"id": "order-7", "title": "Sent from outside", "text": "What was sent."}).encode()

    def send(secret: str = INBOUND_SECRET, at: float | None = None, to: str = url) -> httpx.Response:
        signed = sign("order-7", body, secret, at=at or time.time())
        return httpx.post(to, content=body, headers=signed, timeout=60)

    now = time.time()
    assert send("another secret").status_code == 401
    assert send(at=now - 400).status_code == 401
    assert httpx.post(url, content=body, timeout=30).status_code == 401
    assert send(to=url.replace("/inbound/inbound", "/pair-a")).status_code == 401
    assert desk.api.dag_runs(desk.dag_id) == []
    taken = send(at=now)
    assert taken.status_code == 202, taken.text
    assert send(at=now).status_code == 409
    assert desk.finish(taken.json()["run"]) == "success", desk.events()[-8:]
    assert [run["dag_run_id"] for run in desk.api.dag_runs(desk.dag_id)] == [taken.json()["run"]]
    assert desk.items() == {"Sent from outside": "done"}
    assert desk.page("What was sent.")
