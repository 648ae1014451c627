"""Rows → definitions: what dag files, workers and commands work by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pressroom.domain.definitions import Account, Automation, BrandContext, Grants, dump
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.grants.access import NOTHING, Access, GrantKind
from pressroom.domain.kinds import WORKFLOW_KINDS, Workflow, word_of
from pressroom.domain.run import Run
from pressroom.domain.text import did_you_mean
from pressroom.store.database import Tx
from pressroom.store.grants import access_of

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)

Shard = tuple[int, int]
"""(number, of how many): a part of the workflows of a kind, the same ones for ever."""


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow as stored, with what it refers to.

    ``over``: why it is completed, None when it is not. ``scheduled_since``: when its schedule was last set.
    ``access``: what the account may name, nothing for the rows of DAG files.
    """

    account_id: int
    workflow_id: int
    account: Account
    workflow: Workflow
    brand: BrandContext | None
    over: str | None = None
    scheduled_since: datetime | None = None
    access: Access = NOTHING

    @property
    def definition(self) -> dict[str, Any]:
        """All definitions as plain JSON values: what a run goes by."""
        return {
            "account": dump(self.account),
            "workflow": dump(self.workflow),
            "brand": None if self.brand is None else dump(self.brand),
        }

    @property
    def name(self) -> str:
        """How people name it: ``site/acme-blog``."""
        return f"{word_of(self.workflow)}/{self.workflow.slug}"

    def run(self, run_id: int = 0, params: dict[str, Any] | None = None) -> Run:
        """A run of it. Without an id: one that is not opened, for estimates."""
        return Run(
            account=self.account, workflow=self.workflow, brand=self.brand, id=run_id,
            account_id=self.account_id, workflow_id=self.workflow_id, params=params or {}, access=self.access,
        )  # fmt: skip


@dataclass(frozen=True)
class UnreadableRow:
    """A workflow as stored that this version does not understand. ``kind``: its word; ``why``: one line."""

    kind: str
    account: str
    slug: str
    why: str


def log_unreadable(row: UnreadableRow) -> None:
    """What becomes of an unreadable row where nothing else is done about it."""
    logger.error("%s %s is left out: %s", row.kind, row.slug, row.why)


@dataclass(frozen=True)
class AccountRow:
    """An account as stored; its members are those of the members table."""

    account_id: int
    account: Account


def split_dag_id(dag_id: str) -> tuple[str, str] | None:
    """(kind, slug) of a workflow's DAG, also of that of one of its parts; None for any other DAG."""
    kind, separator, rest = dag_id.partition("__")
    # A slug holds no underscore, so what follows one names a part.
    return (kind, rest.partition("__")[0]) if separator and kind in WORKFLOW_KINDS else None


def active_workflows(
    tx: Tx,
    kind: str,
    dag_id: str | None = None,
    shard: Shard | None = None,
    report: Callable[[UnreadableRow], None] = log_unreadable,
) -> list[WorkflowRow]:
    """Workflows of a kind that have a DAG, in one query, sorted by slug. A SYSTEM transaction.

    With ``shard`` those that the dag file of that number builds. With ``dag_id`` the one behind that DAG,
    whatever its status: a worker asks for what Airflow has started already, and its first task refuses a run
    of a workflow that takes none. A row that this version cannot read is left out and given to ``report``:
    one bad row must not take every other DAG down with it.
    """
    slug = None
    if dag_id is not None:
        named = split_dag_id(dag_id)
        if named is None or named[0] != kind:
            return []
        slug = named[1]
    number, of = shard or (None, None)
    every = dag_id is not None
    rows = _rows(tx, kind, slug=slug, active_only=not every, shard=number, shards=of)
    return _workflows(kind, rows, {}, report)


def all_workflows(
    tx: Tx, kind: str, slug: str | None = None, report: Callable[[UnreadableRow], None] | None = None
) -> list[WorkflowRow]:
    """Every workflow of a kind, whatever its status, sorted by slug. A SYSTEM transaction.

    ``report``: gets the rows that cannot be read. Without it, such a row is a DefinitionError.
    """
    return _with_access(tx, kind, report, slug=slug)


def workflow_by_id(tx: Tx, kind: str, id: int) -> WorkflowRow:
    """One workflow of a kind. The caller has checked whose it is. Raises PermanentError, DefinitionError."""
    rows = _with_access(tx, kind, id=id)
    if not rows:
        raise PermanentError(f"there is no {kind} {id}")
    return rows[0]


