"""Who calls, by what Airflow's auth manager says: the real one for simple users, and two stand-ins."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from airflow.api_fastapi import app as airflow_app
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import USER_INJECTED_BY_TRUSTED_MIDDLEWARE
from airflow.models.revoked_token import RevokedToken
from fastapi import Request

from pressroom.api.kit.ports import Login
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.orchestration.server import login as api_login

GARBAGE = [
    "x", "a.b.c", "..", "ä", "\x00", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "a" * 20_000,
    "eyJhbGciOiJIUzUxMiIsImtpZCI6W119.e30.AA", "W10.W10.W10", "bnVsbA.bnVsbA.bnVsbA",
]  # fmt: skip


@pytest.fixture(autouse=True)
def revoked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tokens that were revoked: there is no database here."""
    gone: set[str] = set()
    monkeypatch.setattr(RevokedToken, "is_revoked", gone.__contains__)
    return gone


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> SimpleAuthManager:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    found: SimpleAuthManager = use(monkeypatch, SimpleAuthManager())  # type: ignore[no-untyped-call]
    return found


def use(monkeypatch: pytest.MonkeyPatch, found: Any) -> Any:
    monkeypatch.setattr(airflow_app._AuthManagerState, "instance", found)
    return found


def token_of(manager: SimpleAuthManager, name: str = "ann", role: str = "viewer", seconds: int = 60) -> str:
    user = SimpleAuthManagerUser(username=name, role=role)
    return manager.generate_jwt(user, expiration_time_in_seconds=seconds)


def who(*authorization: str, cookie: str | None = None, state: dict[str, Any] | None = None) -> Login | None:
    headers = [(b"authorization", value.encode("utf-8")) for value in authorization]
    if cookie is not None:
        headers.append((b"cookie", f"_token={cookie}".encode()))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "state": state or {}}
    return asyncio.run(api_login.login(Request(scope)))


def test_a_bearer_token(manager: SimpleAuthManager) -> None:
    assert who(f"Bearer {token_of(manager)}") == Login("ann", admin=False, by_cookie=False)


def test_the_cookie_of_a_session(manager: SimpleAuthManager) -> None:
    assert who(cookie=token_of(manager)) == Login("ann", admin=False, by_cookie=True)


@pytest.mark.parametrize("other", ["Basic YTpi", "Bearer", "Bearer ", "Token x"])
def test_a_cookie_beside_another_kind_of_login_is_still_a_cookie(
    manager: SimpleAuthManager, other: str
) -> None:
    assert who(other, cookie=token_of(manager)) == Login("ann", admin=False, by_cookie=True)


def test_a_token_counts_more_than_the_cookie(manager: SimpleAuthManager) -> None:
    mine, theirs = token_of(manager), token_of(manager, "root", "admin")
    assert who(f"bearer {mine}", cookie=theirs) == Login("ann", admin=False, by_cookie=False)
    assert who("Bearer x", cookie=theirs) is None


def test_whom_airflow_knows_already_is_not_asked_for_again(manager: SimpleAuthManager) -> None:
    state = {"user": SimpleAuthManagerUser(username="ann", role="viewer"), "user_authenticated_via": object()}
    assert who(state=state) is None  # from anywhere
    state["user_authenticated_via"] = USER_INJECTED_BY_TRUSTED_MIDDLEWARE
    assert who(state=state) == Login("ann", admin=False, by_cookie=True)


@pytest.mark.parametrize(
    ("role", "admin"), [("admin", True), ("ADMIN", True), ("op", False), ("user", False)]
)
def test_only_the_admin_of_simple_users_administers(
    manager: SimpleAuthManager, role: str, admin: bool
) -> None:
    assert who(f"Bearer {token_of(manager, role=role)}") == Login("ann", admin=admin, by_cookie=False)


