"""Links that open something for somebody without a login: one piece, a queue of pieces, or a report.

A link is a random secret, of which only the hash is stored beside what it opens, in which account, with which
right and until when. It can be revoked, ends with the member or the API key that made it, and gives no more
than that member may do today.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pressroom.domain.definitions import Role
from pressroom.domain.errors import PermanentError
from pressroom.domain.text import storable
from pressroom.store.database import Tx

SECRET_PREFIX = "prl_"
Opens = Literal["queue", "piece", "report"]
LinkRole = Literal["viewer", "approver"]


@dataclass(frozen=True)
class Link:
    """A valid link. ``kind``, ``number``: the row that it is for; None: the whole account.

    ``role``: what it permits today; ``recipient``: for whom it was made; ``sent_by``: who made it, as the
    audit log names them.
    """

    id: int
    account_id: int
    account: str
    opens: Opens
    kind: str | None
    number: int | None
    role: Role
    recipient: str
    sent_by: str
    expires_at: datetime

    def reaches(self, *rows: tuple[str | None, int | None]) -> bool:
        """Whether it is for something that is, or belongs to, one of these rows."""
        return self.kind is None or (self.kind, self.number) in rows


@dataclass(frozen=True)
class LinkMaker:
    """Who makes a link. ``label``: as in the audit log; ``member``, ``key_id``: with whom it ends."""

    label: str
    member: str | None = None
    key_id: int | None = None


@dataclass(frozen=True)
class LinkFor:
    """What a link is for, and for whom. ``kind``, ``number``: as in ``Link``; ``expires_at``: aware."""

    opens: Opens
    recipient: str
    expires_at: datetime
    kind: str | None = None
    number: int | None = None
    role: LinkRole = "viewer"


def make(tx: Tx, wanted: LinkFor, maker: LinkMaker) -> tuple[int, str]:
    """Make a link in the transaction's account. Returns its number and its secret, which is kept nowhere.

    Raises PermanentError for a link for nobody.
    """
    recipient = storable(wanted.recipient).strip()
    if not recipient:
        raise PermanentError("a link needs a recipient: say for whom it is")
    secret = f"{SECRET_PREFIX}{secrets.token_urlsafe(32)}"
    number: int = tx.value(
        "link_insert", opens=wanted.opens, kind=wanted.kind, number=wanted.number, role=wanted.role,
        recipient=recipient, secret_hash=hash_of_link(secret), by=maker.label, member=maker.member,
        key=maker.key_id, expires_at=wanted.expires_at,
    )  # fmt: skip
    return number, secret


def find(tx: Tx, secret: str) -> Link | None:
    """The link with this secret; None for one that is unknown or over. Needs a SYSTEM transaction."""
    rows = tx.rows("link_by_hash", secret_hash=hash_of_link(secret))
    if not rows:
        return None
    [row] = rows
    if row.pop("worth_noting"):
        tx.run("link_used", link=row["id"])
    role, makers = Role(row.pop("role")), row.pop("makers_role")
    if makers is not None and not Role(makers).covers(role):
        role = Role.VIEWER  # its maker may decide nothing any more
    return Link(role=role, **row)


def hash_of_link(secret: str) -> str:
    """The hash that is stored of a secret. The secret is random, so no salt is needed."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
