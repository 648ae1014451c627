"""Rows → definitions: what dag files, workers and commands work by."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.suggest import did_you_mean
from pressroom.store.database import Tx

logger = logging.getLogger(__name__)
DAG_PREFIX = "site__"
M = TypeVar("M", bound=BaseModel)

Shard = tuple[int, int]
"""(number, of how many): a part of the sites, the same ones for ever."""


@dataclass(frozen=True)
class SiteRow:
    """A site as stored, with what it refers to."""

    account_id: int
    site_id: int
    account: Account
    site: Site
    brand: BrandContext | None


@dataclass(frozen=True)
class AccountRow:
    """An account as stored; its members are those of the members table."""

    account_id: int
    account: Account


def active_sites(tx: Tx, dag_id: str | None = None, shard: Shard | None = None) -> list[SiteRow]:
    """Active sites in one query, sorted by slug. A SYSTEM transaction.

    With ``dag_id`` that DAG's site alone, if any; with ``shard`` those that the dag file of that number
    builds. A row that this version cannot read is left out with an error in the log: one bad row must not
    take every other DAG down with it.
    """
    slug = None
    if dag_id is not None:
        if not dag_id.startswith(DAG_PREFIX):
            return []
        slug = dag_id.removeprefix(DAG_PREFIX)
    number, of = shard or (None, None)
    return _sites(tx.rows("read_sites", slug=slug, active_only=True, shard=number, shards=of), strict=False)


def all_sites(tx: Tx) -> list[SiteRow]:
    """Every site, disabled ones too, sorted by slug. A SYSTEM transaction. Raises DefinitionError."""
    return _sites(tx.rows("read_sites", slug=None, active_only=False, shard=None, shards=None), strict=True)


def site_by_slug(tx: Tx, slug: str) -> SiteRow:
    """One site, active or not. A SYSTEM transaction. Raises PermanentError, naming the nearest."""
    found = _sites(tx.rows("read_sites", slug=slug, active_only=False, shard=None, shards=None), strict=True)
    if not found:
        raise PermanentError(f"there is no site {slug!r}{did_you_mean(slug, tx.values('site_slugs'))}")
    return found[0]


def all_accounts(tx: Tx) -> list[AccountRow]:
    """Every account, sorted by slug. A SYSTEM transaction. Raises DefinitionError."""
    return [
        AccountRow(row["id"], _parse(Account, row["definition"] | {"members": row["members"]}, row["slug"]))
        for row in tx.rows("read_accounts")
    ]


def account_by_slug(tx: Tx, slug: str) -> AccountRow:
    """One account. A SYSTEM transaction. Raises PermanentError, naming the nearest."""
    found = {row.account.slug: row for row in all_accounts(tx)}
    if slug not in found:
        raise PermanentError(f"there is no account {slug!r}{did_you_mean(slug, found)}")
    return found[slug]


def all_brands(tx: Tx) -> list[BrandContext]:
    """Every brand context, sorted by account and slug. A SYSTEM transaction. Raises DefinitionError."""
    return [_parse(BrandContext, row["definition"], row["slug"]) for row in tx.rows("read_brands")]


def _sites(rows: list[dict[str, Any]], *, strict: bool) -> list[SiteRow]:
    accounts: dict[int, Account] = {}
    brands: dict[int, BrandContext] = {}
    found = []
    for row in rows:
        try:
            account_id, brand_id = row["account_id"], row["brand_id"]
            # Parsed once each: a thousand sites of one account would otherwise parse it a thousand times.
            if account_id not in accounts:
                accounts[account_id] = _parse(Account, row["account"], row["account_slug"])
            if brand_id is not None and brand_id not in brands:
                brands[brand_id] = _parse(BrandContext, row["brand"], str(brand_id))
            site = row["definition"] | {"status": row["status"]}
            if row["automation"] is not None:
                site |= {"automation": row["automation"]}
            found.append(
                SiteRow(
                    account_id,
                    row["site_id"],
                    accounts[account_id],
                    _parse(Site, site, row["slug"]),
                    None if brand_id is None else brands[brand_id],
                )
            )
        except DefinitionError as error:
            if strict:
                raise
            logger.error("site %s is left out: %s", row["slug"], error)  # noqa: TRY400  # it says it all
    return found


def _parse(model: type[M], data: dict[str, Any], slug: str) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(
            [
                f"{model.__name__} {slug} as stored: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            ]
        ) from None
