"""Grants: what an account may name, given and taken back by an operator, on record in the audit log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pressroom.definitions import notices
from pressroom.domain.grants.access import Name
from pressroom.domain.grants.named import grantable
from pressroom.domain.kinds import WORKFLOW_KINDS, Workflow
from pressroom.engine import audit
from pressroom.store import grants
from pressroom.store.database import Tx
from pressroom.store.workflows import AccountRow, all_accounts, all_workflows, log_unreadable


def grant(tx: Tx, account: AccountRow | None, granted: Collection[Name], by: str) -> list[Name]:
    """Grant names to an account, None: to every account. Returns those that are new. A SYSTEM transaction.

    An only account without grants may name everything. With its first grant it is granted what its
    definitions name as well, so that nothing stops.
    """
    tx.value("lock_definitions")
    if account is not None and account.account.grants is None and len(all_accounts(tx)) == 1:
        granted = {*granted, *_named(tx, account)}
    new = grants.grant(tx, None if account is None else account.account_id, granted, by)
    _note(tx, account, by, "account.grant", new)
    return new


def take_back(tx: Tx, account: AccountRow | None, granted: Collection[Name], by: str) -> list[Name]:
    """Take grants back. Returns those that there were. A SYSTEM transaction.

    It counts at once, also for runs that are on.
    """
    tx.value("lock_definitions")
    gone = grants.take_back(tx, None if account is None else account.account_id, granted)
    _note(tx, account, by, "account.revoke", gone, taken=True)
    return gone


def before_another(tx: Tx, by: str) -> None:
    """Before a second account is made: grant the only one what its definitions name, if it has no grants."""
    accounts = all_accounts(tx)
    if len(accounts) == 1 and accounts[0].account.grants is None:
        [only] = accounts
        named = _named(tx, only)
        _note(tx, only, by, "account.grant", grants.grant(tx, only.account_id, named, by))


def named_by(workflows: Iterable[Workflow], account: str) -> set[Name]:
    """What an account's definitions name."""
    names: set[Name] = set()
    for workflow in workflows:
        if workflow.account == account:
            names |= grantable(workflow)
    return names


def _named(tx: Tx, account: AccountRow) -> set[Name]:
    rows = [row for kind in WORKFLOW_KINDS for row in all_workflows(tx, kind, report=log_unreadable)]
    own = named_by((row.workflow for row in rows), account.account.slug)
    return own | notices.named(account.account.notices or ())


def _note(
    tx: Tx, account: AccountRow | None, by: str, action: str, names: Sequence[Name], *, taken: bool = False
) -> None:
    """What is shared is on record with every account."""
    shown = [f"{kind} {name}".strip() for kind, name in names]
    for row in (all_accounts(tx) if account is None else [account]) if names else ():
        audit.note(
            tx.for_account(row.account_id), by, action, f"account:{row.account.slug}",
            before=shown if taken else None, after=None if taken else shown, shared=account is None,
        )  # fmt: skip
