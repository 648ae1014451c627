"""What an account may name of the installation's: its members read it, administrators change it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator

from pressroom.api.kit.access import ACCOUNT, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.problems import Problem
from pressroom.definitions import granting
from pressroom.domain.definitions import Role
from pressroom.domain.grants.access import GrantKind
from pressroom.store import grants
from pressroom.store.workflows import account_by_slug

router = APIRouter(prefix="/grants", tags=["accounts"])


class GrantView(BaseModel):
    """Something that the account may name. ``shared``: every account may."""

    kind: GrantKind
    name: str
    shared: bool
    granted_by: str
    granted_at: datetime

    @classmethod
    def of(cls, row: Any) -> GrantView:
        """The view of a row."""
        return cls(**{key: row[key] for key in row if key != "account"}, shared=row["account"] is None)


class GrantBody(Body):
    """What to grant to the account. The name of ``everything`` is left out."""

    kind: GrantKind
    name: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _has_a_name(self) -> GrantBody:
        must_fit(self.kind, self.name)
        return self


def must_fit(kind: GrantKind, name: str) -> None:
    """Raises ValueError unless what is granted has a name, or is everything."""
    if (kind is GrantKind.EVERYTHING) is not (name == ""):
        raise ValueError("name: everything has no name, and all else has one")


@router.get("")
def list_grants(scope: Scope = allowed(Role.VIEWER, ACCOUNT)) -> list[GrantView]:
    """What the account is granted, and what is shared. An only account without grants may name everything."""
    return _shown(scope)


@router.post("", status_code=201)
def grant(body: GrantBody, scope: Scope = allowed(Role.OWNER, ACCOUNT)) -> list[GrantView]:
    """Grant something to the account. Administrators of this Airflow only. Returns what it may name then."""
    _must_administer(scope)
    with scope.store.transaction() as tx:
        row = account_by_slug(tx, scope.account)
        granting.grant(tx, row, {(body.kind, body.name)}, scope.caller.label)
    return _shown(scope)


@router.delete("")
def revoke(
    kind: GrantKind,
    name: Annotated[str, Query(max_length=1000)] = "",
    scope: Scope = allowed(Role.OWNER, ACCOUNT),
) -> list[GrantView]:
    """Take a grant back, also for runs that are on. Administrators only. Returns what is left."""
    _must_administer(scope)
    with scope.store.transaction() as tx:
        row = account_by_slug(tx, scope.account)
        granting.take_back(tx, row, {(kind, name)}, scope.caller.label)
    return _shown(scope)


def _must_administer(scope: Scope) -> None:
    if not scope.caller.admin:
        raise Problem(
            403, "grants are the operator's: this needs an administrator of this Airflow",
            remedy="ask the operator of this installation",
        )  # fmt: skip


def _shown(scope: Scope) -> list[GrantView]:
    if not scope.account:
        return []
    with scope.store.transaction() as tx:
        return [GrantView.of(row) for row in grants.listed(tx, scope.account)]
