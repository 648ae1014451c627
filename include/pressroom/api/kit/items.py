"""What the routes on keywords, clusters and ideas share: filters, texts, and how one of them is changed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import AfterValidator

from pressroom.api.kit.access import Scope
from pressroom.api.kit.problems import Problem, not_found
from pressroom.domain.errors import PermanentError
from pressroom.domain.public_ids import LARGEST
from pressroom.domain.text import normalize
from pressroom.store.database import Tx

V = TypeVar("V")

ClusterFilter = Annotated[int | None, Query(ge=1, le=LARGEST, description="the cluster's number")]
DisabledFilter = Annotated[
    bool | None, Query(description="false: only those that stages work on; true: only the others")
]


def one_line(text: str) -> str:
    """The text with single spaces. Raises ValueError when it holds what is no text."""
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
"""For what is told apart by its normalized form."""


def check_site(tx: Tx, site: int | None) -> None:
    """Raises Problem 404 for a site that the account has not."""
    if site is not None and tx.value("site_known", site=site) is None:
        raise not_found("site")


def one(tx: Tx, statement: str, what: str, **params: Any) -> dict[str, Any]:
    """The row of a statement that has one. Raises Problem 404."""
    rows = tx.rows(statement, **params)
    if not rows:
        raise not_found(what)
    return rows[0]


@contextmanager
def told_apart(scope: Scope, taken: Callable[[Tx], Problem | None]) -> Iterator[None]:
    """Around a change that the database refuses when another has the name: then ``taken`` says so.

    Asked afterwards, since whoever asks before can still come second.
    """
    try:
        yield
    except PermanentError:
        with scope.transaction() as tx:
            problem = taken(tx)
        if problem is not None:
            raise problem from None
        raise


def with_normalized(changes: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The changes of a row, with the normalized form of its name when that is one of them."""
    return {**changes, "normalized": normalize(changes[field])} if field in changes else dict(changes)