def workflow(tx: Tx, name: str) -> WorkflowRow:
    """One workflow by its slug, or by ``kind/slug`` where kinds share the slug. A SYSTEM transaction.

    Raises PermanentError, naming the nearest.
    """
    kind, _, slug = name.rpartition("/")
    if kind and kind not in WORKFLOW_KINDS:
        raise PermanentError(f"{kind!r} is not a kind of workflow{did_you_mean(kind, WORKFLOW_KINDS)}")
    kinds = [kind] if kind else WORKFLOW_KINDS
    rows = [row for kind_of_row in kinds for row in all_workflows(tx, kind_of_row, slug)]
    if len(rows) > 1:
        raise PermanentError(f"{slug!r} is the name of {' and '.join(row.name for row in rows)}: say which")
    if not rows:
        known = {row["slug"] for row in tx.rows("workflow_slugs") if row["kind"] == (kind or row["kind"])}
        raise PermanentError(
            f"there is no {kind or 'site, mission or flow'} {slug!r}{did_you_mean(slug, known)}"
        )
    return rows[0]


def all_accounts(tx: Tx) -> list[AccountRow]:
    """Every account, sorted by slug. A SYSTEM transaction. Raises DefinitionError."""
    return [
        AccountRow(row["id"], parse(Account, row["definition"] | _of_tables(row), row["slug"]))
        for row in tx.rows("read_accounts")
    ]


def _of_tables(row: Mapping[str, Any]) -> dict[str, Any]:
    """What an account's definition has tables of its own for."""
    grants = Grants.of((GrantKind(kind), name) for kind, name in row["grants"])
    granted = dump(grants) if row["grants"] else None
    return {"members": row["members"], "grants": granted, "notices": row["notices"]}


def account_by_slug(tx: Tx, slug: str) -> AccountRow:
    """One account. A SYSTEM transaction. Raises PermanentError, naming the nearest."""
    accounts = {row.account.slug: row for row in all_accounts(tx)}
    if slug not in accounts:
        raise PermanentError(f"there is no account {slug!r}{did_you_mean(slug, accounts)}")
    return accounts[slug]


def all_brands(tx: Tx) -> list[BrandContext]:
    """Every brand context, sorted by account and slug. A SYSTEM transaction. Raises DefinitionError."""
    return [parse(BrandContext, row["definition"], row["slug"]) for row in tx.rows("read_brands")]


def _rows(tx: Tx, word: str, **which: Any) -> list[dict[str, Any]]:
    everything = {"id": None, "slug": None, "active_only": False, "shard": None, "shards": None}
    return tx.rows(WORKFLOW_KINDS[word].read, **everything | which)


def _with_access(
    tx: Tx, word: str, report: Callable[[UnreadableRow], None] | None = None, **which: Any
) -> list[WorkflowRow]:
    rows = _rows(tx, word, **which)
    return _workflows(word, rows, access_of(tx, {row["account_id"] for row in rows}), report)


def _workflows(
    word: str,
    rows: Sequence[Mapping[str, Any]],
    access: Mapping[int, Access],
    report: Callable[[UnreadableRow], None] | None,
) -> list[WorkflowRow]:
    # Parsed once each: a thousand sites of one account would otherwise parse it a thousand times.
    accounts: dict[int, Account] = {}
    brands: dict[int, BrandContext] = {}
    kind = WORKFLOW_KINDS[word]
    workflows = []
    for row in rows:
        try:
            account_id, brand_id = row["account_id"], row["brand_id"]
            if account_id not in accounts:
                accounts[account_id] = parse(Account, row["account"], row["account_slug"])
            if brand_id is not None and brand_id not in brands:
                brands[brand_id] = parse(BrandContext, row["brand"], str(brand_id))
            workflows.append(
                WorkflowRow(
                    account_id,
                    row["workflow_id"],
                    accounts[account_id],
                    parse(kind.model, whole(row), row["slug"]),
                    None if brand_id is None else brands[brand_id],
                    row.get("completed_why"),
                    row["scheduled_since"],
                    _own(access.get(account_id, NOTHING), row),
                )
            )
        except DefinitionError as error:
            if report is None:
                raise
            report(UnreadableRow(word, row["account_slug"], row["slug"], "; ".join(error.problems)))
    return workflows


def _own(access: Access, row: Mapping[str, Any]) -> Access:
    """With the asset of an own site, if the flow waits for one."""
    own = row.get("own_asset")
    return access if own is None else access.with_names({(GrantKind.ASSET, own)})


def whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as stored, with what has columns of its own."""
    data: dict[str, Any] = dict(row["definition"])
    if row.get("status") is not None:
        data["status"] = row["status"]
    automation = row.get("automation")  # the row of a site's automation_configs
    if automation is not None:
        columns = {**automation, "time": automation["scheduled_time"]}
        data["automation"] = {name: columns[name] for name in Automation.model_fields}
    return data


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
