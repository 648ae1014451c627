"""What the page's streams wait for: another mark of an account or a workflow, read once for all who wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.api.kit.limits.watching import Reader, reads_still
from pressroom.store.database import Tx

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class MarkQuestion:
    """A mark that was ``seen``. ``workflow_id`` None: of the whole account."""

    account_id: int
    reader: Reader | None
    workflow_id: int | None
    seen: str


def mark_of(tx: Tx, workflow_id: int | None) -> str:
    """A text that is another one after each change in the account, or each that concerns the workflow."""
    if workflow_id is None:
        return str(tx.value("account_mark"))
    return str(tx.value("workflow_mark", workflow=workflow_id))


def read_marks(tx: Tx, questions: Sequence[MarkQuestion]) -> dict[MarkQuestion, str | None]:
    """The marks that are other ones by now. None: the reader may not read any more."""
    allowed = {reader: reads_still(tx, reader) for reader in {each.reader for each in questions}}
    marks = {workflow: mark_of(tx, workflow) for workflow in {each.workflow_id for each in questions}}
    return {
        each: marks[each.workflow_id] if allowed[each.reader] else None
        for each in questions
        if not allowed[each.reader] or marks[each.workflow_id] != each.seen
    }
