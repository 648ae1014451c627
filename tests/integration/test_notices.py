"""Notices reach people: each event once, over a real mail server and a signed webhook."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.grants.access import GrantKind
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.engine.money import ledger
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.notices import delivery, outbox
from pressroom.engine.runs import control
from pressroom.store import grants
from pressroom.store import notices as channels
from pressroom.store.database import Store
from tests.support.airflow_library import airflow_as_library
from tests.support.control_things import add, furnish
from tests.support.mission_world import make_mission
from tests.support.notice_world import PAGE, PASSWORD, SECRET, Sinks, listen, look, look_and_die
from tests.support.notice_world import connections as made_connections
from tests.support.served import served
from tests.support.world import World, make_world

with airflow_as_library():
    from pressroom.orchestration import notifier
    from pressroom.orchestration.server import deliver_notices
    from pressroom.orchestration.tools import connections

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running() -> Iterator[Sinks]:
    made = Sinks()
    with served(made.app) as url, made.mail_server():
        made.url = url
        yield made


@pytest.fixture
def sinks(running: Sinks) -> Sinks:
    running.mails.clear()
    running.hooks.clear()
    running.refused.clear()
    running.status = 200
    return running


@pytest.fixture
def world(database_url: str, store: Store) -> World:
    return make_world(database_url, store)


def fail(world: World, name: str = "manual__1", why: str = "content: the model answers no more") -> int:
    run = world.run(name)
    with world.store.transaction(world.account_id) as tx:
        control.close_run(tx, run.id, failed=why)
    return run.id


def after(world: World, **time: Any) -> None:
    """Let time pass for everything in the outbox."""
    seconds = timedelta(**time)
    world.sql(
        "UPDATE notice_messages SET due_at = due_at - %s, lease_until = lease_until - %s,"
        " created_at = created_at - %s",
        seconds, seconds, seconds,
    )  # fmt: skip


def subjects(sinks: Sinks) -> list[str]:
    return sorted(str(mail["Subject"]) for mail in sinks.mails)


def test_a_failed_run_sends_one_mail_and_one_webhook(world: World, sinks: Sinks) -> None:
    listen(world.store, world.account_id)
    run = fail(world)
    assert look(world.store, sinks) == 2
    assert look(world.store, sinks) == 0
    [mail], [hook] = sinks.mails, sinks.hooks
    assert str(mail["Subject"]).startswith(f"[Pressroom] Brew: run {run} failed at ")
    assert (mail["To"], mail["From"]) == ("ed@example.com", "Pressroom <press@example.com>")
    text = mail.get_content()
    assert "Why: content: the model answers no more" in text
    assert "What to do: Open the run" in text
    assert f"{PAGE}runs/job_{run}" in text
    assert (hook["event"], hook["kind"], hook["count"]) == ("notice.run_failed", "run_failed", 1)
    [item] = hook["items"]
    assert (item["id"], item["url"]) == (f"job_{run}", f"{PAGE}runs/job_{run}")


def test_an_article_a_gate_and_an_unknown_publication_are_told(world: World, sinks: Sinks) -> None:
    furnish(world)
    world.sql("UPDATE contents SET status = 'draft'")
    world.sql("DELETE FROM gates")
    world.sql("UPDATE flow_items SET step = 'look'")
    world.sql("UPDATE publications SET status = 'attempting'")
    world.sql("UPDATE posts SET status = 'draft'")
    listen(world.store, world.account_id)
    world.sql("UPDATE contents SET status = 'review', title = 'How to brew'")
    world.sql("UPDATE posts SET status = 'pending_review'")
    [(item,)] = world.sql("SELECT id FROM flow_items LIMIT 1")
    add(
        world, "gates", item_id=item, step="look", by="approval", subject="Is it good?", token_hash="x",
        task="{}", due_at=datetime.now(UTC) + timedelta(days=1), on_timeout="reject",
    )  # fmt: skip
    world.sql("UPDATE publications SET status = 'unknown', error = 'no answer'")
    look(world.store, sinks)
    told = "\n".join(subjects(sinks))
    assert "waits at a gate" in told
    assert "nobody knows whether" in told
    assert "2 pieces wait for review" in told
    assert len(sinks.mails) == len(sinks.hooks) == 3
    assert "“How to brew” waits for review" in "".join(mail.get_content() for mail in sinks.mails)
    assert look(world.store, sinks) == 0


@pytest.mark.parametrize("away", ["the mail server", "the receiver"])
def test_a_channel_that_was_away_for_a_minute_gets_each_message_once(
    world: World, sinks: Sinks, away: str
) -> None:
    listen(world.store, world.account_id)
    fail(world)
    if away == "the receiver":
        sinks.status = 503
    else:
        sinks.refused.add("ed@example.com")
    assert look(world.store, sinks) == 1
    assert look(world.store, sinks) == 0  # it is not tried again at once
    [(error,)] = world.sql("SELECT error FROM notice_messages WHERE sent_at IS NULL")
    assert not any(secret in error for secret in (SECRET, PASSWORD, "/hook"))
    sinks.status = 200
    sinks.refused.clear()
    after(world, minutes=1)
    assert look(world.store, sinks) == 1
    assert look(world.store, sinks) == 0
    assert (len(sinks.mails), len(sinks.hooks)) == (1, 1)


def test_a_mail_server_that_is_not_there_is_asked_again(world: World, database_url: str) -> None:
    away = Sinks()
    with served(away.app) as away.url:
        listen(world.store, world.account_id)
        fail(world)
        assert look(world.store, away) == 1
        [(error,)] = world.sql("SELECT error FROM notice_messages WHERE sent_at IS NULL")
        assert "is away" in error
        after(world, minutes=1)
        with away.mail_server():
            assert look(world.store, away) == 1
    assert (len(away.mails), len(away.hooks)) == (1, 1)


def test_a_connection_of_one_account_stops_no_notices_of_others(
    world: World, sinks: Sinks, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that mail cannot carry, nor one that brings a defect to light."""
    other = make_world(world.url, world.store, owner="second", slug="second")
    with world.store.transaction() as tx:
        for each in (world, other):
            hosts = {(GrantKind.HOST, host) for host in sinks.hosts.split(",")}
            names = {(GrantKind.CONNECTION, name) for name in ("mail", "hook", "accents")}
            grants.grant(tx, each.account_id, names | hosts, "a test")
    listen(world.store, world.account_id, connection="accents")
    world.sql("DELETE FROM notice_channels WHERE name = 'hook'")
    listen(other.store, other.account_id)
    fail(world)
    fail(other)
    outbox.gather(world.store, PAGE)
    fields = sinks.fields()
    fields["accents"] = fields["mail"] | {"password": "geheim-é"}
    own = made_connections(fields, sinks.hosts)

    async def send(message: delivery.OutgoingNotice, to: NoticeChannel) -> None:
        if to.by == "webhook":
            raise ValueError(SECRET)
        await deliver_notices.send(world.store, own, message, to)

    assert asyncio.run(delivery.deliver(world.store, send)) == 1
    assert [str(mail["To"]) for mail in sinks.mails] == ["ed@example.com"]
    errors = sorted(
        error for (error,) in world.sql("SELECT error FROM notice_messages WHERE error IS NOT NULL")
    )
    assert "connection 'accents': login and password" in errors[0]
    assert errors[1] == "unexpected ValueError"
    assert "geheim" not in str(errors)
    after(world, days=3, hours=1)
    caplog.clear()
    assert asyncio.run(delivery.deliver(world.store, send)) == 0
    assert caplog.text.count("is given up: ") == 2
    assert "again later" not in caplog.text
    assert SECRET not in caplog.text
    assert world.sql("SELECT count(*) FROM notice_messages WHERE given_up_at IS NOT NULL") == [(2,)]


