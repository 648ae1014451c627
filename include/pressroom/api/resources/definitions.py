"""What the routes for sites, missions, flows and brand contexts have in common."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Body, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pressroom.api.kit.access import Scope
from pressroom.api.kit.paging import Page, Paging
from pressroom.api.kit.problems import FieldProblem, Problem, invalid_fields, not_found
from pressroom.definitions import checking, rights, saving
from pressroom.definitions.applying import SlugTaken
from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.nodes import DEEPEST
from pressroom.definitions.saving import Stored
from pressroom.domain.definitions import BrandContext, Site, dump
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Kind
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import public_id
from pressroom.engine import audit
from pressroom.store.database import Tx
from pressroom.store.workflows import parse

logger = logging.getLogger(__name__)
D = TypeVar("D", Site, Mission, Flow, BrandContext)
V = TypeVar("V", bound=BaseModel)

FIXED = ("kind", "account", "slug")
MOST_PROBLEMS = 50
LONGEST_PROBLEM = 500
TRIES = 5
_UNPRINTABLE = re.compile(r"[\x00\ud800-\udfff]")
GOES_ON = "its live run goes on to its end; cancel the job to end it now"


class DefinitionView(BaseModel):
    """``live``: a run of it is running or paused. ``note``: what else to know about the change just made."""

    slug: str
    status: str
    dag_id: str = Field(
        description="its DAG, there when the DAG processor has read the definitions again;"
        " a draft has none before it is activated"
    )
    live: bool
    updated_at: datetime
    note: str | None = None


@dataclass(frozen=True)
class Documented:
    """Documents a body as a definition. It is read as any object, and ``checked`` validates it."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(self.model.__pydantic_core_schema__)
        inner = handler.resolve_ref_schema(schema)
        inner["required"] = [name for name in inner.get("required", []) if name != "account"]
        return schema


MergePatch = Annotated[
    dict[str, Any],
    Body(
        description="a JSON merge patch (RFC 7396) over the definition: what is null goes back to its"
        " default, lists are replaced as a whole; kind, account and slug cannot change",
        examples=[{"name": "Another name"}],
    ),
]


