"""What the routes for sites, missions, flows and brand contexts have in common."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Body, Request, Response
from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pressroom.api.kit.access import Scope
from pressroom.api.kit.paging import Page, Paging
from pressroom.api.kit.problems import FieldProblem, Problem, not_found
from pressroom.definitions import checking, saving
from pressroom.definitions.applying import SlugTaken
from pressroom.definitions.checking import Wrong
from pressroom.definitions.nodes import DEEPEST
from pressroom.definitions.saving import Stored
from pressroom.definitions.trial import check_bounded
from pressroom.domain.definitions import BrandContext, Site
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Kind
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.missions import Mission
from pressroom.domain.public_ids import public_id
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
    """``live``: a run of it is running or paused. ``note``: what else to know about what was just done."""

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
    """Marks a body that is taken as any object and checked by us, and documented as a definition."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(self.model.__pydantic_core_schema__)
        inner = handler.resolve_ref_schema(found)
        inner["required"] = [name for name in inner.get("required", []) if name != "account"]
        return found


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
    """A kind of definition and its routes. ``show``: a row and its definition as an answer."""

    kind: Kind[D]
    path: str
    prefix: str | None
    show: Callable[[Stored, D], V]

    def view(self, stored: Stored, note: str | None = None) -> V:
        """The answer for a row. Raises DefinitionError when this version does not understand it."""
        shown = self.show(stored, parse(self.kind.model, stored.data, stored.slug))
        return shown if note is None else shown.model_copy(update={"note": note})

    def page(self, scope: Scope, paging: Paging, status: str | None = None) -> Page[V]:
        """The account's definitions, latest first. One that cannot be read is left out, as the log says."""
        with scope.transaction() as tx:
            rows = saving.listed(tx, self.kind, status=status, before=paging.before, limit=paging.fetch)
        found = paging.page(rows, self._readable, lambda row: [row.id])
        return Page(items=[one for one in found.items if one is not None], next_cursor=found.next_cursor)

    def get(self, scope: Scope) -> V:
        """The one that the request is about."""
        return self.view(self.there(scope))

    def there(self, scope: Scope) -> Stored:
        """Its row."""
        with scope.transaction() as tx:
            found = saving.stored(tx, self.kind, id=scope.id)
        if found is None:
            raise not_found(self.kind.word)
        return found

    def create(self, scope: Scope, request: Request, response: Response, body: Mapping[str, Any]) -> V:
        """Store a new one, and answer with where it is."""
        named = {"kind": self.kind.model.model_fields["kind"].default, "account": scope.account}
        definition = self.checked(scope, {**named, **body})
        try:
            with scope.transaction() as tx:
                made = saving.create(tx, definition)
                scope.note(tx, f"{self.kind.word}.create", f"{self.kind.word}:{made.id}", slug=made.slug)
        except SlugTaken as taken:
            detail = str(taken)
            raise Problem(409, detail, errors=[FieldProblem(field="body.slug", detail=detail)]) from None
        except checking.WrongDefinition as error:
            raise problem(error.wrong) from None
        number = str(made.id) if self.prefix is None else public_id(self.prefix, made.id)
        response.headers["Location"] = f"{request.scope.get('root_path', '')}{self.path}/{number}"
        return self.view(made)

    def patch(self, scope: Scope, patch: Mapping[str, Any]) -> V:
        """Change the one that the request is about by a merge patch."""
        wrong = list(islice(_unusable(patch), MOST_PROBLEMS))
        if wrong:
            raise problem(wrong)
        return self.view(self.edit(scope, "update", lambda there: merged(there.data, patch)))

    def turn(
        self,
        scope: Scope,
        action: str,
        status: str,
        *,
        may: Callable[[Stored], None] = lambda there: None,
        also: Callable[[Tx, Stored], None] | None = None,
    ) -> V:
        """Give it another status. ``may`` raises when it cannot go there; ``also``: as in ``edit``."""

        def change(there: Stored) -> dict[str, Any]:
            may(there)
            return {**there.data, "status": status}

        there = self.edit(scope, action, change, also)
        return self.view(there, GOES_ON if there.row["live"] and status != "active" else None)

    def edit(
        self,
        scope: Scope,
        action: str,
        change: Callable[[Stored], Mapping[str, Any]],
        also: Callable[[Tx, Stored], None] | None = None,
    ) -> Stored:
        """Change the one that the request is about, and note it in the audit log when something changed.

        The change is checked before it is stored, as long as that takes, and made anew when somebody else was
        quicker. ``also``: what else to do in the same transaction, given what there was before.
        """
        for _ in range(TRIES):
            there = self.there(scope)
            definition = self.checked(scope, change(there), there)
            try:
                with scope.transaction() as tx:
                    found, keys = saving.update(tx, definition, there.data)
                    if keys:
                        scope.note(
                            tx,
                            f"{self.kind.word}.{action}",
                            f"{self.kind.word}:{scope.id}",
                            changed=list(keys),
                        )
                    if also is None:
                        return found
                    also(tx, there)
                return self.there(scope)
            except saving.ChangedMeanwhile:
                continue
            except checking.WrongDefinition as error:
                raise problem(error.wrong) from None
        raise Problem(409, "others keep changing it at the moment", remedy="send it again")

    def checked(self, scope: Scope, data: Mapping[str, Any], there: Stored | None = None) -> D:
        """The definition. ``there``: what it shall take the place of. Raises Problem 422."""
        wrong = list(islice(_unusable(data), MOST_PROBLEMS))
        if there is not None:
            wrong += [
                Wrong((key,), f"cannot change from {there.data.get(key)!r}")
                for key in FIXED
                if data.get(key) != there.data.get(key)
            ]
        elif data["account"] != scope.account:
            wrong.append(Wrong(("account",), f"must be {scope.account!r}: the account that the call is for"))
        definition = None
        if not wrong:
            definition, wrong = check_bounded(self.kind.model, data, most=MOST_PROBLEMS)
        if definition is None:
            raise problem(wrong)
        return definition

    def _readable(self, there: Stored) -> V | None:
        try:
            return self.view(there)
        except DefinitionError as error:
            logger.error("%s %s is left out: %s", self.kind.word, there.slug, error)  # noqa: TRY400  # it says it all
            return None


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def problem(wrong: Sequence[Wrong]) -> Problem:
    """What a caller gets to read of a definition's problems."""
    errors = [
        FieldProblem(
            field=shorten(".".join(["body", *(str(step) for step in one.path)]), LONGEST_PROBLEM),
            detail=shorten(one.told, LONGEST_PROBLEM),
        )
        for one in wrong
    ]
    return Problem(422, "; ".join(f"{one.field}: {one.detail}" for one in errors), errors=errors)


def _unusable(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[Wrong]:
    """What JSON can say and neither the database nor an answer can hold. The paths are fit to be shown."""
    if len(path) > DEEPEST:
        yield Wrong(path[:3], "is nested too deeply")
    elif isinstance(value, str) and _unprintable(value):
        yield Wrong(path, f"{shorten(ascii(value), 80)} has a character that no text can hold")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Wrong(path, "must be a finite number")
    elif isinstance(value, list):
        for position, one in enumerate(value):
            yield from _unusable(one, (*path, position))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if _unprintable(key):
                yield Wrong(path, f"the key {shorten(ascii(key), 80)} has a character that no text can hold")
            else:
                yield from _unusable(one, (*path, key))


def _unprintable(text: str) -> bool:
    return _UNPRINTABLE.search(text) is not None
