"""Gates are tasks of a DAG, and all flows are built in one file: an account has so many and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.domain.errors import QuotaExceeded
from tests.support.control_world import Control

pytestmark = pytest.mark.integration


def steps(gates: int) -> list[dict[str, Any]]:
    return [
        *({"name": f"ask{n}", "type": "gate", "by": "approval"} for n in range(gates)),
        {"name": "page", "type": "publish", "to": "static_site", "mode": "auto"},
    ]


def quota(control: Control, gates: int) -> None:
    control.world.sql(
        "UPDATE accounts SET definition = definition"
        " || jsonb_build_object('quotas', jsonb_build_object('gates', %s::int)) WHERE id = %s",
        gates, control.world.account_id,
    )  # fmt: skip


async def made(control: Control, slug: str, gates: int, expect: int) -> Any:
    body = {"slug": slug, "name": slug, "steps": steps(gates)}
    return (await control("POST", "/flows", user="olga", json=body, expect=expect)).json()


async def test_the_api_counts_the_gates_of_all_flows_together(control: Control) -> None:
    quota(control, 5)
    await made(control, "one", 3, 201)
    refused = await made(control, "two", 3, 403)
    assert "gates" in refused["remedy"]
    flow = await made(control, "two", 2, 201)
    path = f"/flows/{flow['id']}"
    await control("PATCH", path, user="olga", json={"steps": steps(3)}, expect=403)
    await control("PATCH", path, user="olga", json={"name": "Second"}, expect=200)
    quota(control, 1)  # whoever has too many by now may have fewer, and change the rest
    await control("PATCH", path, user="olga", json={"name": "Again"}, expect=200)
    await control("PATCH", path, user="olga", json={"steps": steps(1)}, expect=200)
    await control("PATCH", path, user="olga", json={"steps": steps(2)}, expect=403)


def test_apply_counts_what_is_there_afterwards(control: Control, tmp_path: Path) -> None:
    quota(control, 5)

    def applied(**gates: int) -> None:
        flows = [
            {"kind": "Flow", "account": "demo", "slug": slug, "name": slug, "steps": steps(number)}
            for slug, number in gates.items()
        ]
        (tmp_path / "flows.yaml").write_text(yaml.safe_dump_all(flows), encoding="utf-8")
        apply(control.world.store, load(tmp_path))

    applied(a=4, b=1)
    with pytest.raises(QuotaExceeded, match="5 gates"):
        applied(a=4, b=2)
    applied(a=1, b=4)
