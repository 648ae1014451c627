"""Asks the next connection when one is down or out of money, and remembers that for all workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from pressroom.domain.errors import (
    NotSent,
    OutOfMoney,
    PressroomError,
    ServiceDown,
    TransientError,
    UnknownOutcome,
)
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs import control
from pressroom.store.database import SYSTEM, Store, Tx

AWAY = (OutOfMoney, ServiceDown, UnknownOutcome)
"""Errors of the service and not of the request: another one may answer the same request."""

DOWN_FOR = timedelta(minutes=1)
UNPAID_FOR = timedelta(minutes=10)
"""How long a connection is asked last, after it was down or out of money."""


class Asked(Protocol):
    """What is asked behind one connection."""

    connection: str


Engine = TypeVar("Engine", bound=Asked)
Result = TypeVar("Result")


class Fallbacks:
    """Which connections were away a moment ago, in Postgres, for all workers on all hosts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: set[tuple[int, str]] = set()

    async def ask(
        self, scope: CostScope, engines: Sequence[Engine], ask: Callable[[Engine], Awaitable[Result]]
    ) -> tuple[Result, Engine]:
        """The result of the first engine that answers, and that engine. One that was away a moment ago is
        asked after the others.

        Raises what an engine raises for another reason. When all are away, it raises the error after which
        another try may help, else the first one's.
        """
        if len(engines) == 1:
            return await ask(engines[0]), engines[0]
        away = await self._away(engines)
        errors: list[PressroomError] = []
        for engine in sorted(engines, key=lambda engine: engine.connection in away):
            try:
                result = await ask(engine)
            except AWAY as error:
                errors.append(error)
                await self._remember(engine.connection, error)
                continue
            if engine is not engines[0]:
                await self._tell(scope, engines[0].connection, engine.connection)
            return result, engine
        raise next((error for error in errors if isinstance(error, TransientError)), errors[0])

    async def _away(self, engines: Sequence[Engine]) -> Collection[str]:
        names = [engine.connection for engine in engines]
        away: Collection[str] = await self._store.run(
            SYSTEM, Tx.values, "connections_away", connections=names
        )
        return away

    async def _remember(self, connection: str, error: PressroomError) -> None:
        if isinstance(error, NotSent):  # the call that was sent is remembered, and for no longer
            return
        unpaid = isinstance(error, OutOfMoney)
        await self._store.run(
            SYSTEM, Tx.run, "connection_away", connection=connection, lasts=UNPAID_FOR if unpaid else DOWN_FOR
        )

    async def _tell(self, scope: CostScope, first: str, other: str) -> None:
        """Say once in a run that another connection stands in."""
        message = f"connection {first!r} is down or out of money: its fallback {other!r} takes its place"
        if (scope.run_id, message) in self._told:
            return

        def write(tx: Tx) -> None:
            tx.run("lock_run", run=scope.run_id)  # one worker at a time: only one of them says it
            if not tx.value("run_was_told", run=scope.run_id, message=message):
                control.event(tx, scope.run_id, "fallback_used", message, stage=scope.stage, level="warning")

        await self._store.run(scope.account_id, write)
        self._told.add((scope.run_id, message))
