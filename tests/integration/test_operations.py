"""Operations: what the API says of each workflow of an account."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pressroom.engine.operations import operations
from tests.support.control_things import furnish
from tests.support.control_world import Control


def by_kind(listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in listed}


async def test_each_workflow_says_what_it_does_and_what_waits(control: Control) -> None:
    things = furnish(control.world)
    listed = by_kind(await control.get("/operations"))
    assert set(listed) == {"site", "mission", "flow"}
    site = listed["site"]
    assert site["site_id"] == control.world.site_id
    assert site["live_run"] == things["run"]
    assert (site["state"], site["waiting"], site["next_run_at"]) == ("pending", 1, None)
    assert listed["mission"]["mission_id"] == things["mission"]
    assert listed["flow"]["flow_id"] == things["flow"]
    assert await control.get("/operations", user="nobody") == []
    assert [each["account"] for each in await control.get("/operations", user="stella")] == ["other"]


async def test_the_next_run_is_that_of_the_schedule(control: Control) -> None:
    control.world.sql(
        "UPDATE automation_configs SET enabled = true, timezone = 'Europe/Berlin', scheduled_time = '06:30'"
    )
    with control.world.store.transaction(control.world.account_id) as tx:
        [site] = operations(tx, datetime(2026, 1, 10, 12, tzinfo=UTC))
    assert site.next_run_at == datetime(2026, 1, 11, 5, 30, tzinfo=UTC)
    assert site.timezone == "Europe/Berlin"
    control.world.sql("UPDATE sites SET status = 'disabled'")
    [disabled] = await control.get("/operations")
    assert (disabled["next_run_at"], disabled["state"]) == (None, "disabled")


async def test_a_schedule_that_cannot_be_read_hides_no_workflow(control: Control) -> None:
    control.world.sql("UPDATE automation_configs SET enabled = true, timezone = 'Mars/Base'")
    [site] = await control.get("/operations")
    assert (site["slug"], site["next_run_at"]) == (control.world.site.slug, None)


async def test_what_went_wrong_is_said_with_its_remedy(control: Control) -> None:
    world = control.world
    run = int(furnish(world)["run"].removeprefix("job_"))
    world.sql(
        "UPDATE runs SET status = 'failed', completed_at = now(), error_message = 'no key' WHERE id = %s", run
    )
    world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', '1', 'X', 'why', %s)", world.account_id, world.site_id, run,
    )  # fmt: skip
    world.sql(
        "UPDATE sites SET definition = definition || jsonb_build_object('caps',"
        " jsonb_build_object('month_cents', 100)) WHERE id = %s", world.site_id,
    )  # fmt: skip
    world.sql(
        "INSERT INTO ledger (account_id, kind, cents, workflow_id, entry_key)"
        " VALUES (%s, 'cost', 95, %s, 'k')", world.account_id, world.site_id,
    )  # fmt: skip
    site = by_kind(await control.get("/operations"))["site"]
    assert (site["last_status"], site["failed_items"]) == ("failed", 1)
    assert (site["month_cents"], site["month_cap"]) == (95, 100)
    texts = {alert["text"]: alert for alert in site["alerts"]}
    assert "the last run failed: no key" in texts
    assert "failed items: 1" in texts
    assert texts["95 of the month's 100 cents are spent"]["level"] == "warning"
    assert all(alert["remedy"] for alert in site["alerts"])


async def test_a_mark_changes_with_events_and_decisions(control: Control) -> None:
    world = control.world
    run = int(furnish(world)["run"].removeprefix("job_"))

    def marks() -> tuple[str, str]:
        with world.store.transaction(world.account_id) as tx:
            return tx.value("account_mark"), tx.value("workflow_mark", workflow=world.site_id)

    first = marks()
    assert marks() == first
    world.sql("UPDATE runs SET last_event = last_event + 1 WHERE id = %s", run)
    second = marks()
    assert second[0] != first[0]
    assert second[1] != first[1]
    await control("POST", f"/pipeline/jobs/job_{run}/pause", expect=200)
    third = marks()
    assert third[0] != second[0]
    assert third[1] != second[1]
