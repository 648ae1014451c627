"""A publication's row in the hands of one worker: every step on it is a transaction of its own.

The claim is a token on the row that lapses when nothing is heard of its holder. A worker that lost its claim
may still record one fact: that the target accepted the piece.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from pressroom.domain.errors import PermanentError, TimeTaken, TransientError
from pressroom.domain.outside import SLOWEST_UPLOAD
from pressroom.domain.publishing import Placed, Publication, PublicationStatus, known_by
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.engine.runs.control import Level
from pressroom.store.database import Store, Tx
from pressroom.store.publications import twin_of

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """How long the steps of an attempt may take, in seconds.

    ``call``: one method of the target; after that it counts as not answered. ``lease``: how long a silent
    worker keeps its claim; longer than a call. ``backoff``: the wait before the second try in this process,
    twice as long before the next. ``retry_after``: the longest Retry-After that is waited for in this
    process; a longer one is left to the task's retry.
    """

    call: float = 45.0
    lease: float = 60.0
    backoff: float = 0.5
    retry_after: float = 5.0

    def with_upload(self, size: int) -> Timing:
        """These times for calls that also send so many bytes of pictures."""
        upload = size / SLOWEST_UPLOAD
        return replace(self, call=self.call + upload, lease=self.lease + upload)


@dataclass(frozen=True)
class Intent:
    """What is to be published, on which target, and when. ``content`` and ``target`` as in ``Publication``.

    ``at`` is aware. ``sent``: the piece on record, to look for it later. ``alone``: nothing else of the
    workflow may appear there at that time. ``updates``: a target that has another version is given this one;
    sending twice to a target that has it does no harm then.
    """

    content: str
    target: str
    content_hash: str
    at: datetime
    sent: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    updates: bool = False


@dataclass(frozen=True)
class LastTry:
    """What the last try sent, and when it was to appear. ``sent`` is empty when it is not on record."""

    at: datetime
    sent: Mapping[str, Any]


@dataclass(frozen=True)
class ClaimedRow:
    """The row as it was before the claim. ``unsettled``: seconds in which a lost call may still arrive.

    ``update``: the target had a version of the piece, so finding the piece does not say which version.
    ``known``: as what the target has it, or a try before was going to place it.
    """

    publication: Publication
    last_try: LastTry
    unsettled: float
    update: bool = False
    known: Placed | None = None


class Claim:
    """A worker's hold on the row of an intent. Every method raises TransientError when the store is away."""

    def __init__(
        self, store: Store, scope: CostScope, intent: Intent, timing: Timing, settle_seconds: float
    ) -> None:
        self._store, self._scope, self._intent, self._timing = store, scope, intent, timing
        self._settle_seconds = settle_seconds
        self._token = secrets.token_hex(8)
        self._id = 0
        self._update = False
        self._noted: dict[str, str] = {}

    async def take(self) -> ClaimedRow:
        """Create or read the row, and claim it unless the target has the piece.

        Raises TransientError while another worker has the claim.
        """
        claimed = await self._tx(self._take)
        self._id = claimed.publication.id
        return claimed

    async def begin(self) -> None:
        """Put on record that a call begins. Raises TimeTaken; TransientError when the claim is lost."""
        try:
            await self._tx(self._begin)
        except TimeTaken:
            await self.release(PublicationStatus.PLANNED, "")
            raise

    async def note(self, placed: Placed) -> None:
        """Record as what the target is going to have it. Raises TransientError when the claim is lost."""
        self._noted = _on_record(placed)
        await self._tx(
            lambda tx: self._require_claim(
                tx.run("publication_note", publication=self._id, claim=self._token, noted=self._noted)
            )
        )

    async def lost(self) -> None:
        """Record that a call ended without an answer: what it sent may still arrive from now on."""
        await self._tx(
            lambda tx: self._require_claim(
                tx.run(
                    "publication_lost", publication=self._id, claim=self._token, lease=self._lease(),
                    settles_in=timedelta(seconds=self._settle_seconds),
                )
            )
        )  # fmt: skip

    async def hold(self, seconds: float = 0.0) -> None:
        """Keep the claim for a call after so many seconds. Raises TransientError when it is lost."""
        await self._tx(
            lambda tx: self._require_claim(
                tx.run(
                    "publication_hold", publication=self._id, claim=self._token, lease=self._lease(seconds)
                )
            )
        )

    async def release(self, status: PublicationStatus, error: str) -> Publication:
        """Give the claim up. Changes nothing when another worker has taken it over."""

        def write(tx: Tx) -> Publication:
            tx.run(
                "publication_back", publication=self._id, claim=self._token, status=status, error=error[:2000]
            )
            return get(tx, self._id)

        return await self._tx(write)

    async def accept(self, placed: Placed, adopted: str = "") -> Publication:
        """Record that the target has the piece. ``adopted``: the log line for one that was found there."""

        def write(tx: Tx) -> Publication:
            if adopted:  # before the row: all transactions lock the run first
                self._say(tx, "publication_adopted", adopted)
            tx.run(
                "publication_accept", publication=self._id, external_id=placed.external_id,
                preview_url=placed.preview_url, public_url=placed.url,
            )  # fmt: skip
            return get(tx, self._id)

        return await self._tx(write)

    async def twin(self, placed: Placed) -> str | None:
        """The other publication that the target has under this id, None when there is none."""

        def look(tx: Tx) -> str | None:
            return twin_of(tx, self._id, self._intent.target, placed.external_id)

        return await self._tx(look)

    async def current(self) -> Publication:
        """The row as it is now."""
        return await self._tx(get, self._id)

    async def warn(self, kind: str, text: str) -> None:
        """A line in the run's log."""
        await self._tx(self._say, kind, text, level="warning")

    def _take(self, tx: Tx) -> ClaimedRow:
        intent = self._intent
        tx.run(
            "publication_plan", workflow=self._scope.workflow_id, run=self._scope.run_id,
            content=intent.content, target=intent.target, content_hash=intent.content_hash, at=intent.at,
        )  # fmt: skip
        row = tx.rows("publication_lock", content=intent.content, target=intent.target)[0]
        claimed, unsettled, sent, by_hand = (
            row.pop(name) for name in ("claimed_seconds", "unsettled_seconds", "sent", "by_hand")
        )
        current = publication(row)
        outdated = intent.updates and current.content_hash != intent.content_hash
        if not current.there or outdated:
            if claimed is not None and claimed > 0:
                raise TransientError(
                    f"{current.content} is being published on {current.target} by another worker",
                    retry_after=claimed,
                )
            if current.there:
                tx.run("publication_reopen", publication=current.id)
                current = get(tx, current.id)
            tx.run("publication_claim", publication=current.id, claim=self._token, lease=self._lease())
        # The id outlives the reopening and the tries after it, so it tells the next one of the older version.
        withdrawn = current.status is PublicationStatus.WITHDRAWN
        self._update = intent.updates and not withdrawn and (outdated or current.external_id is not None)
        known = known_by(sent)
        if self._update and not by_hand:  # what a person has named may be another's
            known = Placed(current.external_id or "", current.public_url or current.preview_url)
        self._noted = _on_record(known)
        last_try = LastTry(current.scheduled_for, sent)
        return ClaimedRow(current, last_try, unsettled or 0.0, self._update, known)

    def _begin(self, tx: Tx) -> None:
        intent, workflow = self._intent, self._scope.workflow_id
        if intent.alone:
            # The second of two workers waits for this lock, and then sees what the first wrote.
            tx.value("publication_time_lock", workflow=workflow, target=intent.target, at=intent.at)
            occupant = tx.value(
                "publication_time_taken", workflow=workflow, target=intent.target, at=intent.at,
                publication=self._id,
            )  # fmt: skip
            if occupant is not None:
                raise TimeTaken(f"{occupant} appears on {intent.target} at {intent.at:%Y-%m-%d %H:%M %Z}")
        settles_in = timedelta(seconds=self._timing.call + self._settle_seconds)
        self._require_claim(
            tx.run(
                "publication_attempt", publication=self._id, claim=self._token, run=self._scope.run_id,
                content_hash=intent.content_hash, at=intent.at, sent={**intent.sent, **self._noted},
                lease=self._lease(), settles_in=settles_in, keep_id=self._update,
            )
        )  # fmt: skip

    def _require_claim(self, touched: int) -> None:
        if not touched:
            raise TransientError(
                f"another worker took over {self._intent.content} on {self._intent.target}:"
                " this one lost its claim, and the next try looks at what became of it"
            )

    def _lease(self, seconds: float = 0.0) -> timedelta:
        return timedelta(seconds=self._timing.lease + seconds)

    def _say(self, tx: Tx, kind: str, text: str, level: Level = "info") -> None:
        control.event(tx, self._scope.run_id, kind, text, stage=self._scope.stage, level=level)

    async def _tx(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._store.run(self._scope.account_id, work, *args, **kwargs)


def get(tx: Tx, publication_id: int, workflow_id: int | None = None) -> Publication:
    """One publication, of the workflow if one is named. Raises PermanentError when it does not exist."""
    rows = tx.rows("publication_by_id", publication=publication_id, workflow=workflow_id)
    if not rows:
        raise PermanentError(f"there is no publication {publication_id}: `pressroom publications` lists them")
    return publication(rows[0])


def _on_record(placed: Placed | None) -> dict[str, str]:
    """As ``known_by`` reads it."""
    return {} if placed is None else {"known_as": placed.external_id, "known_at": placed.url}


def publication(row: Mapping[str, Any]) -> Publication:
    """A row of the ledger as its type."""
    return Publication(**{**row, "status": PublicationStatus(row["status"])})