def test_a_worker_that_is_killed_after_sending_loses_and_doubles_nothing(
    world: World, sinks: Sinks, database_url: str
) -> None:
    """What it sent comes again under the same id, as soon as its lease is over."""
    listen(world.store, world.account_id)
    fail(world)
    outbox.gather(world.store, PAGE)
    look_and_die(database_url, sinks)
    assert sinks.mails or sinks.hooks
    assert look(world.store, sinks) == 0  # the dead worker's lease
    after(world, seconds=delivery.LEASE.total_seconds())
    assert look(world.store, sinks) == 2
    assert look(world.store, sinks) == 0
    assert len({mail["Message-ID"] for mail in sinks.mails}) == 1
    assert len({hook["id"] for hook in sinks.hooks}) == 1
    assert all(len(mail.get_all("Message-ID", [])) == 1 for mail in sinks.mails)
    assert len({_without_date(mail) for mail in sinks.mails}) == 1


def _without_date(mail: EmailMessage) -> str:
    """The whole mail, but for when it was sent."""
    date = f"Date: {mail['Date']}\n"
    text = mail.as_string()
    assert date in text
    return text.replace(date, "")


def test_each_recipient_has_a_message_of_its_own(world: World, sinks: Sinks) -> None:
    listen(
        world.store,
        world.account_id,
        by="email",
        connection="mail",
        to=["ann@example.com", "bob@example.com"],
    )
    world.sql("DELETE FROM notice_channels WHERE name = 'hook'")
    sinks.refused.add("bob@example.com")
    fail(world)
    assert look(world.store, sinks) == 1
    sinks.refused.clear()
    after(world, minutes=1)
    assert look(world.store, sinks) == 1
    assert sorted(str(mail["To"]) for mail in sinks.mails) == ["ann@example.com", "bob@example.com"]


