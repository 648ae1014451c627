"""Insights over the API: what optimize found, what it changed because of that, and the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from pressroom.pipelines.mission.learning import changes as parameters
from tests.support.control_world import Control


@dataclass
class Findings:
    """A mission of the account demo with two optimized cycles."""

    control: Control
    mission: int
    cycles: list[int] = field(default_factory=list)

    def insight(self, cycle: int, factor: str, level: str, **changes: Any) -> int:
        facts = {"type": "timing", "platform": "twitter", "confidence": 0.96, **changes}
        [(number,)] = self.control.world.sql(
            "INSERT INTO insights (account_id, mission_id, cycle_id, type, platform, factor, level, finding,"
            " confidence, action, evidence)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, 'does better', %s, 'more of it', %s) RETURNING id",
            self.control.world.account_id, self.mission, self.cycles[cycle - 1], facts["type"],
            facts["platform"], factor, level, facts["confidence"], json.dumps({"posts": 40, "ratio": 1.4}),
        )  # fmt: skip
        return int(number)

    def change(self, cycle: int, factor: str, after: dict[str, float], before: dict[str, float]) -> int:
        [(number,)] = self.control.world.sql(
            "INSERT INTO strategy_changes (account_id, mission_id, cycle_id, platform, factor, before, after,"
            " evidence) VALUES (%s, %s, %s, 'twitter', %s, %s, %s, '{}') RETURNING id",
            self.control.world.account_id, self.mission, self.cycles[cycle - 1], factor, json.dumps(before),
            json.dumps(after),
        )  # fmt: skip
        return int(number)


async def mission(control: Control, slug: str) -> Findings:
    body = {"slug": slug, "name": slug, "objectives": ["be known"], "platforms": ["twitter"]}
    made = (await control("POST", "/missions", user="ann", json=body, expect=201)).json()
    found = Findings(control, int(made["id"].removeprefix("msn_")))
    for number in (1, 2):
        [(run,)] = control.world.sql(
            "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until,"
            " status) VALUES (%s, %s, %s, %s, 'manual', 'tester', now(), 'completed') RETURNING id",
            control.world.account_id, found.mission, f"mission__{slug}", f"run{number}",
        )  # fmt: skip
        [(cycle,)] = control.world.sql(
            "INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at,"
            " context) VALUES (%s, %s, %s, %s, now(), now() + interval '7 days', now(), '{}') RETURNING id",
            control.world.account_id, found.mission, run, number,
        )  # fmt: skip
        found.cycles.append(cycle)
    return found


@pytest.fixture
async def findings(control: Control) -> Findings:
    return await mission(control, "launch")


async def test_an_insight_has_its_evidence_and_the_change_it_led_to(findings: Findings) -> None:
    number = findings.insight(1, "time", "09:00")
    change = findings.change(1, "time", {"09:00": 1.4}, {})
    found = await findings.control.get(f"/insights/ins_{number}")
    created = found.pop("created_at")
    assert created.endswith(("Z", "+00:00"))
    assert found == {
        "id": f"ins_{number}", "mission_id": f"msn_{findings.mission}", "mission": "launch", "cycle": 1,
        "type": "timing", "platform": "twitter", "factor": "time", "level": "09:00",
        "finding": "does better", "confidence": 0.96, "action": "more of it",
        "evidence": {"posts": 40, "ratio": 1.4},
        "change": {
            "id": change, "before": {}, "after": {"09:00": 1.4}, "in_force": True, "reverted_at": None,
            "reverted_by": None,
        },
    }  # fmt: skip


async def test_a_change_belongs_to_its_cycle_platform_and_factor(findings: Findings) -> None:
    findings.change(1, "time", {"09:00": 1.4}, {})
    elsewhere = [
        findings.insight(2, "time", "09:00"),
        findings.insight(1, "weekday", "monday"),
        findings.insight(1, "time", "09:00", platform="linkedin"),
    ]
    for number in elsewhere:
        assert (await findings.control.get(f"/insights/ins_{number}"))["change"] is None
    findings.change(2, "time", {"18:00": 1.2}, {"09:00": 1.4})
    earlier = findings.insight(1, "time", "09:00")
    assert (await findings.control.get(f"/insights/ins_{earlier}"))["change"]["in_force"] is False
    later = (await findings.control.get(f"/insights/ins_{elsewhere[0]}"))["change"]
    assert (later["in_force"], later["before"]) == (True, {"09:00": 1.4})


async def test_insights_are_listed_latest_first_of_one_mission_or_all(findings: Findings) -> None:
    control = findings.control
    other = await mission(control, "spring")
    made = [findings.insight(1, "time", f"{hour:02}:00") for hour in range(3)]
    others = other.insight(1, "time", "10:00")
    listed = await control.get("/insights")
    assert [one["id"] for one in listed["items"]] == [f"ins_{n}" for n in [others, *made[::-1]]]
    page = await control.get("/insights", mission=f"msn_{findings.mission}", limit=2)
    assert [one["id"] for one in page["items"]] == [f"ins_{made[2]}", f"ins_{made[1]}"]
    page = await control.get(
        "/insights", mission=f"msn_{findings.mission}", limit=2, cursor=page["next_cursor"]
    )
    assert ([one["id"] for one in page["items"]], page["next_cursor"]) == ([f"ins_{made[0]}"], None)
    assert (await control.get("/insights", mission="msn_999"))["items"] == []
    for wrong in ("12", "ins_1", "msn_0", "msn_\0"):
        refused = await control.get("/insights", expect=422, mission=wrong)
        assert refused["errors"][0]["field"] == "query.mission"


async def test_a_revert_brings_back_what_was_before(findings: Findings) -> None:
    control = findings.control
    findings.change(1, "time", {"09:00": 1.4}, {})
    number = findings.insight(2, "time", "18:00")
    change = findings.change(2, "time", {"18:00": 1.2}, {"09:00": 1.4})
    found = (await control("POST", f"/insights/ins_{number}/revert", user="ann", expect=200)).json()["change"]
    assert (found["id"], found["in_force"], found["reverted_by"]) == (change, False, "user:ann")
    assert found["reverted_at"] is not None
    with control.world.store.transaction(control.world.account_id) as tx:
        assert parameters.weights_in_force(tx, findings.mission) == {"twitter": {"time": {"09:00": 1.4}}}
    assert control.audit()[-1] == ("user:ann", "insight.revert", f"insight:{number}")
    again = (await control("POST", f"/insights/ins_{number}/revert", user="ann", expect=409)).json()
    assert "reverted already" in again["detail"]
    assert [action for _, action, _ in control.audit()].count("insight.revert") == 1


async def test_where_nothing_was_changed_nothing_can_be_reverted(findings: Findings) -> None:
    number = findings.insight(1, "time", "09:00")
    refused = await findings.control("POST", f"/insights/ins_{number}/revert", user="ann", expect=409)
    assert "nothing was changed" in refused.json()["detail"]


async def test_roles_and_tenants(findings: Findings) -> None:
    control = findings.control
    number = findings.insight(1, "time", "09:00")
    findings.change(1, "time", {"09:00": 1.4}, {})
    path = f"/insights/ins_{number}"
    await control("POST", f"{path}/revert", user="ed", expect=403)
    await control("POST", f"{path}/revert", user="stella", expect=404)
    await control.get(path, user="stella", expect=404)
    assert (await control.get("/insights", user="stella"))["items"] == []
    other = await control.get("/insights", user="stella", mission=f"msn_{findings.mission}")
    assert other["items"] == []
    assert (await control.get("/insights", user="nobody"))["items"] == []
    assert (await control.get(path))["change"]["reverted_at"] is None
    for wrong in ("ins_0", "ins_x", "msn_1", "1"):
        await control.get(f"/insights/{wrong}", expect=404)
