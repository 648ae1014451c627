"""A link's secret is in no path, and no answer with a secret is kept on the way."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from pressroom.domain.flows import GateStep
from pressroom.orchestration.tasks.gates import links_of
from tests.integration.test_hooks import Hooks, hooks
from tests.support.control_world import Control

__all__ = ["hooks"]

pytestmark = pytest.mark.integration

BASE = "https://airflow.test/pressroom/hooks"


def test_what_receivers_are_sent_has_the_secret_in_no_path() -> None:
    step = GateStep(name="look", type="gate", by="approval")
    sent = links_of("https://airflow.test/", "7/very-secret", step)
    assert sent == {
        "approve": f"{BASE}/approvals/7?decision=approve#very-secret",
        "reject": f"{BASE}/approvals/7?decision=reject#very-secret",
    }
    webhook = links_of("https://airflow.test", "7/very-secret", step.model_copy(update={"by": "webhook"}))
    assert webhook == {"answer": f"{BASE}/gates/7", "token": "very-secret"}
    for address in (*sent.values(), webhook["answer"]):
        parts = urlsplit(address)
        assert "very-secret" not in parts.path + parts.query


async def test_the_page_behind_a_link_has_the_browser_send_the_secret_in_a_form(hooks: Hooks) -> None:
    number, token = (await hooks.gate("approval")).split("/")
    asked = await hooks.client.get(f"/approvals/{number}?decision=reject")
    assert asked.status_code == 200
    assert "Is it good?" not in asked.text  # without the secret nothing is shown
    policy = asked.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    form = {"token": token, "prefer": "reject"}
    page = await hooks.client.post(f"/approvals/{number}", data=form)
    assert page.status_code == 200
    assert "Is it good?" in page.text
    assert 'value="reject" autofocus' in page.text
    assert (hooks.airflow.answered, hooks.outcome()) == ({}, None)
    kept = re.search(r'name="token" value="([^"]+)"', page.text)
    assert kept is not None
    done = await hooks.client.post(f"/approvals/{number}", data={"token": kept[1], "decision": "reject"})
    assert "is rejected" in done.text
    assert list(hooks.airflow.answered.values()) == ["Reject"]
    for answer in (asked, page, done):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("token", ["", "wrong", "x" * 1000])
async def test_a_wrong_secret_shows_and_decides_nothing(hooks: Hooks, token: str) -> None:
    number, _ = (await hooks.gate("approval")).split("/")
    for form in ({"token": token}, {"token": token, "decision": "approve"}):
        answer = await hooks.client.post(f"/approvals/{number}", data=form)
        assert answer.status_code == 404
        assert "Is it good?" not in answer.text
    assert (hooks.airflow.answered, hooks.outcome()) == ({}, None)


async def test_a_gate_for_webhooks_takes_the_secret_as_a_header(hooks: Hooks) -> None:
    number, token = (await hooks.gate("webhook")).split("/")
    body = {"decision": "approve"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}):
        refused = await hooks.client.post(f"/gates/{number}", json=body, headers=headers)
        assert refused.status_code == 404
    headers = {"Authorization": f"Bearer {token}"}
    assert (await hooks.client.post(f"/gates/{number}", json=body, headers=headers)).status_code == 200
    assert hooks.outcome() == "approve"


@pytest.mark.parametrize("path", ["/approvals/{}", "/approvals/{}/{}"])
async def test_a_form_of_many_fields_is_refused_and_no_error_of_the_server(hooks: Hooks, path: str) -> None:
    number, token = (await hooks.gate("approval")).split("/")
    form = "&".join(f"f{each}=1" for each in range(50)) + "&decision=approve"
    answer = await hooks.client.post(
        path.format(number, token),
        content=form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 400
    assert "more than 10 fields" in answer.text
    assert hooks.airflow.answered == {}


async def test_answers_are_kept_nowhere_and_guessed_at_by_no_browser(control: Control) -> None:
    made = await control("POST", "/api-keys", user="olga", json={"name": "ci"}, expect=201)
    answers: list[Any] = [
        made,
        await control("GET", "/sites", user="vera", expect=200),
        await control("GET", "/openapi.json", user="vera", expect=200),
        await control("GET", "/nothing", user="vera", expect=404),
        await control("GET", "/sites", user=None, expect=401),
        await control("POST", "/api-keys", user="olga", json={}, expect=422),
        await control("POST", "/api-keys", user="olga", content=b"x" * 6_000_000),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store", answer.request.url
        assert answer.headers["x-content-type-options"] == "nosniff", answer.request.url


async def test_the_answers_of_hooks_too(hooks: Hooks) -> None:
    for answer in (
        await hooks.client.post("/flows/nothing", content=b"{}"),
        await hooks.client.get("/nothing"),
        await hooks.client.get(f"/approvals/{await hooks.gate('approval')}"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