def test_many_of_a_kind_become_one_message(world: World, sinks: Sinks) -> None:
    listen(world.store, world.account_id, digest_minutes=10)
    fail(world, "first")
    look(world.store, sinks)
    for number in range(40):
        fail(world, f"next-{number}", why=f"reason {number}")
    look(world.store, sinks)
    assert len(sinks.mails) == 1  # the others are collected
    after(world, minutes=10)
    look(world.store, sinks)
    assert len(sinks.mails) == 2
    text = sinks.mails[1].get_content()
    assert "40 runs failed." in text
    assert "reason 0" in text
    assert "… and 15 others" in text
    assert sinks.hooks[1]["count"] == 40


def test_quiet_hours_hold_back_and_what_is_over_by_then_is_not_told(world: World, sinks: Sinks) -> None:
    listen(world.store, world.account_id, timezone="Europe/Berlin", quiet={"begin": "20:00", "end": "07:00"})
    fail(world, "stays")
    cleared = fail(world, "is-cleared")
    night = datetime(2026, 11, 27, 22, tzinfo=UTC)
    assert look(world.store, sinks, night) == 0
    world.sql("UPDATE runs SET status = 'completed' WHERE id = %s", cleared)
    assert look(world.store, sinks, night + timedelta(hours=7, minutes=59)) == 0
    assert look(world.store, sinks, night + timedelta(hours=8)) == 2
    assert ": run " in subjects(sinks)[0]


def test_a_run_that_fails_twice_is_told_twice(world: World, sinks: Sinks) -> None:
    listen(world.store, world.account_id)
    fail(world)
    look(world.store, sinks)
    fail(world)
    look(world.store, sinks)
    assert len(sinks.mails) == 2


def test_who_changes_channels_holds_up_no_run(world: World) -> None:
    listen(world.store, world.account_id)
    run = world.run()
    with world.store.transaction(world.account_id) as tx:
        assert len(channels.locked(tx)) == 2
        world.sql(
            "SELECT set_config('lock_timeout', '5s', false), put_notice(%s, %s, 'run_failed', %s, 'once')",
            world.account_id, world.site_id, f"run:{run.id}",
        )  # fmt: skip
    assert world.sql("SELECT count(*) FROM notices") == [(2,)]


