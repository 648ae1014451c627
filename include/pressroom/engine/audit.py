"""The audit log: who decided or changed what, by which door, from what to what.

An actor is ``user:NAME`` or ``key:ID`` (the control API), ``cli:NAME`` (the command line), ``airflow:NAME``
(Airflow's page), ``link`` (a gate's link), ``link:ID`` (a link to a queue or a piece; the line says who sent
it), ``webhook`` or ``time``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pressroom.domain.markup.cutting import shorten
from pressroom.domain.public_ids import JOB
from pressroom.domain.text import differences, storable, to_json
from pressroom.store.database import Tx

KINDS = frozenset({
    "job", "workflow", "site", "publication", "keyword", "cluster", "idea", "key", "brand", "insight",
    "change", "article", "post", "link",
})  # fmt: skip
"""Of rows that ``state`` knows."""
LONGEST_TEXT = 300
MOST_ENTRIES = 40
DEEPEST = 4
MOST_CHARS = 12_000
"""Of all details together, as JSON."""
Note = Callable[..., None]
"""``note`` for an actor who is known: ``(tx, action, target, *, before, after, **details)``."""


def note(tx: Tx, /, actor: str, action: str, target: str, *, before: Any, after: Any, **details: Any) -> None:
    """Add a line, in the account's transaction that makes the change. Details are cut to a bounded size.

    ``before``, ``after``: the target's state; None: it is not there.
    """
    tx.run(
        "audit_insert", actor=shorten(storable(actor), LONGEST_TEXT), action=action,
        target=shorten(storable(target), LONGEST_TEXT),
        details=_whole({"before": before, "after": after, **details}),
    )  # fmt: skip


def by(actor: str) -> Note:
    """``note`` for one actor, for work that is on record by whomever it does it for."""

    def noted(tx: Tx, action: str, target: str, *, before: Any, after: Any, **details: Any) -> None:
        note(tx, actor, action, target, before=before, after=after, **details)

    return noted


@contextmanager
def changing(tx: Tx, actor: str, action: str, target: str, **details: Any) -> Iterator[None]:
    """Add a line about a change of one row, with what it changes in the row. Nothing when it raises.

    ``target``: as in publication:12 or job_12; ``state`` says which there are.
    """
    before = state(tx, target)
    yield
    after = state(tx, target)
    if before is not None and after is not None:
        changed = [key for key in before if before[key] != after[key]]
        before, after = ({key: row[key] for key in changed} for row in (before, after))
    note(tx, actor, action, target, before=before, after=after, **details)


def state(tx: Tx, target: str) -> dict[str, Any] | None:
    """What people decide on a row, None when there is no such row. Raises ValueError for another target."""
    kind, separator, number = target.partition(":")
    if not separator:
        prefix, _, number = target.partition("_")
        kind = "job" if prefix == JOB else ""
    if kind not in KINDS or not number.isdigit():
        raise ValueError(f"{target!r} names no row whose state can be kept")
    kept: dict[str, Any] | None = tx.value("audit_state", kind=kind, id=int(number))
    return kept


def change(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The details of a change of JSON values: the dotted keys, and their values before and after."""
    changed = list(differences(was, now))
    return {
        "changed": changed,
        "before": {key: _at(was, key) for key in changed},
        "after": {key: _at(now, key) for key in changed},
    }


def bounded(value: Any, depth: int = 0) -> Any:
    """The value with long texts, long lists and deep parts cut off."""
    if isinstance(value, str):
        return shorten(storable(value), LONGEST_TEXT)
    if isinstance(value, Mapping):
        if depth >= DEEPEST:
            return "…"
        kept = list(value.items())[:MOST_ENTRIES]
        return {shorten(storable(str(key)), LONGEST_TEXT): bounded(each, depth + 1) for key, each in kept}
    if isinstance(value, list | tuple):
        return "…" if depth >= DEEPEST else [bounded(each, depth + 1) for each in value[:MOST_ENTRIES]]
    return value


def _whole(details: Mapping[str, Any]) -> Any:
    kept = bounded(details)
    text = to_json(kept)
    return kept if len(text) <= MOST_CHARS else {"cut": shorten(text, MOST_CHARS)}


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