@dataclass(frozen=True)
class Resource(Generic[D, V]):
    """A kind of definition and its routes. ``answer``: what they show of one."""

    kind: Kind[D]
    path: str
    prefix: str | None
    answer: type[V]

    def view(self, stored: Stored, note: str | None = None) -> V:
        """The answer for a row. Raises DefinitionError when this version does not understand it."""
        definition = parse(self.kind.model, stored.data, stored.slug)
        return self.answer.model_validate({
            **stored.row, "id": self.public(stored), "note": note, "definition": definition,
            "status": getattr(definition, "status", None), "dag_id": getattr(definition, "dag_id", None),
        })  # fmt: skip

    def public(self, stored: Stored) -> int | str:
        """The id that callers use."""
        return stored.id if self.prefix is None else public_id(self.prefix, stored.id)

    def page(self, scope: Scope, paging: Paging, status: str | None = None) -> Page[V]:
        """The account's definitions, latest first. Leaves out those that cannot be read, and logs them."""
        with scope.transaction() as tx:
            rows = saving.listed(tx, self.kind, status=status, before=paging.before, limit=paging.fetch)
        page = paging.page(rows, self._readable, lambda row: [row.id])
        return Page(items=[item for item in page.items if item is not None], next_cursor=page.next_cursor)

    def get(self, scope: Scope) -> V:
        """The definition that the request is about."""
        return self.view(self.stored(scope))

    def stored(self, scope: Scope) -> Stored:
        """The row that the request is about. Raises Problem 404."""
        with scope.transaction() as tx:
            stored = saving.stored(tx, self.kind, id=scope.id)
        if stored is None:
            raise not_found(self.kind.word)
        return stored

    async def create(self, scope: Scope, request: Request, response: Response, body: Mapping[str, Any]) -> V:
        """Store a new definition, and answer with its address."""
        named = {"kind": self.kind.model.model_fields["kind"].default, "account": scope.account}
        definition = await self.checked(scope, {**named, **body})
        created = await run_in_threadpool(self._create, scope, definition)
        root = request.scope.get("root_path", "")
        response.headers["Location"] = f"{root}{self.path}/{self.public(created)}"
        return await run_in_threadpool(self.view, created)

    def _create(self, scope: Scope, definition: D) -> Stored:
        with _refusals(), scope.transaction() as tx:
            created = saving.create(tx, definition, scope.role)
            self._note(
                scope, tx, "create", created.id, slug=created.slug, before=None, after=dump(definition)
            )
            return created

    async def patch(self, scope: Scope, patch: Mapping[str, Any]) -> V:
        """Change the definition that the request is about by a merge patch."""

        def change(stored: Stored) -> Any:
            wrong = list(islice(_unusable(patch), MOST_PROBLEMS))
            if wrong:
                raise problem(wrong)
            return merged(stored.data, patch)

        return await run_in_threadpool(self.view, await self.edit(scope, "update", change))

    async def turn(
        self,
        scope: Scope,
        action: str,
        status: str,
        *,
        may: Callable[[Stored], None] = lambda stored: None,
        also: Callable[[Tx, Stored], None] | None = None,
    ) -> V:
        """Change the status. ``may`` raises when that is not possible; ``also``: as in ``edit``."""

        def change(stored: Stored) -> dict[str, Any]:
            may(stored)
            return {**stored.data, "status": status}

        turned = await self.edit(scope, action, change, also)
        note = GOES_ON if turned.row["live"] and status != "active" else None
        return await run_in_threadpool(self.view, turned, note)

    async def edit(
        self,
        scope: Scope,
        action: str,
        change: Callable[[Stored], Mapping[str, Any]],
        also: Callable[[Tx, Stored], None] | None = None,
    ) -> Stored:
        """Change the definition that the request is about. An audit line records the changed keys, if any.

        The result is checked before the transaction, because the check can take long. When another change is
        saved meanwhile, this one is made again. ``also``: more work in the same transaction, with the row
        before. ``change`` runs in a thread.
        """

        def changed() -> tuple[Stored, Mapping[str, Any]]:
            stored = self.stored(scope)
            return stored, change(stored)

        for _ in range(TRIES):
            before, data = await run_in_threadpool(changed)
            definition = await self.checked(scope, data, before)
            try:
                return await run_in_threadpool(self._update, scope, action, definition, before, also)
            except saving.ChangedMeanwhile:
                continue
        raise Problem(409, "other calls keep changing this definition", remedy="send it again")

    def _update(
        self,
        scope: Scope,
        action: str,
        definition: D,
        before: Stored,
        also: Callable[[Tx, Stored], None] | None,
    ) -> Stored:
        with _refusals(), scope.transaction() as tx:
            after, keys = saving.update(tx, definition, before.data, scope.role)
            if keys:
                self._note(scope, tx, action, scope.id, **audit.change(before.data, dump(definition)))
            if also is None:
                return after
            also(tx, before)
        return self.stored(scope)

    async def checked(self, scope: Scope, data: Mapping[str, Any], before: Stored | None = None) -> D:
        """The data as a definition. ``before``: the row that it replaces. Raises Problem 422."""
        wrong = await run_in_threadpool(self._unfit, scope, data, before)
        definition = None
        if not wrong:
            definition, wrong = await scope.admission.trials.check(
                scope.owner, self.kind.model, data, MOST_PROBLEMS
            )
        if definition is None:
            raise problem(wrong)
        return definition

    def _unfit(self, scope: Scope, data: Mapping[str, Any], before: Stored | None) -> list[DefinitionProblem]:
        wrong = list(islice(_unusable(data), MOST_PROBLEMS))
        if before is not None:
            wrong += [
                DefinitionProblem((key,), f"cannot change from {before.data.get(key)!r}")
                for key in FIXED
                if data.get(key) != before.data.get(key)
            ]
        elif data["account"] != scope.account:
            wrong.append(
                DefinitionProblem(
                    ("account",), f"must be {scope.account!r}: the account that the call is for"
                )
            )
        return wrong

    def _note(self, scope: Scope, tx: Tx, action: str, number: int, **details: Any) -> None:
        scope.note(tx, f"{self.kind.word}.{action}", f"{self.kind.word}:{number}", **details)

    def _readable(self, stored: Stored) -> V | None:
        try:
            return self.view(stored)
        except DefinitionError as error:
            logger.error("%s %s is left out: %s", self.kind.word, stored.slug, error)  # noqa: TRY400  # it says it all
            return None


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what saving refuses into its Problem."""
    try:
        yield
    except SlugTaken as conflict:
        detail = str(conflict)
        raise Problem(409, detail, errors=[FieldProblem(field="body.slug", detail=detail)]) from None
    except checking.WrongDefinition as error:
        raise problem(error.wrong) from None
    except rights.NotPermitted as error:
        raise _not_permitted(error) from None


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def problem(wrong: Sequence[DefinitionProblem]) -> Problem:
    """The answer for a wrong definition: each problem with its place in the body."""
    paths = [".".join(["body", *map(str, each.path)]) for each in wrong]
    return invalid_fields(
        (shorten(path, LONGEST_PROBLEM), shorten(each.message, LONGEST_PROBLEM))
        for path, each in zip(paths, wrong, strict=True)
    )


def _not_permitted(error: rights.NotPermitted) -> Problem:
    """The answer when the role does not suffice for a change: each field with the reason."""
    fields = [
        FieldProblem(
            field=".".join(["body", *map(str, each.path)]),
            detail=f"{each.why}: this needs the role {each.role}",
        )
        for each in error.needed
    ]
    remedy = "ask somebody with that role in the account, or leave these fields as they are"
    return Problem(403, shorten(str(error), LONGEST_PROBLEM), errors=fields[:MOST_PROBLEMS], remedy=remedy)


def _unusable(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[DefinitionProblem]:
    """The values that JSON can hold and the database cannot. The paths are safe to show."""
    if len(path) > DEEPEST:
        yield DefinitionProblem(path[:3], "is nested too deeply")
    elif isinstance(value, str) and _unprintable(value):
        yield DefinitionProblem(path, f"{shorten(ascii(value), 80)} has a character that no text can hold")
    elif isinstance(value, float) and not math.isfinite(value):
        yield DefinitionProblem(path, "must be a finite number")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _unusable(item, (*path, position))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if _unprintable(key):
                yield DefinitionProblem(
                    path, f"the key {shorten(ascii(key), 80)} has a character that no text can hold"
                )
            else:
                yield from _unusable(item, (*path, key))


def _unprintable(text: str) -> bool:
    return _UNPRINTABLE.search(text) is not None
