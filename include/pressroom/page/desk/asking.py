"""Which queue is shown, and what of it is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self, get_args
from urllib.parse import urlencode

from fastapi import Depends, Query

from pressroom.api.kit.access import Scope, Subject, enter
from pressroom.api.kit.problems import not_found
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import ARTICLE, CONTENT, GATE, LARGEST, PUBLICATION, row_id
from pressroom.engine.review import QueueOrder, QueueRule, waiting_things
from pressroom.page.kit.tokens import PostedForm

ORDERS: tuple[QueueOrder, ...] = get_args(QueueOrder)


@dataclass(frozen=True)
class QueueFilter:
    """``piece``: the public id of what is open, '' for the first; ``look``: the place of the target whose
    preview is shown, None for the piece's own. ``least``: pieces with this score and more, to be approved
    together.
    """

    account: str = ""
    workflow: int | None = None
    order: QueueOrder = "risk"
    least: int | None = None
    piece: str = ""
    look: int | None = None

    def query(self, piece: str = "", look: int | None = None) -> str:
        """The query for something else of the same queue."""
        usual = {"account": "", "workflow": None, "order": "risk", "least": None, "piece": "", "look": None}
        asked = {**vars(self), "piece": piece, "look": look}
        return urlencode({name: value for name, value in asked.items() if value != usual[name]})

    def rule(self, limit: int) -> QueueRule:
        """The part of the queue that is asked for."""
        return QueueRule(self.workflow, self.order, self.least, None, limit)

    @classmethod
    def of(cls, form: PostedForm, account: str, piece: str) -> Self:
        """The queue that a form was sent from."""
        named = [each for each in ORDERS if each == form.text("order")]
        workflow, least = _number(form.text("workflow"), LARGEST), _number(form.text("least"), 100)
        return cls(account, workflow, named[0] if named else "risk", least, piece)


def _number(text: str, most: int) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return number if number is not None and number <= most else None


def asked_for(
    account: Annotated[str, Query(max_length=60)] = "",
    workflow: Annotated[str, Query(max_length=20)] = "",
    *,
    order: Annotated[QueueOrder, Query()] = "risk",
    least: Annotated[str, Query(max_length=3)] = "",
    piece: Annotated[str, Query(max_length=40)] = "",
    look: Annotated[int | None, Query(ge=0, le=100)] = None,
) -> QueueFilter:
    """The queue that a request asks for."""
    return QueueFilter(account, _number(workflow, LARGEST), order, _number(least, 100), piece, look)


Asked = Annotated[QueueFilter, Depends(asked_for)]


def subject_of(name: str) -> Subject | None:
    """What a public id in the queue is of; None for any other text."""
    for kind, prefix in (
        ("article", ARTICLE), ("post", CONTENT), ("gate", GATE), ("publication", PUBLICATION),
    ):  # fmt: skip
        number = row_id(prefix, name)
        if number is not None:
            return Subject(kind, number)  # type: ignore[arg-type]
    return None


def account_shown(scopes: Sequence[Scope], asked: QueueFilter) -> Scope | None:
    """The account whose queue is shown: the one that is named, that of the piece, or the first in which
    something waits. Raises Problem 404 for one that is not the viewer's.
    """
    if asked.account:
        scope = next((each for each in scopes if each.account == asked.account), None)
        if scope is None:
            raise not_found("account")
        return scope
    subject = subject_of(asked.piece)
    if subject is not None and scopes:
        first = scopes[0]
        owner = enter(first.plane, first.admission, first.caller, subject, Role.VIEWER).account
        return next((each for each in scopes if each.account == owner), None)
    for scope in scopes:
        with scope.transaction() as tx:
            if waiting_things(tx, QueueRule(limit=1)):
                return scope
    return scopes[0] if scopes else None
