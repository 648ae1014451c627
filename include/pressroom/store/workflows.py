"""Rows → definitions: what dag files, workers and commands work by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pressroom.domain.definitions import Account, Automation, BrandContext, Site
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.text import did_you_mean
from pressroom.store.database import Tx

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)
KINDS: dict[str, type[Workflow]] = {"site": Site, "mission": Mission, "flow": Flow}
"""The kinds of workflow, as they begin the names of their DAGs."""

Shard = tuple[int, int]
"""(number, of how many): a part of the workflows of a kind, the same ones for ever."""


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow as stored, with what it refers to. ``over``: why it is completed, None when it is not."""

    account_id: int
    workflow_id: int
    account: Account
    workflow: Workflow
    brand: BrandContext | None
    over: str | None = None

    @property
    def name(self) -> str:
        """How people name it: ``site/acme-blog``."""
        return f"{self.workflow.kind.lower()}/{self.workflow.slug}"

    def run(self, run_id: int = 0, params: dict[str, Any] | None = None) -> Run:
        """A run of it. Without an id: one that is not opened, for estimates."""
        return Run(
            account=self.account, workflow=self.workflow, brand=self.brand, id=run_id,
            account_id=self.account_id, workflow_id=self.workflow_id, params=params or {},
        )  # fmt: skip


@dataclass(frozen=True)
class AccountRow:
    """An account as stored; its members are those of the members table."""

    account_id: int
    account: Account


def split_dag_id(dag_id: str) -> tuple[str, str] | None:
    """(kind, slug) of a workflow's DAG, also of that of one of its parts; None for any other DAG."""
    kind, separator, rest = dag_id.partition("__")
    # A slug holds no underscore, so what follows one names a part.
    return (kind, rest.partition("__")[0]) if separator and kind in KINDS else None


def active_workflows(
    tx: Tx, kind: str, dag_id: str | None = None, shard: Shard | None = None
) -> list[WorkflowRow]:
    """Workflows of a kind that have a DAG, in one query, sorted by slug. A SYSTEM transaction.

    With ``dag_id`` that DAG's alone, if any; with ``shard`` those that the dag file of that number
    builds. A row that this version cannot read is left out with an error in the log: one bad row must not
    take every other DAG down with it.
    """
    slug = None
    if dag_id is not None:
        named = split_dag_id(dag_id)
        if named is None or named[0] != kind:
            return []
        slug = named[1]
    number, of = shard or (None, None)
    rows = tx.rows(f"read_{kind}s", slug=slug, active_only=True, shard=number, shards=of)
    return _workflows(rows, kind, strict=False)


def all_workflows(tx: Tx, kind: str, slug: str | None = None) -> list[WorkflowRow]:
    """Every workflow of a kind, whatever its status, sorted by slug. A SYSTEM transaction. Raises
    DefinitionError.
    """
    rows = tx.rows(f"read_{kind}s", slug=slug, active_only=False, shard=None, shards=None)
    return _workflows(rows, kind, strict=True)


def workflow(tx: Tx, name: str) -> WorkflowRow:
    """One workflow by its slug, or by ``kind/slug`` where kinds share the slug. A SYSTEM transaction.

    Raises PermanentError, naming the nearest.
    """
    kind, _, slug = name.rpartition("/")
    if kind and kind not in KINDS:
        raise PermanentError(f"{kind!r} is no kind of workflow{did_you_mean(kind, KINDS)}")
    found = [row for one in ([kind] if kind else KINDS) for row in all_workflows(tx, one, slug)]
    if len(found) > 1:
        names = " and ".join(f"{row.workflow.kind.lower()}/{slug}" for row in found)
        raise PermanentError(f"{slug!r} is the name of {names}: say which")
    if not found:
        known = {row["slug"] for row in tx.rows("workflow_slugs") if row["kind"] == (kind or row["kind"])}
        raise PermanentError(
            f"there is no {kind or 'site, mission or flow'} {slug!r}{did_you_mean(slug, known)}"
        )
    return found[0]


def all_accounts(tx: Tx) -> list[AccountRow]:
    """Every account, sorted by slug. A SYSTEM transaction. Raises DefinitionError."""
    return [
        AccountRow(row["id"], parse(Account, row["definition"] | {"members": row["members"]}, row["slug"]))
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
    return [parse(BrandContext, row["definition"], row["slug"]) for row in tx.rows("read_brands")]


def _workflows(rows: list[dict[str, Any]], kind: str, *, strict: bool) -> list[WorkflowRow]:
    # Parsed once each: a thousand sites of one account would otherwise parse it a thousand times.
    accounts: dict[int, Account] = {}
    brands: dict[int, BrandContext] = {}
    found = []
    for row in rows:
        try:
            account_id, brand_id = row["account_id"], row["brand_id"]
            if account_id not in accounts:
                accounts[account_id] = parse(Account, row["account"], row["account_slug"])
            if brand_id is not None and brand_id not in brands:
                brands[brand_id] = parse(BrandContext, row["brand"], str(brand_id))
            found.append(
                WorkflowRow(
                    account_id,
                    row["workflow_id"],
                    accounts[account_id],
                    parse(KINDS[kind], whole(row), row["slug"]),
                    None if brand_id is None else brands[brand_id],
                    row.get("completed_why"),
                )
            )
        except DefinitionError as error:
            if strict:
                raise
            logger.error("%s %s is left out: %s", kind, row["slug"], error)  # noqa: TRY400  # it says it all
    return found


def whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as stored, with what has columns of its own."""
    found: dict[str, Any] = dict(row["definition"])
    if row.get("status") is not None:
        found["status"] = row["status"]
    automation = row.get("automation")  # the row of a site's automation_configs
    if automation is not None:
        columns = {**automation, "time": automation["scheduled_time"]}
        found["automation"] = {name: columns[name] for name in Automation.model_fields}
    return found


def parse(model: type[M], data: Mapping[str, Any], slug: str) -> M:
    """A definition as stored. Raises DefinitionError for one that this version does not understand."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(
            [
                f"{model.__name__} {slug} as stored: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
                for detail in error.errors(include_url=False)
            ]
        ) from None
