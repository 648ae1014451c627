"""What is approved is what is sent: whatever decides it is bound, and a later change voids the approval."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pressroom.adapters.targets.registry import HANDLERS, _module, refused_settings
from pressroom.definitions import applying
from pressroom.domain.definitions import Site, dump
from pressroom.domain.errors import ApprovalVoid
from pressroom.domain.flows import Flow, GateStep
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import Approval
from pressroom.engine import gates
from pressroom.pipelines.mission import publish as mission_publish
from pressroom.pipelines.mission import review
from pressroom.pipelines.site import approval
from pressroom.pipelines.site.publish import pending
from pressroom.store.database import Store
from pressroom.testing import FixedClock
from tests.integration.test_site_publish import BLOG, MIRROR, TARGETS, Press
from tests.support.control_world import Control
from tests.support.definition_bodies import FLOW, SITE, problems
from tests.support.flow_world import AUTO, FETCH, entries, make_flow
from tests.support.mission_world import START, make_mission
from tests.support.posts import FlakyNetworks, Newsdesk, add_posts
from tests.support.world import make_world

pytestmark = pytest.mark.integration

SETTABLE = {"categories", "board", "network", "timezone"}
GATE = {"name": "look", "type": "gate", "by": "webhook"}
TASK = {"dag_id": "flow__news", "run_id": "manual__1", "task_id": "item.look", "map_index": 0}


# Settings hold only what the content has not ------------------------------------------------------------


@pytest.mark.parametrize("handler", HANDLERS)
def test_no_target_lets_its_settings_replace_the_content(handler: str) -> None:
    fields = set(_module(handler).Target.arguments.model_fields)
    refused = {name for name, _ in refused_settings(handler, fields)}
    assert fields - refused <= SETTABLE
    assert {"title", "html", "text", "slug", "excerpt", "tags", "thread", "link"} & fields <= refused


@pytest.mark.parametrize("name", ["title", "html", "slug", "excerpt", "meta_description", "tags", "pictures"])
async def test_settings_that_replace_the_article_are_refused_by_name(control: Control, name: str) -> None:
    target = {"to": "static_site", "settings": {"categories": ["Tea"], name: "The editor's"}}
    wrong = await problems(control, "POST", "/sites", {**SITE, "publish": {"targets": [target]}})
    assert list(wrong) == [f"body.publish.targets.0.settings.{name}"]
    step = {"name": "blog", "type": "publish", "mode": "auto", **target}
    wrong = await problems(control, "POST", "/flows", {**FLOW, "steps": [*FLOW["steps"], step]})
    assert list(wrong) == [f"body.steps.2.settings.{name}"]


# Sites --------------------------------------------------------------------------------------------------


@pytest.fixture
def press(database_url: str, store: Store, tmp_path: Path) -> Press:
    return Press(make_world(database_url, store, publish={"targets": TARGETS}), tmp_path)


def apply(press: Press, **changes: Any) -> None:
    """Save the site with these changes, as every door does."""
    site = Site.model_validate({**dump(press.world.site), **changes})
    with press.world.store.transaction(press.world.account_id) as tx:
        applying.write(tx, site)
    press.world.site = site


def other_settings(press: Press) -> None:
    apply(press, publish={"targets": [TARGETS[0] | {"settings": {"categories": ["Ads"]}}, TARGETS[1]]})


def another_target(press: Press) -> None:
    apply(press, publish={"targets": [*TARGETS, {"to": "static_site", "connection": "third"}]})


def another_link(press: Press) -> None:
    apply(press, url="https://elsewhere.test")


def another_language(press: Press) -> None:
    apply(press, language="de")


@pytest.mark.parametrize("change", [other_settings, another_target, another_link, another_language])
async def test_a_change_of_what_targets_get_voids_the_approval(press: Press, change: Any) -> None:
    (id,) = press.articles()
    press.approve(id)
    change(press)
    now = press.read(id)
    assert (now.status, now.approved_by, now.approved_hash) == ("review", None, None)
    assert now.review_note.startswith("the approval by Ada is void, because the site was changed: ")
    await press.publish()
    assert press.ledger() == []
    press.approve(id)
    assert press.waiting()


async def test_what_decides_nothing_voids_nothing(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    apply(press, name="Renamed", caps={"run_cents": 5})
    assert press.read(id).status == "approved"


async def test_a_target_that_is_taken_out_leaves_the_approval_for_the_others(press: Press) -> None:
    (id,) = press.articles()
    press.approve(id)
    apply(press, publish={"targets": [TARGETS[0]]})
    assert press.read(id).status == "approved"
    await press.publish()
    assert press.read(id).status == "published"
    assert (len(press.targets[BLOG].sent), len(press.targets[MIRROR].sent)) == (1, 0)


async def test_where_nobody_has_to_approve_the_approval_follows_the_site(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    publish = {"targets": TARGETS, "auto_publish": True}
    press = Press(make_world(database_url, store, publish=publish), tmp_path)
    (id,) = press.articles()
    with store.transaction(press.world.account_id) as tx:
        seen = approval.article(tx, press.world.site_id, id).content_hash
        approval.approve(tx, press.world.site_id, id, seen, approval.AUTO)
    apply(press, language="de")
    assert press.read(id).status == "approved"
    assert press.waiting()
    apply(press, language="fr", publish={"targets": TARGETS})
    assert press.read(id).status == "review"


async def test_a_run_that_began_before_the_change_sends_nothing_of_it(press: Press) -> None:
    (id,) = press.articles()
    before = press.open()
    apply(press, language="de")
    press.approve(id)
    with press.world.store.transaction(press.world.account_id) as tx:
        assert list(pending(tx, before)) == []
        assert press.read(id).status == "approved"
    assert press.waiting()  # of a run that begins now


# Missions -----------------------------------------------------------------------------------------------


class Desk(Newsdesk):
    """One approved post of a mission that wants approval."""

    run: Any
    networks: FlakyNetworks
    clock: FixedClock


def test_a_post_that_would_go_elsewhere_waits_for_review_again(database_url: str, store: Store) -> None:
    world = make_mission(database_url, store, constraints={"require_approval": True})
    clock = FixedClock(START)
    desk = Desk(world, FlakyNetworks(clock), clock)
    desk.run = world.run()
    world.cycle(desk.run)
    [post] = add_posts(
        world, desk.run, [START + timedelta(hours=9)], status="pending_review", approved_hash=None
    )
    seen = world.tx(lambda tx: review.get_post(tx, world.mission_id, post)).content_hash
    world.tx(lambda tx: review.approve(tx, world.mission_id, post, seen, "ann"))
    elsewhere = Mission.model_validate({**dump(world.mission), "connection": "the-editors-own"})
    world.mission = elsewhere
    desk.run = world.run()  # cleared, it goes by what is defined now
    report = asyncio.run(desk.work(desk.run))
    assert (report.done, report.failed) == (0, 1)
    assert desk.networks.submitted == []
    now = world.tx(lambda tx: review.get_post(tx, world.mission_id, post))
    assert (now.status, now.approved_by) == ("pending_review", None)
    assert "has changed since it was approved (connection): review it again" in now.review_note
    with store.transaction(world.account_id) as tx:
        assert mission_publish.STAGE.waits_for
        assert mission_publish.STAGE.waits_for(tx, desk.run) is not None


# Flows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        ([FETCH, GATE, AUTO], True),
        ([FETCH, GATE | {"subject": "Another question"}, AUTO], True),
        ([FETCH, GATE, AUTO | {"settings": {"board": "Ads"}}], False),
        ([FETCH, GATE, AUTO | {"connection": "the-editors-own"}], False),
        ([FETCH, GATE, {"name": "write", "type": "ai", "prompt": "Sell it."}, AUTO], False),
        ([FETCH, AUTO], False),
    ],
)
@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_what_a_gate_let_through_is_what_a_run_sends_that_is_opened_again(
    database_url: str, store: Store, steps: list[dict[str, Any]], sent: bool, on_failure: str
) -> None:
    first = [FETCH, GATE, AUTO | {"on_failure": on_failure}]
    world = make_flow(database_url, store, *first)
    world.sources = entries("one")
    run = world.run()
    [item] = world.take(run)
    gate = world.flow.steps[1]
    assert isinstance(gate, GateStep)
    with store.transaction(world.account_id) as tx:
        gates.open_gate(tx, run, item, gate, "Is it good?", TASK)
        opened = gates.gate_of(tx, item, "look")
        gates.answer(tx, opened.id, "approve", "ann", actor="user:ann")
        at = world.at(run, "look", item)
        assert at is not None
        gates.apply_outcome(tx, run, at, gate, gates.gate_of(tx, item, "look"))
    world.sql("UPDATE runs SET status = 'failed'")
    changed = [step | ({"on_failure": on_failure} if step["name"] == "blog" else {}) for step in steps]
    world.flow = Flow.model_validate({**dump(world.flow), "steps": changed})
    again = world.run()
    world.step(again, "blog", item)
    assert bool(sum(target.calls for target in world.targets.values())) is sent
    assert world.state(item)[0] == ("done" if sent else "failed")


# The one path -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approved", "sending", "named"),
    [
        ({}, {"post": "a"}, "post"),
        ({"settings": {"board": "1"}}, {"settings": {"board": 1}}, "settings.board"),
        ({"steps": [{"a": True}]}, {"steps": [{"a": 1}]}, "steps"),
        ({"post": "a", "connection": "x"}, {"post": "a"}, "connection"),
    ],
)
def test_an_approval_holds_for_the_same_only(
    approved: dict[str, Any], sending: dict[str, Any], named: str
) -> None:
    Approval(sending, sending).must_hold("x/y")
    with pytest.raises(ApprovalVoid, match=rf"what x/y would get .*\({named}\): review it again"):
        Approval(approved, sending).must_hold("x/y")


def test_a_migration_keeps_approvals_for_the_site_as_it_is(press: Press, database_url: str) -> None:
    (id,) = press.articles()
    press.approve(id)
    kept = press.read(id).approved_terms
    text = (Path(approval.__file__).parents[2] / "store/migrations/0022_approved_terms.sql").read_text(
        "utf-8"
    )
    update = text[text.index("UPDATE contents") : text.index("-- connection, timezone")]
    press.world.sql("UPDATE contents SET approved_terms = NULL")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(update.encode())
    assert press.read(id).approved_terms == kept
