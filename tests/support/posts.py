"""Posts that wait to be published, and networks that lose, refuse and delay what they are given."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.domain.errors import PastDate, TransientError, UnknownOutcome
from pressroom.domain.publishing import Piece, Placed, Publication, Target
from pressroom.domain.run import Run
from pressroom.domain.social import Clock
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing.claim import Timing
from pressroom.engine.publishing.ledger import publications
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.mission import publish
from pressroom.pipelines.tools import Social, Tools
from pressroom.testing import FakeMetrics, FixedClock
from pressroom.testing import tools as fake_tools
from pressroom.testing_flows import FakeNetworks
from tests.support.ledger_outside import LedgerOutside
from tests.support.mission_world import MissionWorld

QUICK = Timing(call=0.4, lease=0.5, backoff=0.01, retry_after=0.2)
"""Everything that takes seconds, in fractions of one."""


class Killed(BaseException):
    """The process died at this point: nothing that it would have done afterwards is done."""


@dataclass
class FlakyNetworks(FakeNetworks):
    """Keeps posts, and has its troubles.

    ``script``: what happens to one piece after another; once it is used up, ``shares`` are the chances of
    each trouble at every call. The troubles of a piece: ``refused`` (429, not taken), ``error`` (500, not
    taken, and nobody can tell), ``lost`` (taken, not answered), ``late`` (not answered, and taken after
    ``late_seconds``), ``hang`` (taken, and no answer ever), ``killed`` and ``killed_after`` (the caller dies
    before or after it is taken), or any exception. A look can be ``refused`` or in ``error``.
    """

    clock: FixedClock
    script: list[str | BaseException] = field(default_factory=list)
    shares: Mapping[str, float] = field(default_factory=dict)
    looks: list[str | BaseException] = field(default_factory=list)
    settle_seconds: float = 0.05
    late_seconds: float = 0.03
    retry_after: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.clock)
        self.submitted: list[Piece[MetricoolArguments]] = []
        self.withdrawals: list[str] = []
        self._dice = random.Random(self.seed)
        self._later: set[asyncio.Task[None]] = set()

    async def publish(self, piece: Piece[MetricoolArguments]) -> Placed:
        """Take it, unless something happens."""
        await asyncio.sleep(0)
        self.submitted.append(piece)
        if piece.at is not None and piece.at <= self.clock.at:
            raise PastDate(f"{piece.at} is over")
        trouble = self._trouble(self.script, "refused", "error", "lost", "late")
        match trouble:
            case BaseException():
                raise trouble
            case "refused":
                raise TransientError("429", retry_after=self.retry_after)
            case "error":
                raise UnknownOutcome("500")
            case "killed":
                raise Killed
            case "late":
                self._later.add(asyncio.create_task(self._arrive(piece)))
                raise UnknownOutcome("no answer")
        external_id = self.keep(piece)
        match trouble:
            case "lost":
                raise UnknownOutcome("no answer")
            case "killed_after":
                raise Killed
            case "hang":
                await asyncio.sleep(60)
        return await self.placed(external_id)

    async def find(self, piece: Piece[MetricoolArguments]) -> Placed | None:
        """By network, text and time; the oldest."""
        await asyncio.sleep(0)
        trouble = self._trouble(self.looks, "refused", "error")
        if isinstance(trouble, BaseException):
            raise trouble
        if trouble == "refused":
            raise TransientError("429", retry_after=self.retry_after)
        if trouble == "error":
            raise TransientError("500")
        return await super().find(piece)

    async def unpublish(self, external_id: str) -> bool:
        """Forget it, unless it is out."""
        trouble = self._trouble(self.looks, "refused", "error")
        if isinstance(trouble, BaseException):
            raise trouble
        if trouble is not None:
            raise TransientError(trouble, retry_after=self.retry_after)
        self.withdrawals.append(external_id)
        return await super().unpublish(external_id)

    def keep(self, piece: Piece[MetricoolArguments]) -> str:
        """Have a post, whoever handed it in. Returns its id."""
        external_id = str(len(self.posts) + len(self.withdrawals) + 1001)
        self.posts[external_id] = piece
        return external_id

    def texts(self) -> list[str]:
        """The texts of all posts, sorted."""
        return sorted(post.arguments.text for post in self.posts.values())

    def _trouble(self, script: list[str | BaseException], *kinds: str) -> str | BaseException | None:
        if script:
            return script.pop(0)
        chance = self._dice.random()
        for kind in kinds:
            chance -= self.shares.get(kind, 0.0)
            if chance < 0:
                return kind
        return None

    async def _arrive(self, piece: Piece[MetricoolArguments]) -> None:
        await asyncio.sleep(self.late_seconds)
        self.keep(piece)


@dataclass
class Newsdesk:
    """A mission whose posts are published on networks."""

    world: MissionWorld
    networks: Target[Any]
    clock: Clock
    timing: Timing = QUICK

    def tools_for(self) -> Callable[[CostScope], Tools]:
        """The stage's tools, bound to an item, as another process would have them: nothing is remembered."""
        return lambda scope: fake_tools(
            self.world.account, self.world.mission, social=Social(FakeMetrics(), self.clock),
            outside=LedgerOutside(self.world.store, scope, lambda _: self.networks, self.timing),
        )  # fmt: skip

    async def work(
        self,
        run: Run,
        *,
        keys: Sequence[int] | None = None,
        last_try: bool = False,
        concurrency: int = 25,
    ) -> Report:
        """Publish all that waits, or what of it is named, in one batch."""
        chosen = await asyncio.to_thread(self.world.pending, publish.STAGE, run) if keys is None else keys
        return await run_batch(
            publish.STAGE, run, chosen, store=self.world.store, tools_for=self.tools_for(),
            concurrency=concurrency, last_try=last_try,
        )  # fmt: skip

    async def undo(self, run: Run) -> Any:
        """Roll the stage back."""
        assert publish.STAGE.undo
        tools = self.tools_for()(CostScope(run.account_id, run.workflow_id, run.id, "rollback", "all"))
        return await publish.STAGE.undo(self.world.store, run, tools)

    def publications(self, status: str | None = None) -> list[Publication]:
        """What the ledger says."""
        with self.world.store.transaction(self.world.account_id) as tx:
            return publications(tx, self.world.mission_id, status)

    def lapse(self) -> None:
        """Let time pass: claims of workers that died have lapsed, and what they sent has settled."""
        self.world.sql("UPDATE publications SET claimed_until = now(), settles_at = now()")

    def events(self, kind: str) -> list[str]:
        """Messages of the runs' logs, of one kind."""
        return [
            text
            for (text,) in self.world.sql("SELECT message FROM run_events WHERE kind = %s ORDER BY id", kind)
        ]

    def posts(self, status: str) -> int:
        """How many posts have a status."""
        [(count,)] = self.world.sql("SELECT count(*) FROM posts WHERE status = %s", status)
        return int(count)


