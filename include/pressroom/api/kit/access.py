"""The access rules: what a caller may do.

Every route has a rule: the lowest role, and how to find the account that the request is about. Airflow's auth
manager or an API key identifies the caller, membership gives the caller's accounts. What belongs to another
account does not exist for the caller (404); what the caller's role does not permit is refused (403).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, TypeVar

from fastapi import Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from pressroom.api.kit.callers import Caller, admission_of, caller_of, plane_of, purse_of
from pressroom.api.kit.limits.admission import Admission
from pressroom.api.kit.ports import ControlPlane
from pressroom.api.kit.problems import Problem, not_found
from pressroom.api.kit.queries import only_known
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import row_id, row_number
from pressroom.engine import audit
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.store.workflows import WorkflowRow, workflow_by_id

P = ParamSpec("P")
T = TypeVar("T")

SubjectKind = Literal[
    "site", "mission", "flow", "job", "article", "post", "publication", "keyword", "cluster", "idea",
    "insight", "brand", "item", "gate", "key", "link", "account", "login",
]  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """What a route requires. ``role`` None: only a login."""

    role: Role | None
    kind: SubjectKind


@dataclass(frozen=True)
class Subject:
    """What a request is about. ``id`` None: no such id can exist. Of an account: ``slug``, if named."""

    kind: SubjectKind
    id: int | None = None
    slug: str | None = None


@dataclass(frozen=True)
class Owned:
    """The account and the workflow of a subject. ``role``: the caller's membership."""

    account_id: int
    workflow_id: int | None
    workflow_kind: str | None
    account: str
    role: str | None


@dataclass(frozen=True)
class Scope:
    """A request's reach: one account, in which the caller has a role that suffices.

    ``role``: the caller's. ``id``: the row that the request is about, of that ``kind``; ``workflow_id``,
    ``workflow_kind``: the workflow that it belongs to.
    """

    plane: ControlPlane
    admission: Admission
    caller: Caller
    account_id: int
    account: str
    role: Role
    id: int
    workflow_id: int | None = None
    workflow_kind: str | None = None
    kind: SubjectKind = "account"

    @property
    def owner(self) -> str:
        """Whose share of the server the request uses: the account's, or the caller's without an account."""
        return self.caller.purse if self.account_id == SYSTEM else purse_of(self.account_id)

    @property
    def store(self) -> Store:
        """Pressroom's database."""
        return self.plane.store()

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction in the account. One that changes something adds to the audit log; see ``note``."""
        with self.store.transaction(self.account_id) as tx:
            yield tx

    async def run(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``work(tx, ...)`` in a transaction in the account, for async routes."""
        return await self.store.run(self.account_id, work, *args, **kwargs)

    @contextmanager
    def changing(self, action: str, target: str, **details: Any) -> Iterator[Tx]:
        """A transaction that is on record in the audit log when it succeeds, and only then.

        ``target``: the row that it changes, as ``audit.state`` knows it.
        """
        with (
            self.transaction() as tx,
            audit.changing(tx, self.caller.label, action, target, **self.caller.facts, **details),
        ):
            yield tx

    def note(self, tx: Tx, action: str, target: str, *, before: Any, after: Any, **details: Any) -> None:
        """Add a line to the audit log: who did what, to what, and what it was before and after."""
        label = self.caller.label
        audit.note(tx, label, action, target, before=before, after=after, **self.caller.facts, **details)

    def member(self, tx: Tx) -> str | None:
        """The member with whom ends what the caller makes for others. None: an administrator who is none."""
        if self.caller.key_id is not None:
            return self.caller.maker
        return self.caller.username if tx.value("is_member", username=self.caller.username) else None

    def workflow(self, tx: Tx) -> WorkflowRow:
        """The workflow that the request is about. Raises Problem 404 when it is not about one."""
        if self.workflow_id is None or self.workflow_kind is None:
            raise not_found("workflow")
        return workflow_by_id(tx, self.workflow_kind, self.workflow_id)


# What a request is about ------------------------------------------------------------------------------


SUBJECT_OF: dict[Callable[..., Subject], SubjectKind] = {}
"""What each of the dependencies below reads from a request."""


def _numbered(kind: SubjectKind) -> Callable[..., Subject]:
    def locate(id: str = Path(description=f"the {kind}'s number", examples=["12"])) -> Subject:
        return Subject(kind, row_number(id))

    SUBJECT_OF[locate] = kind
    return locate


def _prefixed(kind: SubjectKind, prefix: str) -> Callable[..., Subject]:
    def locate(id: str = Path(description=f"the {kind}'s id", examples=[f"{prefix}_12"])) -> Subject:
        return Subject(kind, row_id(prefix, id))

    SUBJECT_OF[locate] = kind
    return locate


def _content(
    id: Annotated[
        str, Path(description="art_… for an article, cnt_… for a post", examples=["art_12", "cnt_12"])
    ],
) -> Subject:
    article = row_id(public_ids.ARTICLE, id)
    return Subject("post", row_id(public_ids.CONTENT, id)) if article is None else Subject("article", article)


def _account(
    account: Annotated[
        str | None,
        Query(max_length=60, description="the account's slug; can be left out by callers who have only one"),
    ] = None,
) -> Subject:
    return Subject("account", slug=account)


