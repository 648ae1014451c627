"""Missions over the API: created, changed, and led from draft to completed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import Located
from pressroom.domain.missions import Mission
from tests.support.control_world import Control

MISSION: dict[str, Any] = {
    "slug": "launch", "name": "Launch", "objectives": ["be known"], "platforms": ["twitter", "linkedin"],
    "constraints": {"require_approval": True},
}  # fmt: skip


class Campaign:
    """A mission of the account demo, and what can be done with it."""

    def __init__(self, control: Control, made: dict[str, Any]) -> None:
        self.control, self.made = control, made
        self.id: str = made["id"]
        self.number = int(self.id.removeprefix("msn_"))

    async def get(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.control.get(f"/missions/{self.id}")
        return found

    async def do(self, action: str, expect: int = 200, user: str = "ed") -> dict[str, Any]:
        path = f"/missions/{self.id}/{action}"
        found: dict[str, Any] = (await self.control("POST", path, user=user, expect=expect)).json()
        return found

    async def patch(self, expect: int = 200, **patch: Any) -> dict[str, Any]:
        answer = await self.control("PATCH", f"/missions/{self.id}", json=patch, expect=expect)
        found: dict[str, Any] = answer.json()
        return found

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.control.world.sql(statement, *values)

    def run(self, status: str = "running") -> int:
        [(number,)] = self.sql(
            "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until,"
            " status) VALUES (%s, %s, 'mission__launch', gen_random_uuid(), 'manual', 'tester', now(), %s)"
            " RETURNING id",
            self.control.world.account_id, self.number, status,
        )  # fmt: skip
        return int(number)


Make = Callable[..., Awaitable[Campaign]]


@pytest.fixture
def campaign(control: Control) -> Make:
    async def make(**changes: Any) -> Campaign:
        answer = await control("POST", "/missions", json={**MISSION, **changes}, expect=201)
        assert answer.headers["Location"] == f"/missions/{answer.json()['id']}"
        return Campaign(control, answer.json())

    return make


async def test_a_created_mission_is_a_draft(campaign: Make) -> None:
    one = await campaign(constraints={"require_approval": True, "budget_cents": 5000})
    assert one.id.startswith("msn_")
    assert await one.get() == one.made
    varying = ("id", "definition", "updated_at", "version")
    facts = {key: one.made[key] for key in one.made if key not in varying}
    assert facts == {
        "slug": "launch", "status": "draft", "dag_id": "mission__launch", "live": False, "note": None,
        "started_at": None, "completed_at": None, "completed_why": None, "spent_cents": 0.0, "cycles": 0,
    }  # fmt: skip
    assert one.made["definition"]["constraints"]["budget_cents"] == "5000"
    assert one.made["definition"]["cycle_days"] == 7


async def test_a_mission_tells_what_it_cost_and_how_far_it_is(campaign: Make, control: Control) -> None:
    one = await campaign(status="active")
    account = control.world.account_id
    for number in (1, 2, 3):
        one.sql(
            "INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at,"
            " context, withdrawn_at)"
            " VALUES (%s, %s, %s, %s, now(), now() + interval '7 days', now(), '{}', %s)",
            account, one.number, one.run("completed"), number, "2026-01-01" if number == 3 else None,
        )  # fmt: skip
    for key, kind, cents in (("a", "cost", 1.25), ("b", "cost", 2), ("c", "adjustment", 50)):
        one.sql(
            "INSERT INTO ledger (account_id, kind, cents, workflow_id, entry_key)"
            " VALUES (%s, %s, %s, %s, %s)",
            account, kind, cents, one.number, key,
        )  # fmt: skip
    one.sql("UPDATE missions SET started_at = '2026-01-05T09:00Z' WHERE id = %s", one.number)
    found = await one.get()
    assert (found["spent_cents"], found["cycles"]) == (3.25, 2)
    assert found["started_at"].startswith("2026-01-05T09:00:00")
    assert (await control.get("/missions"))["items"] == [found]


async def test_missions_are_listed_by_status_in_pages(campaign: Make, control: Control) -> None:
    made = [(await campaign(slug=f"m{number}", status="paused")).id for number in range(3)]
    await campaign(slug="other")
    page = await control.get("/missions", status="paused", limit=2)
    assert [one["id"] for one in page["items"]] == [made[2], made[1]]
    page = await control.get("/missions", status="paused", limit=2, cursor=page["next_cursor"])
    assert ([one["id"] for one in page["items"]], page["next_cursor"]) == ([made[0]], None)
    await control.get("/missions", expect=422, status="over")


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"platforms": ["twiter"]}, "body.platforms.0", "'twiter' is not possible. Did you mean 'twitter'?"),
        ({"objectives": []}, "body.objectives", "List should have at least 1 item"),
        ({"starts_at": "2026-01-01T00:00:00"}, "body", "starts_at: needs an offset"),
        ({"ends_at": "2026-01-01T00:00:00Z"}, "body", "ends_at: needs a starts_at"),
        ({"brand": "main"}, "body.brand", "the account 'demo' has no brand context 'main'"),
        ({"sources": [{"title": "x", "url": "ftp://x"}]}, "body.sources.0.url", "String should match"),
    ],
)
async def test_a_problem_names_its_field(
    campaign: Make, control: Control, change: dict[str, Any], field: str, detail: str
) -> None:
    refused = await control("POST", "/missions", json={**MISSION, **change}, expect=422)
    [error] = refused.json()["errors"]
    assert error["field"] == field
    assert error["detail"].startswith(detail)
    one = await campaign()
    assert (await one.patch(expect=422, **change))["errors"] == [error]


async def test_from_draft_to_completed(campaign: Make, control: Control) -> None:
    one = await campaign()
    assert (await one.do("activate"))["status"] == "active"
    assert (await one.do("pause"))["status"] == "paused"
    assert (await one.do("activate"))["status"] == "active"
    done = await one.do("complete")
    assert (done["status"], done["completed_why"]) == ("completed", "completed by user:ed")
    assert done["completed_at"] is not None
    assert done["note"] is None
    assert await one.get() == done
    assert [action for _, action, _ in control.audit()] == [
        "mission.create", "mission.activate", "mission.pause", "mission.activate", "mission.complete",
    ]  # fmt: skip
    assert control.audit()[-1] == ("user:ed", "mission.complete", f"mission:{one.number}")


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("draft", "pause"), ("draft", "complete"), ("active", "activate"), ("paused", "pause"),
        ("completed", "activate"), ("completed", "pause"), ("completed", "complete"),
    ],
)  # fmt: skip
async def test_a_transition_that_is_none_says_what_the_status_is(
    campaign: Make, control: Control, status: str, action: str
) -> None:
    one = await campaign(status=status)
    refused = await one.do(action, expect=409)
    assert f"the mission launch is {status}" in refused["detail"]
    assert await one.get() == one.made
    assert [done for _, done, _ in control.audit()] == ["mission.create"]


async def test_a_mission_that_is_over_goes_on_by_what_changed(campaign: Make) -> None:
    one = await campaign(status="active", duration_days=7)
    one.sql("UPDATE missions SET completed_at = now(), completed_why = 'it ended' WHERE id = %s", one.number)
    refused = await one.do("activate", expect=409)
    assert "is active, and over: it ended" in refused["detail"]
    assert "duration_days" in refused["remedy"]
    longer = await one.patch(duration_days=28)
    assert (longer["completed_at"], longer["completed_why"], longer["status"]) == (None, None, "active")


async def test_activating_a_paused_mission_that_was_over_asks_anew(campaign: Make) -> None:
    one = await campaign(status="paused")
    one.sql("UPDATE missions SET completed_at = now(), completed_why = 'it ended' WHERE id = %s", one.number)
    assert (await one.do("activate"))["completed_why"] is None


async def test_completing_a_mission_that_was_over_keeps_the_reason(campaign: Make) -> None:
    one = await campaign(status="active")
    one.sql(
        "UPDATE missions SET completed_at = '2026-01-01Z', completed_why = 'it ended' WHERE id = %s",
        one.number,
    )
    done = await one.do("complete")
    assert (done["status"], done["completed_why"]) == ("completed", "it ended")
    assert done["completed_at"].startswith("2026-01-01")


@pytest.mark.parametrize("action", ["pause", "complete"])
async def test_a_live_run_goes_on(campaign: Make, action: str) -> None:
    one = await campaign(status="active")
    run = one.run()
    found = await one.do(action)
    assert found["live"] is True
    assert "live run goes on" in found["note"]
    assert one.sql("SELECT status FROM runs WHERE id = %s", run) == [("running",)]


async def test_two_at_once_complete_it_once(campaign: Make, control: Control) -> None:
    one = await campaign(status="active")
    answers = await asyncio.gather(*(control("POST", f"/missions/{one.id}/complete") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert [action for _, action, _ in control.audit()].count("mission.complete") == 1


async def test_what_was_completed_can_be_taken_up_by_a_patch(campaign: Make) -> None:
    one = await campaign(status="active")
    await one.do("complete")
    again = await one.patch(status="active")
    assert (again["status"], again["completed_at"], again["completed_why"]) == ("active", None, None)


async def test_the_files_and_the_api_change_the_same_mission(campaign: Make, control: Control) -> None:
    one = await campaign()
    declared = Mission.model_validate({**MISSION, "account": "demo", "name": "By file", "status": "active"})
    apply(control.world.store, [Located(declared, "a.yaml", 1, {})])
    assert (await one.get())["definition"]["name"] == "By file"
    assert (await one.do("pause"))["definition"] == json.loads(
        declared.model_copy(update={"status": "paused"}).model_dump_json()
    )


async def test_roles_and_tenants(campaign: Make, control: Control) -> None:
    one = await campaign(status="active")
    for action in ("activate", "pause", "complete"):
        await one.do(action, expect=403, user="vera")
        await one.do(action, expect=404, user="stella")
    await control("PATCH", f"/missions/{one.id}", user="vera", json={"name": "x"}, expect=403)
    await control("PATCH", f"/missions/{one.id}", user="stella", json={"name": "x"}, expect=404)
    await control.get(f"/missions/{one.id}", user="stella", expect=404)
    assert (await control.get("/missions", user="stella"))["items"] == []
    taken = await control("POST", "/missions", user="stella", json=MISSION, expect=409)
    assert "another account" in taken.json()["detail"]
    await control("POST", "/missions", user="vera", json=MISSION, expect=403)
    await control.get(f"/missions/{control.world.site_id}", expect=404)
    await control.get(f"/missions/msn_{control.world.site_id}", expect=404)
    assert await one.get() == one.made
