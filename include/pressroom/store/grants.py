"""What accounts may name, from the database. SYSTEM transactions: grants are the operator's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pressroom.domain.grants.access import EVERYTHING, NOTHING, Access, GrantKind, Name
from pressroom.store.database import Tx


def access_of(tx: Tx, account_ids: Collection[int]) -> dict[int, Access]:
    """What each of the accounts may name."""
    return {
        row["id"]: Access(row["slug"], names(row["names"]) | ({EVERYTHING} if row["alone"] else set()))
        for row in tx.rows("access_of_accounts", accounts=sorted(account_ids))
    }


def access(tx: Tx, account_id: int) -> Access:
    """What one account may name."""
    return access_of(tx, [account_id]).get(account_id, NOTHING)


def shared(tx: Tx) -> frozenset[Name]:
    """What every account may name."""
    return names((row["kind"], row["name"]) for row in tx.rows("shared_grants"))


def grant(tx: Tx, account_id: int | None, granted: Iterable[Name], by: str) -> list[Name]:
    """Grant names to an account, None: to every account. Returns those that it did not have."""
    return [
        (kind, name)
        for kind, name in sorted(granted)
        if tx.run("grant_to", to=account_id, kind=kind.value, name=name, by=by)
    ]


def take_back(tx: Tx, account_id: int | None, granted: Iterable[Name]) -> list[Name]:
    """The reverse of ``grant``. Returns those that were granted."""
    return [
        (kind, name)
        for kind, name in sorted(granted)
        if tx.run("grant_take_back", of=account_id, kind=kind.value, name=name)
    ]


def replace(tx: Tx, account_id: int, granted: Collection[Name], by: str) -> None:
    """Make these an account's grants. Those that stay keep who granted them and when."""
    rows = tx.rows("grants_of_account", of=account_id)
    before = names((row["kind"], row["name"]) for row in rows)
    grant(tx, account_id, set(granted) - before, by)
    take_back(tx, account_id, before - set(granted))


def listed(tx: Tx, slug: str | None = None) -> list[Mapping[str, Any]]:
    """Grants as rows: account (None: every account), kind, name, granted_by, granted_at."""
    return list(tx.rows("grants_listed", slug=slug))


def names(rows: Iterable[Sequence[str]]) -> frozenset[Name]:
    """Pairs of kind and name as the rule knows them."""
    return frozenset((GrantKind(kind), name) for kind, name in rows)