SITE = _numbered("site")
KEYWORD = _numbered("keyword")
CLUSTER = _numbered("cluster")
IDEA = _numbered("idea")
MISSION = _prefixed("mission", public_ids.MISSION)
FLOW = _prefixed("flow", public_ids.FLOW)
BRAND = _prefixed("brand", public_ids.BRAND)
JOB = _prefixed("job", public_ids.JOB)
PUBLICATION = _prefixed("publication", public_ids.PUBLICATION)
INSIGHT = _prefixed("insight", public_ids.INSIGHT)
ITEM = _prefixed("item", public_ids.ITEM)
GATE = _prefixed("gate", public_ids.GATE)
KEY = _prefixed("key", public_ids.KEY)
LINK = _prefixed("link", public_ids.LINK)
CONTENT = _content
ACCOUNT = _account
SUBJECT_OF |= {CONTENT: "article", ACCOUNT: "account"}


def allowed(role: Role, locate: Callable[..., Subject], kind: SubjectKind | None = None) -> Any:
    """The rule of a route, as the dependency that gives it its Scope.

    ``locate``: the dependency that reads from the request what it is about. The request holds one of the
    account's places until its answer is made.
    """
    rule = Rule(role, kind or SUBJECT_OF[locate])

    async def scope(
        request: Request, caller: Caller = Depends(caller_of), subject: Subject = Depends(locate)
    ) -> AsyncIterator[Scope]:
        only_known(request)
        admission = admission_of(request)
        async with admission.lookups.place(caller.purse):
            entered = await run_in_threadpool(enter, plane_of(request), admission, caller, subject, role)
        async with admission.work.place(entered.owner):
            yield entered

    scope.rule = rule  # type: ignore[attr-defined]
    return Depends(scope, scope="function")


def signed_in() -> Any:
    """The rule of a route that demands only a login, as the dependency that gives it the Caller."""

    async def login(request: Request, caller: Caller = Depends(caller_of)) -> AsyncIterator[Caller]:
        async with admission_of(request).work.place(caller.purse):
            yield caller

    login.rule = Rule(None, "login")  # type: ignore[attr-defined]
    return Depends(login, scope="function")


def enter(plane: ControlPlane, admission: Admission, caller: Caller, subject: Subject, role: Role) -> Scope:
    """The scope of a request. Raises Problem 404, or 403 when the role does not suffice."""
    name = "content" if subject.kind in ("article", "post") else subject.kind
    with plane.store().transaction() as tx:
        owned = _account_of(tx, caller, subject) if subject.kind == "account" else _owned(tx, caller, subject)
    if owned is None and subject.kind == "account" and subject.slug is None and role is Role.VIEWER:
        return Scope(
            plane, admission, caller, SYSTEM, "", Role.VIEWER, 0
        )  # a caller without an account has empty lists
    if owned is None:
        raise not_found(name)
    own_role = caller.role_in(owned.account_id, owned.role)
    reached = caller.reaches((subject.kind, subject.id), (owned.workflow_kind, owned.workflow_id))
    if own_role is None or not reached:
        raise not_found(name)
    if not own_role.covers(role):
        raise Problem(
            403, f"this needs the role {role} in the account {owned.account}, and yours is {own_role}",
            remedy="ask an owner of the account",
        )  # fmt: skip
    return Scope(
        plane, admission, caller, owned.account_id, owned.account, own_role, subject.id or 0,
        owned.workflow_id, owned.workflow_kind, subject.kind,
    )  # fmt: skip


def _owned(tx: Tx, caller: Caller, subject: Subject) -> Owned | None:
    if subject.id is None:
        return None
    return tx.maybe("owner_of", Owned, kind=subject.kind, id=subject.id, username=caller.username)


def _account_of(tx: Tx, caller: Caller, subject: Subject) -> Owned | None:
    """The account of a list or a creation: the one that is named, else the caller's only one."""
    if subject.slug is not None:
        return tx.maybe("account_for", Owned, slug=subject.slug, username=caller.username)
    accounts = accounts_of(tx, caller, limit=2)
    if len(accounts) > 1:
        raise Problem(
            400,
            "account: you have several accounts, and the call names none",
            remedy="add ?account=SLUG; GET accounts lists yours",
        )
    return accounts[0] if accounts else None


def accounts_of(tx: Tx, caller: Caller, *, limit: int | None = None) -> list[Owned]:
    """The accounts that a caller has a role in, by slug. A SYSTEM transaction."""
    if caller.link is not None:
        return tx.all("account_of_link", Owned, link=caller.link.id)
    if caller.admin:
        return tx.all("accounts_of_admin", Owned, limit=limit)
    if caller.key_id is not None:
        return tx.all("account_of_key", Owned, key=caller.key_id)
    return tx.all("accounts_of_member", Owned, username=caller.username, limit=limit)


def scopes_of(plane: ControlPlane, admission: Admission, caller: Caller) -> list[Scope]:
    """A scope in each account that a caller has a role in, by slug. Blocks."""
    with plane.store().transaction() as tx:
        accounts = accounts_of(tx, caller)
    roles = [(owned, caller.role_in(owned.account_id, owned.role)) for owned in accounts]
    return [
        Scope(plane, admission, caller, owned.account_id, owned.account, role, owned.account_id)
        for owned, role in roles
        if role is not None
    ]


# No route is without a rule -------------------------------------------------------------------------


def rule_of(route: APIRoute) -> Rule | None:
    """The rule of a route; None when it has none."""
    waiting = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        rule = getattr(dependant.call, "rule", None)
        if isinstance(rule, Rule):
            return rule
        waiting += dependant.dependencies
    return None