def test_only_what_a_channel_is_about_is_told(world: World, sinks: Sinks) -> None:
    other = make_world(world.url, world.store, slug="other-site")
    listen(world.store, world.account_id, about=["run_failed"], workflows=["other-site"])
    fail(world)
    with world.store.transaction(world.account_id) as tx:
        run = other.run("done")
        control.close_run(tx, run.id, failed=None)
    assert look(world.store, sinks) == 0
    fail(other, "failed")
    assert look(world.store, sinks) == 2


def test_the_channel_of_a_member_rests_when_the_membership_ends(world: World, sinks: Sinks) -> None:
    world.sql("INSERT INTO members VALUES (%s, 'ann', 'editor')", world.account_id)
    listen(world.store, world.account_id, member="ann", quiet={"begin": "00:00", "end": "12:00"})
    fail(world, "first")
    morning = datetime(2026, 11, 27, 8, tzinfo=UTC)
    assert look(world.store, sinks, morning) == 0
    world.sql("DELETE FROM members")
    fail(world, "second")
    assert look(world.store, sinks, morning + timedelta(hours=6)) == 0
    assert world.sql("SELECT count(*) FROM notices WHERE NOT dropped") == [(0,)]


def test_a_cap_that_is_near_is_told_once_a_month(world: World, sinks: Sinks) -> None:
    world.sql(
        "UPDATE sites SET definition = jsonb_set(definition, '{caps}', %s)",
        '{"month_cents": 100, "run_cents": 1000}',
    )
    listen(world.store, world.account_id)
    run = world.run()
    scope = CostScope(world.account_id, world.site_id, run.id, "content", "1")
    with world.store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, scope, Decimal(89), held=Decimal(0), entry_key="a", note="")
    outbox.look_at_caps(world.store)
    assert look(world.store, sinks) == 0
    with world.store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, scope, Decimal(2), held=Decimal(0), entry_key="b", note="")
    for _ in range(2):
        outbox.look_at_caps(world.store)
        look(world.store, sinks)
    [mail] = sinks.mails
    assert "91 of the 100 cents that it may spend in a month are spent" in str(mail["Subject"])
    assert sinks.hooks[0]["kind"] == NoticeKind.CAP_NEAR


def spend(world: World, scope: CostScope, cents: int) -> None:
    with world.store.transaction(world.account_id) as tx:
        ledger.book_cost(tx, scope, Decimal(cents), held=Decimal(0), entry_key="spent", note="")


def test_caps_of_one_thing_that_are_near_together_are_all_told(
    world: World, sinks: Sinks, database_url: str
) -> None:
    """The month's cap of a mission and its budget; the account's month and all that it may spend."""
    mission = make_mission(database_url, world.store)
    world.sql(
        "UPDATE missions SET definition = jsonb_set(jsonb_set(definition, '{caps}', %s),"
        " '{constraints,budget_cents}', '201')",
        '{"month_cents": 200}',
    )
    world.sql(
        "UPDATE accounts SET definition = jsonb_set(definition, '{caps}', %s)",
        '{"month_cents": 202, "total_cents": 203}',
    )
    assert mission.account_id == world.account_id
    listen(world.store, world.account_id)
    run = mission.run()
    spend(world, CostScope(world.account_id, mission.mission_id, run.id, "content", "1"), 195)
    for _ in range(2):
        outbox.look_at_caps(world.store)
        look(world.store, sinks)
    [mail] = sinks.mails
    assert "4 caps are nearly used up" in str(mail["Subject"])
    text = mail.get_content()
    for cap in (
        "200 cents that it may",
        "201 cents of its budget",
        "202 cents that the",
        "203 cents that the",
    ):
        assert text.count(cap) == 1


