"""What the routes for sites, missions, flows and brand contexts have in common."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Body, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pressroom.api.kit.access import Scope
from pressroom.api.kit.paging import Page, Paging
from pressroom.api.kit.patches import MOST_PROBLEMS, merged, not_permitted, problem, unusable
from pressroom.api.kit.problems import FieldProblem, Problem, not_found
from pressroom.definitions import checking, rights, saving
from pressroom.definitions.applying import SlugTaken
from pressroom.definitions.checking import DefinitionProblem
from pressroom.definitions.saving import Stored
from pressroom.domain.definitions import BrandContext, Site, dump
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Kind
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import public_id
from pressroom.domain.text import differences, to_json
from pressroom.engine import audit
from pressroom.engine.runs.upcoming import next_runs
from pressroom.store.database import Tx
from pressroom.store.workflows import parse

logger = logging.getLogger(__name__)
D = TypeVar("D", Site, Mission, Flow, BrandContext)
V = TypeVar("V", bound=BaseModel)

FIXED = ("kind", "account", "slug")
TRIES = 5
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
    version: str = Field(description="changes whenever the definition does; send it as If-Match with a PATCH")
    note: str | None = None


class DefinitionPreview(BaseModel):
    """What a change would make of a definition. ``changed``: the dotted keys; nothing is saved."""

    definition: dict[str, Any]
    changed: list[str]
    next_runs: list[datetime] = Field(description="the next five starts by its schedule, in its time zone")
    version: str = Field(description="of the definition as it is stored")


SeenVersion = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=100,
        description="the version that the change is made of: 412 when another was saved meanwhile",
    ),
]


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
            "version": version_of(stored),
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
        with refusals(), scope.transaction() as tx:
            created = saving.create(tx, definition, scope.role)
            self._note(
                scope, tx, "create", created.id, slug=created.slug, before=None, after=dump(definition)
            )
            return created

    async def patch(self, scope: Scope, patch: Mapping[str, Any], seen: str | None = None) -> V:
        """Change the definition that the request is about by a merge patch. ``seen``: the version that the
        caller has read. Raises Problem 412 when it is another by now.
        """

        def change(stored: Stored) -> Any:
            self._must_be(scope, stored, seen)
            return _patched(stored, patch)

        return await run_in_threadpool(self.view, await self.edit(scope, "update", change))

    def preview(self, scope: Scope, patch: Mapping[str, Any]) -> DefinitionPreview:
        """What a merge patch would make of the definition, checked as one that is saved. Saves nothing.

        What Airflow makes of the DAG is not asked: that takes long, and is asked when it is saved. Raises
        Problem 422 with each wrong field, and 403 with the role that each field needs.
        """
        before = self.stored(scope)
        data = _patched(before, patch)
        wrong = self._unfit(scope, data, before)
        definition = None
        if not wrong:
            definition, wrong = checking.check(self.kind.model, data, most=MOST_PROBLEMS, templates=False)
        if definition is None:
            raise problem(wrong)
        with refusals(), scope.transaction() as tx:
            saving.must_be_savable(tx, definition, before, scope.role)
            starts: list[datetime] = []
            if not isinstance(definition, BrandContext):
                [last] = tx.rows("last_runs", workflow=scope.id)
                starts = next_runs(definition, datetime.now(UTC), last["last_slot"])
        after = dump(definition)
        return DefinitionPreview(
            definition=after, changed=list(differences(before.data, after)), next_runs=starts,
            version=version_of(before),
        )  # fmt: skip

    def _must_be(self, scope: Scope, stored: Stored, seen: str | None) -> None:
        """Raises Problem 412 when what is stored is not the version that was seen."""
        if seen in (None, "*") or seen.removeprefix("W/").strip('"') == version_of(stored):
            return
        names = [f"{self.kind.word}:{name}" for name in (stored.id, stored.slug)]
        with scope.transaction() as tx:
            last = tx.rows("last_definition_change", targets=names)
        by = f" by {last[0]['actor']} at {last[0]['at']:%H:%M} UTC" if last else ""
        raise Problem(
            412, f"this {self.kind.word} was changed{by} since you read it",
            remedy="read it again, and make your change of what it is now",
        )  # fmt: skip

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
        with refusals(), scope.transaction() as tx:
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
        wrong = list(islice(unusable(data), MOST_PROBLEMS))
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


def version_of(stored: Stored) -> str:
    """A text that is another one whenever the stored definition is."""
    return hashlib.sha256(to_json(stored.data).encode()).hexdigest()[:20]


def _patched(stored: Stored, patch: Mapping[str, Any]) -> Any:
    """The stored definition with a merge patch. Raises Problem 422 for values that cannot be kept."""
    wrong = list(islice(unusable(patch), MOST_PROBLEMS))
    if wrong:
        raise problem(wrong)
    return merged(stored.data, patch)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what saving refuses into its Problem."""
    try:
        yield
    except SlugTaken as conflict:
        detail = str(conflict)
        raise Problem(409, detail, errors=[FieldProblem(field="body.slug", detail=detail)]) from None
    except checking.WrongDefinition as error:
        raise problem(error.wrong) from None
    except rights.NotPermitted as error:
        raise not_permitted(error) from None
