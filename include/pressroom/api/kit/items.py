"""What the routes on keywords, clusters and ideas share: filters, texts, and the resource itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel

from pressroom.api.kit.access import Scope, Subject, allowed
from pressroom.api.kit.paging import Page, Paging
from pressroom.api.kit.problems import Problem, invalid, not_found
from pressroom.domain import public_ids
from pressroom.domain.definitions import Role, Rows
from pressroom.domain.errors import PermanentError
from pressroom.domain.public_ids import LARGEST, row_id
from pressroom.domain.text import normalize, quoted
from pressroom.engine import audit
from pressroom.store.database import Tx
from pressroom.store.quotas import must_have_room

SiteFilter = Annotated[int | None, Query(ge=1, le=LARGEST, description="the site's number")]
MissionFilter = Annotated[str | None, Query(max_length=30, examples=["msn_12"])]
FlowFilter = Annotated[str | None, Query(max_length=30, examples=["flw_12"])]
JobFilter = Annotated[str | None, Query(max_length=30, examples=["job_12"])]

V = TypeVar("V", bound=BaseModel)

ClusterFilter = Annotated[int | None, Query(ge=1, le=LARGEST, description="the cluster's number")]
DisabledFilter = Annotated[
    bool | None, Query(description="false: only those that stages work on; true: only the others")
]


def number_of(prefix: str, text: str | None) -> int | None:
    """Row number named by a filter. None: no filter given. 0 (matches nothing): not an id of this kind."""
    return None if text is None else row_id(prefix, text) or 0


def named_workflow(
    site: int | None = None, mission: str | None = None, flow: str | None = None
) -> tuple[str, int] | None:
    """(kind, number) of the workflow to filter by; None: no filter. Raises Problem 422 for several."""
    asked = {
        "site": site, "mission": number_of(public_ids.MISSION, mission),
        "flow": number_of(public_ids.FLOW, flow),
    }  # fmt: skip
    named = [(kind, number) for kind, number in asked.items() if number is not None]
    if len(named) > 1:
        kinds = [kind for kind, _ in named]
        remedy = f"name {' or '.join(f'a {kind}' for kind in kinds)}"
        detail = f"filter by {' or by '.join(kinds)}, not by several"
        raise invalid(f"query.{kinds[-1]}", detail, remedy=remedy)
    return named[0] if named else None


def workflow_of(site: int | None = None, mission: str | None = None, flow: str | None = None) -> int | None:
    """The number of the workflow to filter by; None: no filter. Raises Problem 422 for several."""
    named = named_workflow(site, mission, flow)
    return None if named is None else named[1]


def one_line(text: str) -> str:
    """The text with single spaces. Raises ValueError when it holds control characters."""
    line = " ".join(text.split())
    if any(unicodedata.category(character) == "Cc" for character in line):
        raise ValueError("holds control characters")
    return line


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is blank")
    return text


def _named(text: str) -> str:
    if not normalize(text):
        raise ValueError("holds no letter or digit")
    return text


Line = AfterValidator(one_line)
Filled = AfterValidator(_filled)
Named = AfterValidator(_named)
"""For a name: its normalized form identifies an item of the site."""


def check_site(tx: Tx, site: int | None) -> None:
    """Raises Problem 404 when the account has no such site."""
    if site is not None and tx.value("site_known", site=site) is None:
        raise not_found("site")


@dataclass(frozen=True)
class ItemResource(Generic[V]):
    """One kind of a site's items, with its statements.

    Kinds that callers create have ``create``, ``name`` and ``named``: ``name`` is the field that identifies
    an item of a site, ``named`` gives the id of the item with a normalized name, ``quota`` bounds how many.
    ``fixed``: the answer when
    the row can no longer be changed.
    """

    word: str
    view: type[V]
    page: str
    row: str
    change: str
    create: str = ""
    name: str = ""
    named: str = ""
    fixed: Callable[[], Problem] | None = None
    quota: Rows | None = None

    def show(self, row: Mapping[str, Any]) -> V:
        """The answer for a row."""
        return self.view.model_validate(row)

    def list(self, scope: Scope, paging: Paging, site: int | None, **filters: Any) -> Page[V]:
        """A page of the items, newest first."""
        with scope.transaction() as tx:
            check_site(tx, site)
            rows = tx.rows(self.page, before=paging.before, limit=paging.fetch, site=site, **filters)
        return paging.page(rows, self.show, lambda row: [row["id"]])

    def get(self, scope: Scope) -> V:
        """The item that a request is about."""
        with scope.transaction() as tx:
            return self.show(self._row(tx, scope.id))

    def add(
        self,
        scope: Scope,
        site: int,
        values: Mapping[str, Any],
        otherwise: Callable[[], Problem] | None = None,
    ) -> V:
        """Create an item. Raises Problem 409 when its name is taken, else what ``otherwise`` builds."""
        name = values[self.name]
        with scope.transaction() as tx:
            check_site(tx, site)
            if self.quota is not None:
                must_have_room(tx, self.quota, 1)
            number = tx.value(self.create, site=site, **self._with_normalized(values))
            if number is None:
                if otherwise is None or self._id_of(tx, site, name) is not None:
                    raise self._conflict(name)
                raise otherwise()
            target = f"{self.word}:{number}"
            scope.note(tx, f"{self.word}.create", target, before=None, after=audit.state(tx, target))
            return self.show(self._row(tx, number))

    def set(self, scope: Scope, action: str, changes: Mapping[str, Any]) -> V:
        """Change the item that a request is about. Raises Problem 409 when the name is taken or the row
        fixed.
        """
        subject = f"{self.word}:{scope.id}"
        with (
            self._name_conflict(scope, changes),
            scope.changing(f"{self.word}.{action}", subject) as tx,
        ):
            rows = tx.rows(self.change, id=scope.id, changes=self._with_normalized(changes))
            if not rows:
                raise self.fixed() if self.fixed else not_found(self.word)
            return self.show(rows[0])

    def add_routes(
        self, router: APIRouter, locate: Callable[..., Subject], *, disable: str, enable: str
    ) -> None:
        """Add the routes that all kinds have: get an item, disable it, enable it. The texts describe them."""

        def get(scope: Scope = allowed(Role.VIEWER, locate)) -> Any:
            return self.get(scope)

        def turn_off(scope: Scope = allowed(Role.EDITOR, locate)) -> Any:
            return self.set(scope, "disable", {"disabled": True})

        def turn_on(scope: Scope = allowed(Role.EDITOR, locate)) -> Any:
            return self.set(scope, "enable", {"disabled": False})

        for method, path, verb, endpoint, description in (
            ("GET", "/{id}", "get", get, f"One {self.word}."),
            ("POST", "/{id}/disable", "disable", turn_off, disable),
            ("POST", "/{id}/enable", "enable", turn_on, enable),
        ):
            router.add_api_route(
                path, endpoint, methods=[method], name=f"{verb}_{self.word}", description=description,
                response_model=self.view,
            )  # fmt: skip

    def _row(self, tx: Tx, number: int) -> dict[str, Any]:
        rows = tx.rows(self.row, id=number)
        if not rows:
            raise not_found(self.word)
        return rows[0]

    def _id_of(self, tx: Tx, site: int | None, name: str) -> int | None:
        number: int | None = tx.value(self.named, site=site, normalized=normalize(name))
        return number

    def _conflict(self, name: str) -> Problem:
        article = "an" if self.word[0] in "aeiou" else "a"
        detail = f"{self.name}: the site has {article} {self.word} {quoted(name)} already"
        return Problem(409, detail, remedy=f"choose another {self.name}")

    @contextmanager
    def _name_conflict(self, scope: Scope, changes: Mapping[str, Any]) -> Iterator[None]:
        """Turn a unique violation into the Problem that names it.

        Checked afterwards, because a check before is a race.
        """
        try:
            yield
        except PermanentError:
            name = changes.get(self.name)
            if name is None:
                raise
            with scope.transaction() as tx:
                holder = self._id_of(tx, scope.workflow_id, name)
            if holder in (None, scope.id):
                raise
            raise self._conflict(name) from None

    def _with_normalized(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, with the normalized form of the name when that is one of them."""
        return {**values, "normalized": normalize(values[self.name])} if self.name in values else dict(values)
