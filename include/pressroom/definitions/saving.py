"""One definition → its row, for the control API, with the checks that applying makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.definitions import rights
from pressroom.definitions.applying import SlugTaken, must_fit, rows_of, write
from pressroom.definitions.checking import DefinitionProblem, WrongDefinition
from pressroom.domain.definitions import BrandContext, Role, dump
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.flows import Flow, GateStep
from pressroom.domain.grants.access import GrantKind
from pressroom.domain.grants.named import refused
from pressroom.domain.kinds import KINDS, Kind, Workflow
from pressroom.domain.text import did_you_mean, differences
from pressroom.store import grants
from pressroom.store.database import Tx
from pressroom.store.quotas import must_have_room
from pressroom.store.workflows import parse, whole

Saved = BrandContext | Workflow


class ChangedMeanwhile(PermanentError):
    """The stored definition changed since it was read."""


class InUse(PermanentError):
    """A brand context that workflows refer to."""


@dataclass(frozen=True)
class Stored:
    """A definition as stored. ``data``: this version may no longer accept it.

    ``row``: the row of the kind's statement ``page``.
    """

    id: int
    slug: str
    data: Mapping[str, Any]
    row: Mapping[str, Any]


def stored(tx: Tx, kind: Kind[Any], *, id: int | None = None, slug: str | None = None) -> Stored | None:
    """One definition of the account, by its id or slug."""
    rows = listed(tx, kind, id=id, slug=slug, limit=1)
    return rows[0] if rows else None


def listed(
    tx: Tx,
    kind: Kind[Any],
    *,
    id: int | None = None,
    slug: str | None = None,
    status: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Stored]:
    """The account's definitions of a kind, latest first. ``before``: only those with a smaller id."""
    rows = tx.rows(kind.page, id=id, slug=slug, status=status, before=before, limit=limit)
    return [Stored(row["id"], row["slug"], whole(row), row) for row in rows]


def create(tx: Tx, definition: Saved, role: Role) -> Stored:
    """Store a new definition. Raises SlugTaken, WrongDefinition for a reference that leads nowhere, and
    NotPermitted when the caller's role does not suffice for what it holds.
    """
    tx.value("lock_definitions")
    if stored(tx, KINDS[definition.kind], slug=definition.slug) is not None:
        remedy = "choose another slug, or change the existing definition"
        raise SlugTaken([f"{definition.kind} {definition.slug}: slug: the account already has it: {remedy}"])
    rights.must_suffice(role, None, definition)
    must_have_room(tx, rows_of(definition), 1)
    return _save(tx, definition)


def update(tx: Tx, definition: Saved, before: Mapping[str, Any], role: Role) -> tuple[Stored, Sequence[str]]:
    """Replace the definition that ``before`` was read of. Returns it with the keys that changed.

    Raises ChangedMeanwhile when the row no longer holds ``before``, WrongDefinition for a reference that
    leads nowhere, and NotPermitted when the caller's role does not suffice for what changes.
    """
    tx.value("lock_definitions")
    current = stored(tx, KINDS[definition.kind], slug=definition.slug)
    if current is None or current.data != before:
        raise ChangedMeanwhile(
            f"{definition.kind} {definition.slug} was changed meanwhile: read it again, then change it"
        )
    readable = _readable(current, definition)
    rights.must_suffice(role, readable, definition)
    changed = list(differences(current.data, dump(definition)))
    return (_save(tx, definition, readable), changed) if changed else (current, [])


def must_be_savable(tx: Tx, definition: Saved, before: Stored, role: Role) -> None:
    """Raises what ``update`` would raise, and saves nothing."""
    readable = _readable(before, definition)
    rights.must_suffice(role, readable, definition)
    _must_hold(tx, definition, readable)


def delete_brand(tx: Tx, brand_id: int) -> None:
    """Delete a brand context. Raises InUse, naming the workflow that uses it."""
    tx.value("lock_definitions")
    brand = stored(tx, KINDS["BrandContext"], id=brand_id)
    if brand is None or tx.run("delete_brand", slug=brand.slug):
        return
    users = tx.rows("brand_users", brand=brand_id)
    first = f"the {users[0]['kind']} {users[0]['slug']}"
    rest = f" and {len(users) - 1} more use" if len(users) > 1 else " uses"
    raise InUse(f"{first}{rest} the brand context {brand.slug}")


def _readable(current: Stored, definition: Saved) -> Saved | None:
    """What is stored, None when this version cannot read it: then all of the definition counts as new."""
    try:
        readable: Saved = parse(type(definition), current.data, current.slug)
    except DefinitionError:
        return None
    return readable


def _save(tx: Tx, definition: Saved, before: Saved | None = None) -> Stored:
    _must_hold(tx, definition, before)
    write(tx, definition)
    [saved] = listed(tx, KINDS[definition.kind], slug=definition.slug, limit=1)
    return saved


def _must_hold(tx: Tx, definition: Saved, before: Saved | None) -> None:
    """Raises WrongDefinition and QuotaExceeded."""
    wrong = [*_wrong_references(tx, definition), *_not_granted(tx, definition, before)]
    if wrong:
        raise WrongDefinition(definition, wrong)
    must_fit(tx, definition)
    # Who has too many gates may change the rest, and have fewer.
    if (more := _gates(definition) - _gates(before)) > 0:
        must_have_room(tx, "gates", more)


def _gates(definition: Saved | None) -> int:
    if not isinstance(definition, Flow):
        return 0
    return sum(isinstance(step, GateStep) for step in definition.steps)


def _not_granted(tx: Tx, definition: Saved, before: Saved | None) -> Iterator[DefinitionProblem]:
    """What the definition names and the account may not."""
    if isinstance(definition, BrandContext):
        return
    access = grants.access(tx, tx.account)
    if isinstance(definition, Flow) and tx.value("is_own_asset", asset=definition.trigger.asset):
        access = access.with_names({(GrantKind.ASSET, str(definition.trigger.asset))})
    known = None if isinstance(before, BrandContext) else before
    for path, text in refused(access, definition, known):
        yield DefinitionProblem(path, text)


def _wrong_references(tx: Tx, definition: Saved) -> list[DefinitionProblem]:
    account = tx.value("account_slug")
    if definition.account != account:
        return [DefinitionProblem(("account",), f"must be {account!r}, not {definition.account!r}")]
    brand = None if isinstance(definition, BrandContext) else definition.brand
    if brand is None or stored(tx, KINDS["BrandContext"], slug=brand) is not None:
        return []
    near = did_you_mean(brand, tx.values("brand_slugs"))
    return [DefinitionProblem(("brand",), f"the account {account!r} has no brand context {brand!r}{near}")]
