"""The caller's accounts, their API keys and their audit log."""

from __future__ import annotations

import secrets
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, KEY, Scope, accounts_of, allowed, signed_in
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.callers import KEY_PREFIX, Caller, PlaneDep, hash_of_key
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import FieldProblem, Problem
from pressroom.api.kit.views import Amount
from pressroom.definitions.applying import SlugTaken, create_account
from pressroom.domain.definitions import Account, Credits, Role, Slug
from pressroom.domain.public_ids import KEY as KEY_ID
from pressroom.domain.public_ids import public_id
from pressroom.engine import audit
from pressroom.engine.runs import reports
from pressroom.store.quotas import must_have_room

router = APIRouter(tags=["accounts"])


class AccountView(BaseModel):
    """An account that the caller has a role in. Amounts in credits."""

    account: str
    role: Role
    balance: Amount
    reserved: Amount
    available: Amount

    @classmethod
    def of(cls, account: str, role: Role, balance: reports.Balance) -> AccountView:
        """The view of an account with its credits."""
        return cls(
            account=account,
            role=role,
            balance=balance.balance,
            reserved=balance.reserved,
            available=balance.available,
        )


class NewAccount(Body):
    """An account to make. Whoever makes it owns it, and ``members``: user name in Airflow → role."""

    slug: Slug
    name: str = Field(min_length=1, max_length=120)
    opening_credits: Credits = Field(default=Decimal(0), description="granted once")
    members: dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], Role] = Field(
        default_factory=dict, max_length=1000
    )


class ApiKeyView(BaseModel):
    """An API key, without the key. ``prefix``: how it begins."""

    id: str
    name: str
    role: Role
    prefix: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


class NewApiKey(ApiKeyView):
    """An API key just made. ``key``: shown this once."""

    key: str


class ApiKeyBody(Body):
    """An API key to make: for one account, with one role."""

    name: str = Field(min_length=1, max_length=100)
    role: Role = Role.VIEWER
    expires_at: AwareDatetime | None = Field(default=None, description="null: it does not expire")


class AuditView(BaseModel):
    """``actor`` did ``action`` to ``target``."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]


@router.get("/accounts")
def list_accounts(plane: PlaneDep, caller: Caller = signed_in()) -> list[AccountView]:
    """The caller's accounts, with their credits."""
    with plane.store().transaction() as tx:
        views = []
        for owned in accounts_of(tx, caller, limit=1000):
            role = caller.role_in(owned.account_id, owned.role)
            if role is not None:
                balance = reports.balance(tx.for_account(owned.account_id))
                views.append(AccountView.of(owned.account, role, balance))
    return views


@router.post("/accounts", status_code=201)
def add_account(body: NewAccount, plane: PlaneDep, caller: Caller = signed_in()) -> AccountView:
    """Make an account. Administrators of this Airflow only."""
    if not caller.admin:
        raise Problem(
            403, "accounts are the operator's: this needs an administrator of this Airflow",
            remedy="ask the operator of this installation",
        )  # fmt: skip
    members = {caller.name: Role.OWNER, **body.members}
    account = Account(slug=body.slug, name=body.name, opening_credits=body.opening_credits, members=members)
    try:
        number = create_account(plane.store(), account, caller.label)
    except SlugTaken:
        detail = f"there is an account {body.slug!r}"
        raise Problem(
            409, detail, remedy="choose another slug", errors=[FieldProblem(field="body.slug", detail=detail)]
        ) from None
    with plane.store().transaction(number) as tx:
        return AccountView.of(account.slug, Role.OWNER, reports.balance(tx))


@router.get("/api-keys")
def list_keys(paging: Paged, scope: Scope = allowed(Role.OWNER, ACCOUNT)) -> Page[ApiKeyView]:
    """The account's API keys, newest first, revoked ones included."""
    with scope.transaction() as tx:
        rows = tx.rows("api_keys", key=None, before=paging.before, limit=paging.fetch)
    return paging.page(rows, _key, lambda row: [row["id"]])


@router.post("/api-keys", status_code=201)
def create_key(body: ApiKeyBody, scope: Scope = allowed(Role.OWNER, ACCOUNT)) -> NewApiKey:
    """Make an API key. It is shown this once; only its hash is kept."""
    if scope.caller.role is not None and not scope.caller.role.covers(body.role):
        raise Problem(
            403, "an API key cannot make one with a higher role than its own: choose that role or a lower one"
        )
    key = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"
    facts = {"role": body.role.value, "prefix": key[:12], "key_hash": hash_of_key(key)}
    with scope.transaction() as tx:
        must_have_room(tx, "api_keys", 1)
        number = tx.value(
            "api_key_insert", label=body.name, by=scope.caller.label, member=scope.member(tx),
            expires_at=body.expires_at, **facts,
        )  # fmt: skip
        target = f"key:{number}"
        scope.note(tx, "api_key.create", target, before=None, after=audit.state(tx, target))
        [row] = tx.rows("api_keys", key=number, before=None, limit=1)
    return NewApiKey(key=key, **_key(row).model_dump())


@router.delete("/api-keys/{id}")
def revoke_key(scope: Scope = allowed(Role.OWNER, KEY)) -> ApiKeyView:
    """Revoke an API key: calls with it are refused from now on."""
    with scope.changing("api_key.revoke", f"key:{scope.id}") as tx:
        tx.run("api_key_revoke", key=scope.id, by=scope.caller.label)
        [row] = tx.rows("api_keys", key=scope.id, before=None, limit=1)
    return _key(row)


@router.get("/audit")
def list_audit(
    paging: Paged,
    actor: Annotated[str | None, Query(max_length=200, description="as in user:alice or key:3")] = None,
    action: Annotated[str | None, Query(max_length=100, description="as in article.approve")] = None,
    target: Annotated[str | None, Query(max_length=200, description="as in article:12")] = None,
    scope: Scope = allowed(Role.OWNER, ACCOUNT),
) -> Page[AuditView]:
    """The audit log: who did what to what, newest first."""
    with scope.transaction() as tx:
        rows = tx.rows(
            "audit_list", before=paging.before, limit=paging.fetch, actor=actor, action=action, target=target
        )
    return paging.page(rows, lambda row: AuditView(**row), lambda row: [row["id"]])


def _key(row: dict[str, Any]) -> ApiKeyView:
    return ApiKeyView(**{**row, "id": public_id(KEY_ID, row["id"])})
