"""One definition → its row: what the control API does, with the checks that applying makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.definitions.applying import SlugTaken, write_workflow
from pressroom.definitions.checking import Wrong, WrongDefinition
from pressroom.domain.definitions import BrandContext, dump
from pressroom.domain.errors import PermanentError
from pressroom.domain.kinds import Workflow
from pressroom.domain.text import did_you_mean, to_json
from pressroom.store.database import Tx
from pressroom.store.workflows import whole

Saved = BrandContext | Workflow
NAMES = {"Site": "site", "Mission": "mission", "Flow": "flow", "BrandContext": "brand"}
"""The kinds, as statements name them."""


class ChangedMeanwhile(PermanentError):
    """The definition is not any more what a change was made of."""


class InUse(PermanentError):
    """A brand context that workflows refer to."""


@dataclass(frozen=True)
class Stored:
    """A definition as stored. ``data``: it may be one that this version does not accept any more.

    ``row``: what else there is to say about it, as its statement has it.
    """

    id: int
    slug: str
    data: Mapping[str, Any]
    row: Mapping[str, Any]


def lock(tx: Tx) -> None:
    """Nobody else changes definitions until the transaction ends."""
    tx.value("lock_definitions")


def stored(tx: Tx, name: str, *, id: int | None = None, slug: str | None = None) -> Stored | None:
    """One definition of the account, by its id or slug. ``name``: as in NAMES."""
    found = listed(tx, name, id=id, slug=slug, limit=1)
    return found[0] if found else None


def listed(
    tx: Tx,
    name: str,
    *,
    id: int | None = None,
    slug: str | None = None,
    status: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Stored]:
    """The account's definitions of a kind, latest first. ``before``: only those with a smaller id."""
    rows = tx.rows(f"{name}_definitions", id=id, slug=slug, status=status, before=before, limit=limit)
    return [Stored(row["id"], row["slug"], whole(row), row) for row in rows]


def create(tx: Tx, definition: Saved) -> Stored:
    """Store a new definition. Raises SlugTaken, and WrongDefinition for a reference that leads nowhere."""
    lock(tx)
    name = NAMES[definition.kind]
    if stored(tx, name, slug=definition.slug) is not None:
        what = "there is one of that slug: choose another, or change that one"
        raise SlugTaken([f"{definition.kind} {definition.slug}: slug: {what}"])
    return _save(tx, name, definition)


def update(tx: Tx, definition: Saved, before: Mapping[str, Any]) -> tuple[Stored, Sequence[str]]:
    """Store a definition in the place of ``before``, and return it with the keys that changed.

    ``before``: the data that it was made of. Raises ChangedMeanwhile when the row holds something else by
    now, and WrongDefinition for a reference that leads nowhere.
    """
    lock(tx)
    name = NAMES[definition.kind]
    there = stored(tx, name, slug=definition.slug)
    if there is None or there.data != before:
        raise ChangedMeanwhile(f"{definition.kind} {definition.slug} was changed meanwhile")
    changed = list(_changed(there.data, dump(definition)))
    return (_save(tx, name, definition), changed) if changed else (there, [])


def delete_brand(tx: Tx, brand_id: int) -> None:
    """Delete a brand context. Raises InUse, naming who uses it."""
    lock(tx)
    there = stored(tx, "brand", id=brand_id)
    if there is None or tx.run("delete_brand", slug=there.slug):
        return
    users = tx.rows("brand_users", brand=brand_id)
    first = f"the {users[0]['kind']} {users[0]['slug']}"
    others = f" and {len(users) - 1} more use" if len(users) > 1 else " uses"
    raise InUse(f"{first}{others} the brand context {there.slug}")


def _changed(was: Any, will: Any, path: str = "") -> Iterator[str]:
    """The dotted keys whose values differ."""
    if isinstance(was, Mapping) and isinstance(will, Mapping):
        for key in sorted(was.keys() | will.keys()):
            yield from _changed(was.get(key), will.get(key), f"{path}.{key}".lstrip("."))
    elif json.dumps(was, sort_keys=True) != json.dumps(will, sort_keys=True):  # to Python, true equals 1
        yield path


def _save(tx: Tx, name: str, definition: Saved) -> Stored:
    wrong = list(_wrong_references(tx, definition))
    if wrong:
        raise WrongDefinition(definition, wrong)
    if isinstance(definition, BrandContext):
        tx.run("save_brand", slug=definition.slug, definition=to_json(dump(definition)))
    else:
        write_workflow(tx, definition)
    [saved] = listed(tx, name, slug=definition.slug, limit=1)
    return saved


def _wrong_references(tx: Tx, definition: Saved) -> list[Wrong]:
    account = tx.value("account_slug")
    if definition.account != account:
        return [Wrong(("account",), f"must be {account!r}, not {definition.account!r}")]
    brand = None if isinstance(definition, BrandContext) else definition.brand
    if brand is None or stored(tx, "brand", slug=brand) is not None:
        return []
    near = did_you_mean(brand, tx.values("brand_slugs"))
    return [Wrong(("brand",), f"the account {account!r} has no brand context {brand!r}{near}")]