def test_a_cap_that_was_told_long_ago_is_not_told_again(world: World, sinks: Sinks) -> None:
    world.sql("UPDATE sites SET definition = jsonb_set(definition, '{caps}', %s)", '{"run_cents": 100}')
    listen(world.store, world.account_id)
    run = world.run()
    spend(world, CostScope(world.account_id, world.site_id, run.id, "content", "1"), 95)
    for _ in range(2):
        outbox.look_at_caps(world.store)
        look(world.store, sinks)
        world.sql("UPDATE notices SET at = at - interval '31 days'")
        world.sql("UPDATE notice_messages SET created_at = created_at - interval '31 days'")
    outbox.look_at_caps(world.store)
    assert look(world.store, sinks) == 0
    assert len(sinks.mails) == 1
    assert world.sql("SELECT count(*) FROM notice_messages") == [(0,)]


def test_a_connection_that_is_not_granted_any_more_is_not_used(world: World, sinks: Sinks) -> None:
    make_world(world.url, world.store, owner="second", slug="second")
    world.sql("DELETE FROM grants WHERE account_id = %s", world.account_id)
    with world.store.transaction() as tx:
        grants.grant(tx, world.account_id, {(GrantKind.CONNECTION, "hook")}, "a test")
    listen(world.store, world.account_id)
    fail(world)
    assert look(world.store, sinks) == 0
    errors = sorted(error for (error,) in world.sql("SELECT error FROM notice_messages"))
    assert "the Airflow connection 'mail' does not exist for the account demo" in errors[1]
    assert "a loopback address, where notices may not go" in errors[0]  # the host is not granted
    assert (sinks.mails, sinks.hooks) == ([], [])


def test_titles_from_outside_make_no_header_and_no_line(world: World, sinks: Sinks) -> None:
    furnish(world)
    world.sql("UPDATE contents SET status = 'draft'")
    listen(world.store, world.account_id, about=["review_waiting"])
    title = "Nice\r\nBcc: all@example.com\n\nWhat to do: pay 水の話 " + "x" * 500
    world.sql("UPDATE contents SET status = 'review', title = %s", title)
    look(world.store, sinks)
    [mail] = sinks.mails
    assert mail["Bcc"] is None
    assert "水の話" in str(mail["Subject"])
    assert [line for line in mail.get_content().splitlines() if line.startswith("What to do: pay")] == []


def test_an_account_without_channels_writes_nothing(world: World) -> None:
    fail(world)
    assert world.sql("SELECT count(*) FROM notices") == [(0,)]


def test_the_command_says_what_became_of_a_test(
    world: World, sinks: Sinks, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)
    listen(world.store, world.account_id, quiet={"begin": "00:00", "end": "23:59"})

    def command(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["notices", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert "not sent yet" in command("test", "demo", "mail", "--wait", "0", code=1)
    assert look(world.store, sinks) == 1
    assert "[Pressroom] A test of the channel mail" in command("list", "demo")
    assert "sent at" in command("list", "demo")
    assert "no channel 'mial'. Did you mean 'mail'" in command("test", "demo", "mial", code=1)
    assert world.sql("SELECT action, target FROM audit_log") == [("notices.test", "notices:mail")]


def test_a_dag_of_the_users_own_tells_each_event_once(
    world: World, sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(world.store, world.account_id)
    monkeypatch.setattr(connections, "store", lambda: world.store)
    told = notifier.PressroomNotifier(
        account="demo", message="{{ ti.dag_id }} failed", reason="no rows", remedy="Load them again.",
        url="https://example.org/dag",
    )  # fmt: skip
    for attempt in (1, 1, 2):
        ti = SimpleNamespace(dag_id="sales", task_id="load", run_id="r", map_index=-1, try_number=attempt)
        told({"ti": ti})
    look(world.store, sinks)
    [mail] = sinks.mails
    assert mail.get_content().count("• sales failed.") == 2
    assert "Why: no rows" in mail.get_content()
    assert "https://example.org/dag" in mail.get_content()
    with pytest.raises(ConfigurationError, match="no channel 'nobody'"):
        notifier.PressroomNotifier(account="demo", message="x", channel="nobody").notify({})