@pytest.mark.parametrize("token", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_nobody(manager: SimpleAuthManager, token: str) -> None:
    assert who(f"Bearer {token}") is None
    assert who(cookie=token) is None


def test_no_token_is_nobody(manager: SimpleAuthManager) -> None:
    assert who() is None


def test_an_expired_token_is_nobody(manager: SimpleAuthManager) -> None:
    assert who(f"Bearer {token_of(manager, seconds=-100)}") is None


def test_a_revoked_token_is_nobody(manager: SimpleAuthManager, revoked: set[str]) -> None:
    token = token_of(manager)
    revoked.add(jwt.decode(token, options={"verify_signature": False})["jti"])
    assert who(f"Bearer {token}") is None


def test_the_token_of_a_task_or_of_another_installation_is_nobody(manager: SimpleAuthManager) -> None:
    claims = jwt.decode(token_of(manager), options={"verify_signature": False})
    for key, audience in [("s" * 64, "urn:airflow.apache.org:task"), ("t" * 64, claims["aud"])]:
        token = jwt.encode({**claims, "aud": audience}, key, algorithm="HS512")
        assert who(f"Bearer {token}") is None
    assert who(f"Bearer {jwt.encode(claims, 's' * 64, algorithm='HS512')}") is not None


def test_a_database_that_is_away_is_not_a_wrong_token(
    manager: SimpleAuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> bool:
        raise OSError("no database")

    monkeypatch.setattr(RevokedToken, "is_revoked", away)
    with pytest.raises(TransientError, match="cannot verify the login: OSError"):
        who(f"Bearer {token_of(manager)}")


def test_a_login_that_airflow_gives_to_everybody_is_as_good_as_a_cookie(
    manager: SimpleAuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    given, own = token_of(manager, "Anonymous", "ADMIN"), token_of(manager)
    assert who(f"Bearer {given}") == Login("Anonymous", admin=True, by_cookie=True)
    assert who(f"Bearer {own}", f"Bearer {given}") == Login("ann", admin=False, by_cookie=False)


# Other auth managers --------------------------------------------------------------------------------------


class Stand:
    """An auth manager that knows one user, by any token. ``may``: what that user may create."""

    def __init__(self, user: Any, *may: str) -> None:
        self.user = user
        self.may = may

    async def get_user_from_token(self, token: str) -> Any:
        return self.user

    def __getattr__(self, name: str) -> Any:
        thing = name.removeprefix("is_authorized_")
        return lambda *, method, user: method == "POST" and user is self.user and thing in self.may


class FabAuthManager(Stand):
    """By its name, as the provider's."""


class MyFabManager(FabAuthManager):
    """What somebody made of it."""


def user(name: str = "ann", **facts: Any) -> Any:
    return SimpleNamespace(get_name=lambda: name, **facts)


@pytest.mark.parametrize("kind", [FabAuthManager, MyFabManager])
@pytest.mark.parametrize(("role", "admin"), [("Admin", True), ("Op", False), ("Viewer", False)])
def test_the_role_admin_of_fab_administers(
    monkeypatch: pytest.MonkeyPatch, kind: type[Stand], role: str, admin: bool
) -> None:
    roles = [SimpleNamespace(name="Public"), SimpleNamespace(name=role)]
    use(monkeypatch, kind(user(roles=roles, is_anonymous=False), "connection", "pool", "variable"))
    assert who("Bearer x") == Login("ann", admin=admin, by_cookie=False)


def test_a_public_role_makes_nobody_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    anonymous = user("Anonymous", roles=[SimpleNamespace(name="Admin")], is_anonymous=True)
    use(monkeypatch, FabAuthManager(anonymous))
    state = {"user": anonymous, "user_authenticated_via": USER_INJECTED_BY_TRUSTED_MIDDLEWARE}
    assert who(state=state) is None


@pytest.mark.parametrize(
    ("may", "admin"),
    [(("connection", "pool", "variable"), True), (("pool", "variable"), False),
     (("connection", "variable"), False), (("connection", "pool"), False)],
)  # fmt: skip
def test_under_any_other_manager_whoever_may_create_everything_administers(
    monkeypatch: pytest.MonkeyPatch, may: tuple[str, ...], admin: bool
) -> None:
    use(monkeypatch, Stand(user(), *may))
    assert who("Bearer x") == Login("ann", admin=admin, by_cookie=False)


# In whose name Pressroom calls ----------------------------------------------------------------------------


def test_pressroom_calls_as_an_admin_of_simple_users(manager: SimpleAuthManager) -> None:
    assert who(f"Bearer {api_login.service_token()}") == Login("pressroom", admin=True, by_cookie=False)


def test_fab_needs_to_be_told_in_whose_name(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FabAuthManager(user()))
    monkeypatch.delenv(api_login.SERVICE_USER, raising=False)
    with pytest.raises(ConfigurationError, match="set PRESSROOM_SERVICE_USER"):
        api_login.service_token()


def test_under_an_unknown_manager_it_cannot_call(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Stand(user()))
    with pytest.raises(ConfigurationError, match="under the auth manager Stand"):
        api_login.service_token()
