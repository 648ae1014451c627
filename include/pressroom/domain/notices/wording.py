"""Notices in words: what happened, why, what to do, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pressroom.domain.markup.cutting import shorten
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.domain.outside import visible
from pressroom.domain.public_ids import ARTICLE, CONTENT, GATE, JOB, PUBLICATION, public_id, workflow_path
from pressroom.domain.text import counted

MOST_LISTED = 25
"""Of many notices in one message so many are named; the page has the rest."""
LINE_CHARS = 300
SUBJECT_CHARS = 150
REVIEWED = {"article": ARTICLE, "post": CONTENT, "gate": GATE, "publication": PUBLICATION}
"""What is decided in the review, and the prefix of its id."""


@dataclass(frozen=True)
class ToldThing:
    """What a notice is about. ``subject``: kind and number, as in run:12; ``title``, ``reason``: ours or the
    outside's, any text; ``facts``: of a cap or a message.
    """

    subject: str
    at: datetime
    workflow_id: int | None = None
    workflow_kind: str | None = None
    workflow_name: str | None = None
    title: str | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def thing(self) -> str:
        """What kind of thing it is."""
        return self.subject.partition(":")[0]

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.subject.partition(":")[2])

    @property
    def where(self) -> str:
        """The name of the workflow that it belongs to."""
        return line(self.workflow_name or "the account")

    def path(self, account: str) -> str:
        """Where the page shows it, below the page's address."""
        match self.thing:
            case "run":
                return f"runs/{public_id(JOB, self.number)}"
            case thing if thing in REVIEWED:
                return f"review?account={account}&piece={public_id(REVIEWED[thing], self.number)}"
            case _ if self.workflow_id is not None and self.workflow_kind is not None:
                return workflow_path(self.workflow_kind, self.workflow_id)
            case _:
                return ""


@dataclass(frozen=True)
class NoticeWords:
    """A message. ``data``: the same for programs."""

    subject: str
    body: str
    data: Mapping[str, Any]


_FAILED = "Open the run, mend the reason, and retry it from the stage that failed."
_SPEND = {
    "month": "of the {cap} cents that it may spend in a month",
    "budget": "of the {cap} cents of its budget",
    "run": "of the {cap} cents that a run may spend",
    "account_month": "of the {cap} cents that the account may spend in a month",
    "account_total": "of the {cap} cents that the account may spend in all",
}
_DO: Mapping[NoticeKind, str] = {
    NoticeKind.RUN_FAILED: _FAILED,
    NoticeKind.RUN_PARTIAL: (
        "Open the run to see what it left undone. The next run takes it up, or retry it now."
    ),
    NoticeKind.RUN_DONE: "Nothing has to be done. The page shows what it made.",
    NoticeKind.REVIEW_WAITING: "Read it, then approve it, reject it, or have it written again.",
    NoticeKind.GATE_WAITING: ("Approve or reject. The item waits until then, or until its time is over."),
    NoticeKind.CAP_NEAR: (
        "When the cap is reached, calls are refused and runs end partial. An owner can raise it."
    ),
    NoticeKind.PUBLICATION_UNKNOWN: (
        "Look at the target whether the piece is there, and settle it. Nothing is sent again before."
    ),
    NoticeKind.MESSAGE: "",
}
_MANY: Mapping[NoticeKind, str] = {
    NoticeKind.RUN_FAILED: "runs failed",
    NoticeKind.RUN_PARTIAL: "runs left something undone",
    NoticeKind.RUN_DONE: "runs are done",
    NoticeKind.REVIEW_WAITING: "pieces wait for review",
    NoticeKind.GATE_WAITING: "items wait at gates",
    NoticeKind.CAP_NEAR: "caps are nearly used up",
    NoticeKind.PUBLICATION_UNKNOWN: "publications have an unknown end",
    NoticeKind.MESSAGE: "messages",
}


def compose(
    kind: NoticeKind, things: Sequence[ToldThing], *, account: str, page: str, timezone: str
) -> NoticeWords:
    """One message about one or many things. ``page``: the page's address, with a slash at its end."""
    zone = ZoneInfo(timezone)
    listed = things[:MOST_LISTED]
    items = [_item(kind, each, page + each.path(account), zone) for each in listed]
    if len(things) == 1:
        [thing], [item] = things, items
        subject, remedy = item["text"], str(thing.facts.get("remedy") or _DO[kind])
        body = [f"{item['text']}.", *_why(item), *([f"What to do: {remedy}"] if remedy else []), item["url"]]
    else:
        where = list(dict.fromkeys(each.where for each in things))
        subject = f"{len(things)} {_MANY[kind]}: {', '.join(where[:3])}{'…' if len(where) > 3 else ''}"
        remedy = _DO[kind]
        body = [f"{len(things)} {_MANY[kind]}.", *([f"What to do: {remedy}"] if remedy else []), ""]
        for item in items:
            body += [f"• {item['text']}.", *(f"  {each}" for each in _why(item)), f"  {item['url']}"]
        if len(things) > len(listed):
            body.append(f"… and {counted(len(things) - len(listed), 'other')}: {page}")
    data = {
        "account": account, "kind": kind.value, "count": len(things), "subject": subject, "remedy": remedy,
        "items": items,
    }  # fmt: skip
    return NoticeWords(shorten(f"[Pressroom] {subject}", SUBJECT_CHARS), "\n".join(body), data)


def line(text: str) -> str:
    """The text as one bounded line, without what cannot be seen."""
    return shorten(" ".join(visible(text).split()), LINE_CHARS)


def _why(item: Mapping[str, Any]) -> list[str]:
    return [f"Why: {item['reason']}"] if item["reason"] else []


def _item(kind: NoticeKind, thing: ToldThing, url: str, zone: ZoneInfo) -> dict[str, Any]:
    prefix = JOB if thing.thing == "run" else REVIEWED.get(thing.thing)
    return {
        "text": _sentence(kind, thing, f"{thing.at.astimezone(zone):%-d %b %H:%M} ({zone.key})"),
        "reason": line(str(thing.reason or thing.facts.get("reason") or "")),
        "id": public_id(prefix, thing.number) if prefix else None,
        "workflow": thing.workflow_name, "at": thing.at.isoformat(), "url": thing.facts.get("url") or url,
    }  # fmt: skip


def _sentence(kind: NoticeKind, thing: ToldThing, when: str) -> str:
    title = f"“{shorten(line(thing.title), 120)}”" if thing.title else thing.subject
    match kind:
        case NoticeKind.RUN_FAILED:
            return f"{thing.where}: run {thing.number} failed at {when}"
        case NoticeKind.RUN_PARTIAL:
            return f"{thing.where}: run {thing.number} left something undone at {when}"
        case NoticeKind.RUN_DONE:
            return f"{thing.where}: run {thing.number} was done at {when}"
        case NoticeKind.REVIEW_WAITING:
            return f"{thing.where}: {title} waits for review since {when}"
        case NoticeKind.GATE_WAITING:
            return f"{thing.where}: {title} waits at a gate since {when}"
        case NoticeKind.CAP_NEAR:
            share = _SPEND[str(thing.facts["what"])].format(cap=_cents(thing.facts["cap"]))
            return f"{thing.where}: {_cents(thing.facts['cents'])} {share} are spent"
        case NoticeKind.PUBLICATION_UNKNOWN:
            return f"{thing.where}: nobody knows whether {title} was published"
        case NoticeKind.MESSAGE:
            return line(str(thing.facts["text"])).rstrip(".")


def _cents(value: Any) -> str:
    return f"{float(value):,.0f}"