def add_posts(world: MissionWorld, run: Run, times: Sequence[datetime], **facts: Any) -> list[int]:
    """Approved posts of the run's cycle at these times. Returns their ids.

    ``facts`` of them all: platform, text (a number is added), status, content_hash, approved_hash, media_url.
    """
    values = {
        "platform": "twitter",
        "text": "Post",
        "status": "approved",
        "content_hash": "as-approved",
        "approved_hash": "as-approved",
        "media_url": None,
        **facts,
    }
    values |= {"account": world.account_id, "mission": world.mission_id}
    with psycopg.connect(world.url, autocommit=True) as connection, connection.pipeline():
        [cycle] = connection.execute("SELECT id FROM cycles WHERE run_id = %s", [run.id]).fetchone() or [0]
        cursors = [connection.execute(_INSERT, {**values, "cycle": cycle, "at": at}) for at in times]
        return [int((cursor.fetchone() or [0])[0]) for cursor in cursors]


_INSERT = """
WITH slot AS (
    INSERT INTO slots (account_id, mission_id, cycle_id, at, platform, choices, topic, status)
    VALUES (%(account)s, %(mission)s, %(cycle)s, %(at)s, %(platform)s, '{}', 'tea', 'written') RETURNING *)
INSERT INTO posts (account_id, mission_id, cycle_id, slot_id, platform, format, headline, body, parts,
    confidence, model, status, content_hash, approved_hash, approved_terms, media_url, media_type)
SELECT account_id, mission_id, cycle_id, id, platform, 'single', 'h', 'b', ARRAY[%(text)s || ' ' || id], 0.9,
    'fake', %(status)s, %(content_hash)s, %(approved_hash)s,
    (SELECT jsonb_build_object(
        'connection', definition ->> 'connection', 'timezone', definition #>> '{constraints,timezone}')
     FROM missions WHERE missions.id = slot.mission_id),
    %(media_url)s::text,
    CASE WHEN %(media_url)s::text IS NOT NULL THEN 'image/png' END
FROM slot RETURNING id
"""
