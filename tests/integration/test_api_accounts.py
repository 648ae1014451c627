"""API keys, the audit log, and what every route has in common: logins, roles, tenants, limits, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pressroom.api.app import build_control_app
from pressroom.domain.errors import ConfigurationError
from pressroom.store.database import Store
from tests.support.control_world import Control, StandInPlane, control_world


async def test_a_key_calls_for_its_account_with_its_role_until_it_is_revoked(control: Control) -> None:
    made = (
        await control("POST", "/api-keys", user="olga", json={"name": "ci", "role": "editor"}, expect=201)
    ).json()
    bearer = {"Authorization": f"Bearer {made['key']}"}
    found = await control("GET", "/accounts", user=None, headers=bearer, expect=200)
    assert [(one["account"], one["role"]) for one in found.json()] == [("demo", "editor")]
    await control("GET", "/api-keys", user=None, headers=bearer, expect=403)
    await control("GET", "/api-keys", user=None, headers=bearer, params={"account": "other"}, expect=404)
    listed = await control.get("/api-keys", user="olga")
    assert made["key"] not in str(listed)
    assert listed["items"][0]["last_used_at"] is not None
    await control("DELETE", f"/api-keys/{made['id']}", user="stella", expect=404)
    await control("DELETE", f"/api-keys/{made['id']}", user="olga", expect=200)
    await control("GET", "/accounts", user=None, headers=bearer, expect=401)
    assert control.audit() == [
        ("user:olga", "api_key.create", "key:1"),
        ("user:olga", "api_key.revoke", "key:1"),
    ]


async def test_a_key_expires(control: Control) -> None:
    body = {"name": "old", "expires_at": "2020-01-01T00:00:00Z"}
    made = (await control("POST", "/api-keys", user="olga", json=body, expect=201)).json()
    await control(
        "GET", "/accounts", user=None, headers={"Authorization": f"Bearer {made['key']}"}, expect=401
    )


async def test_a_key_is_no_user_of_the_same_name(control: Control) -> None:
    made = (await control("POST", "/api-keys", user="stella", json={"name": "olga"}, expect=201)).json()
    bearer = {"Authorization": f"Bearer {made['key']}"}
    await control("GET", "/audit", user=None, headers=bearer, params={"account": "demo"}, expect=404)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://pressroom"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_a_write_by_cookie_must_come_from_this_site(
    control: Control, headers: dict[str, str], status: int
) -> None:
    await control(
        "POST",
        "/api-keys",
        user="olga",
        json={"name": "x"},
        headers={"X-Cookie": "1", **headers},
        expect=status,
    )


async def test_an_administrator_sees_every_account_and_must_say_which(control: Control) -> None:
    found = await control.get("/accounts", user="root")
    assert [(one["account"], one["role"]) for one in found] == [("demo", "owner"), ("other", "owner")]
    refused = await control.get("/audit", user="root", expect=400)
    assert "account" in refused["detail"]
    assert (await control.get("/audit", user="root", account="other"))["items"] == []


async def test_whoever_has_no_account_has_nothing(control: Control) -> None:
    assert await control.get("/accounts", user="nobody") == []
    await control("POST", "/api-keys", user="nobody", json={"name": "x"}, expect=404)


async def test_both_spellings_of_a_path_are_one(control: Control) -> None:
    assert await control.get("/accounts/") == await control.get("/accounts")


async def test_an_error_is_a_problem(control: Control) -> None:
    answer = await control("POST", "/api-keys", user="olga", json={"nam": "x"}, expect=422)
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["title"]) == (422, "Invalid input")
    assert {one["field"] for one in body["errors"]} == {"body.name", "body.nam"}
    for path, method, status in (("/nowhere", "GET", 404), ("/accounts", "PUT", 405)):
        answer = await control(method, path, expect=status)
        assert answer.headers["content-type"] == "application/problem+json"
    answer = await control("POST", "/api-keys", user="olga", json={"name": "a\0b"}, expect=400)
    assert "database" in answer.json()["detail"]


async def test_the_documents_need_a_login(control: Control) -> None:
    for path in ("/openapi.json", "/docs", "/docs/swagger-ui.css"):
        await control("GET", path, user=None, expect=401)
        await control("GET", path, user="nobody", expect=200)


async def test_a_caller_who_calls_too_often_waits(database_url: str, store: Store) -> None:
    async with control_world(database_url, store, rate="3/minute") as control:
        for _ in range(3):
            await control("GET", "/accounts", user="vera", expect=200)
        refused = await control("GET", "/accounts", user="vera", expect=429)
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        await control("GET", "/accounts", user="ed", expect=200)  # each counts for themselves


@pytest.mark.parametrize("rate", ["often", "ten/minute"])
def test_a_wrong_rate_is_named(store: Store, rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESSROOM_API_RATE", rate)
    with pytest.raises(ConfigurationError, match="PRESSROOM_API_RATE"):
        build_control_app(StandInPlane(store))


async def test_a_body_that_is_too_large_is_refused_however_it_comes(control: Control) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b" " * 1_000_000

    headers = {"X-User": "olga", "Content-Type": "application/json"}
    for content in (b" " * 7_000_000, chunks()):
        answer = await control.client.post("/api-keys", content=content, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
