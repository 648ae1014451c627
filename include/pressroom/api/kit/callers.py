"""The caller of a request: an Airflow user, by bearer token or session cookie, an API key of an account, or
somebody without a login who has a link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import Scope as RawScope

from pressroom.api.kit.limits.admission import Admission
from pressroom.api.kit.limits.rates import address_of
from pressroom.api.kit.limits.watching import Reader
from pressroom.api.kit.ports import ControlPlane, Login
from pressroom.api.kit.problems import Problem
from pressroom.domain.definitions import Role
from pressroom.engine.links import Link

KEY_PREFIX = "prk_"
_CALLER = "pressroom.caller"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Caller:
    """A user, an API key or a visitor. ``account_id`` and ``role``: of a key or a link; a user's depend on
    the account.

    ``maker``: of an API key the member with whom it ends; None for one that an administrator made. ``link``:
    the visitor's.
    """

    name: str
    admin: bool = False
    key_id: int | None = None
    account_id: int | None = None
    role: Role | None = None
    maker: str | None = None
    link: Link | None = None

    @property
    def label(self) -> str:
        """How logs and the audit name them."""
        if self.link is not None:
            return f"link:{self.link.id}"
        return f"user:{self.name}" if self.key_id is None else f"key:{self.key_id}"

    @property
    def signature(self) -> str:
        """How rows name who did something: a user by the plain name, an API key as ``key:3``, a visitor as
        ``link:3``.

        A user with a name that reads like another kind's is ``user:NAME``: nobody passes for a key.
        """
        plain = self.username is not None and ":" not in self.name
        return self.name if plain else self.label

    @property
    def purse(self) -> str:
        """Whose limits count: a user's own, a link's own, or those of an account for all of its API keys
        together.
        """
        if self.link is not None:
            return self.label
        return f"user:{self.name}" if self.account_id is None else purse_of(self.account_id)

    @property
    def reader(self) -> Reader | None:
        """Who reads a log on; None for an administrator, who may always."""
        return None if self.admin else Reader(self.key_id, self.username, self.link.id if self.link else None)

    @property
    def username(self) -> str | None:
        """The Airflow user; None for a key or a visitor: they must not get the rights of a user so named."""
        return self.name if self.key_id is None and self.link is None else None

    @property
    def facts(self) -> dict[str, str]:
        """What the audit log has of a key or a link beside its number: what it was called, who sent it."""
        if self.link is not None:
            return {"recipient": self.link.recipient, "sent_by": self.link.sent_by}
        return {} if self.key_id is None else {"key": self.name}

    def reaches(self, *rows: tuple[str | None, int | None]) -> bool:
        """Whether the caller may see anything of these rows, (kind, number) each: a link is for some only."""
        return self.link is None or self.link.reaches(*rows)

    def role_in(self, account_id: int, member: str | None) -> Role | None:
        """The caller's role in an account; ``member``: the role by membership."""
        if self.admin:
            return Role.OWNER
        if self.account_id is not None:
            return self.role if account_id == self.account_id else None
        return None if member is None else Role(member)


def purse_of(account_id: int) -> str:
    """Whose limits count for what an account does."""
    return f"account:{account_id}"


def plane_of(request: Request) -> ControlPlane:
    """The app's way to Airflow and the database."""
    plane: ControlPlane = request.app.state.plane
    return plane


def admission_of(request: Request) -> Admission:
    """The limits of the app."""
    admission: Admission = request.app.state.admission
    return admission


async def caller_of(request: Request) -> Caller:
    """The caller of a request, whom ``Doors`` has let in."""
    caller: Caller = request.scope[_CALLER]
    return caller


def remember_caller(scope: RawScope, caller: Caller) -> None:
    """Note who sends the request, for ``caller_of``."""
    scope[_CALLER] = caller


async def identify(request: Request) -> Caller:
    """The caller of a request, and count the call with the size that its body is said to have.

    Raises Problem 401, 403 (a cross-site write by cookie) or 429.
    """
    admission, plane = admission_of(request), plane_of(request)
    token = bearer_of(request)
    if token.startswith(KEY_PREFIX):
        caller = await _by_key(admission, plane, token, address_of(request))
    else:
        login = await plane.login(request)
        if login is None:
            raise Problem(
                401, "this needs a login", headers={"WWW-Authenticate": "Bearer"},
                remedy="log in to Airflow, or send a bearer token: Airflow's, or an API key of Pressroom's",
            )  # fmt: skip
        _refuse_cross_site(request, login)
        caller = Caller(login.name, admin=login.admin)
    admission.rates.count(caller.purse, announced_size(request))
    return caller


def announced_size(request: Request) -> int:
    """The bytes that a request's body is said to have."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdigit() else 0


def bearer_of(request: Request) -> str:
    """The bearer token of a request; "" without one."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def hash_of_key(key: str) -> str:
    """The hash that is stored of an API key. The key is random, so no salt is needed."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


async def _by_key(admission: Admission, plane: ControlPlane, token: str, address: str) -> Caller:
    key_hash = hash_of_key(token)
    caller = await by_secret(admission, key_hash, address, lambda: _found(plane, key_hash))
    if caller is None:
        raise Problem(
            401, "this API key is not known, has expired, or was revoked",
            headers={"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
    return caller


async def by_secret(
    admission: Admission, secret_hash: str, address: str, find: Callable[[], Caller | None]
) -> Caller | None:
    """The caller with a secret, an API key's or a link's. Wrong ones are counted by address, and soon not
    looked for any more; one that was valid is not among them, so that nobody at the same address can shut it
    out. ``find``: blocks. Raises Problem 429.
    """
    account = admission.account_of(secret_hash)
    if account is None:
        admission.failures.check(address)
    async with admission.lookups.place(address if account is None else purse_of(account)):
        caller = await run_in_threadpool(find)
    admission.remember(secret_hash, None if caller is None else caller.account_id)
    if caller is None:
        admission.failures.add(address, 1)
    return caller


def _found(plane: ControlPlane, key_hash: str) -> Caller | None:
    with plane.store().transaction() as tx:
        rows = tx.rows("api_key_by_hash", key_hash=key_hash)
        if not rows:
            return None
        [row] = rows
        if row["worth_noting"]:
            tx.run("api_key_used", key=row["id"])
    role, makers = Role(row["role"]), row["makers_role"]
    if makers is not None and not Role(makers).covers(role):
        role = Role(makers)  # its maker has lost the role since
    return Caller(row["name"], key_id=row["id"], account_id=row["account_id"], role=role, maker=row["member"])


def _refuse_cross_site(request: Request, login: Login) -> None:
    """Refuse writes by cookie from another site: a browser adds cookies to every site's requests."""
    if not login.by_cookie or request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is not None and urlsplit(origin).netloc == request.headers.get("Host")
    if not own:
        raise Problem(
            403, "this write comes from another site, or does not say from which",
            remedy="send a bearer token instead of the session cookie",
        )  # fmt: skip


PlaneDep = Annotated[ControlPlane, Depends(plane_of)]
