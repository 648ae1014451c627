"""What an account has of what its quotas bound."""

from __future__ import annotations

from pressroom.domain.definitions import Quotas, Rows
from pressroom.store.database import Tx
from pressroom.store.workflows import parse

MANY = 1_000_000


def quotas_of(tx: Tx) -> Quotas:
    """The quotas of the transaction's account. Raises DefinitionError."""
    row = tx.rows("account_quotas")[0]
    return parse(Quotas, row["quotas"] or {}, row["slug"])


def room_for(tx: Tx, what: Rows) -> int:
    """How many rows the account may still add; 0 when it has too many already."""
    quota: int = getattr(quotas_of(tx), what)
    used: int = tx.value("quota_used", what=what, most=quota + 1)
    return max(0, quota - used)


def must_have_room(tx: Tx, what: Rows, more: int = 0) -> int:
    """How many rows the account may still add. ``more``: rows that come; 0: they are there already.

    Raises QuotaExceeded when they are too many.
    """
    quotas = quotas_of(tx)
    quota: int = getattr(quotas, what)
    used: int = tx.value("quota_used", what=what, most=quota + 1)
    quotas.must_hold(what, used + more)
    return quota - used


def gates_of(tx: Tx) -> int:
    """How many gates the account's flows have together."""
    number: int = tx.value("quota_used", what="gates", most=MANY)
    return number


def must_not_outgrow(tx: Tx, gates: int) -> None:
    """Raises QuotaExceeded when the flows have more gates than the account may have, and than before: who has
    too many may still have fewer.
    """
    now = gates_of(tx)
    if now > gates:
        quotas_of(tx).must_hold("gates", now)
