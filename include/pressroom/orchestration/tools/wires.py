"""A run's reach: sources, targets and webhooks behind Airflow's connections, opened when one is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from pressroom.adapters.conditions.evaluate import compile as read_condition
from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.sources.registry import fetch
from pressroom.adapters.targets.registry import handler_of
from pressroom.domain.fetching import FetchSettings
from pressroom.domain.flows import Condition
from pressroom.domain.packets import Known, SourceItem
from pressroom.domain.publishing import Publication
from pressroom.domain.run import Run
from pressroom.domain.targets import Piece, Target
from pressroom.engine.money.ledger import Scope
from pressroom.engine.publishing.pieces import publish_piece
from pressroom.orchestration.tools import connections
from pressroom.orchestration.tools.files import file_source
from pressroom.pipelines.tools import Destination
from pressroom.store.database import Store, Tx


class RunWires:
    """See ``Wires``. What is opened is closed with the stack."""

    def __init__(self, store: Store, run: Run, stack: AsyncExitStack) -> None:
        self.run_id = run.id
        self._store, self._run, self._stack = store, run, stack
        self._http: SafeHttp | None = None
        self._targets: dict[tuple[str, str], Target[Any]] = {}
        self._conditions: dict[str, Condition] = {}

    def bound(self, scope: Scope) -> BoundWires:
        """The wires of one item: what it publishes belongs to ``scope``."""
        return BoundWires(self, scope)

    def condition(self, text: str) -> Condition:
        """See Wires."""
        if text not in self._conditions:
            self._conditions[text] = read_condition(text)
        return self._conditions[text]

    async def fetch(self, source: FetchSettings, known: Known) -> Sequence[SourceItem]:
        """See Wires."""
        if self._http is None:
            # Whoever writes a flow may ask for a private host; whoever runs the installation permits it.
            permitted = set(connections.permitted("pressroom_allow_hosts"))
            allowed = [host for host in self._run.flow.allow_hosts if host in permitted]
            self._http = await self._stack.enter_async_context(SafeHttp(allow_hosts=allowed))
        return await fetch(source, self._http, file_source, known)

    def target(self, to: Destination) -> Target[Any]:
        """See Wires."""
        name = to.connection_id
        key = (to.to, name)  # one server's connection may serve several handlers
        if key not in self._targets:
            opened = handler_of(to.to).open(name, connections.fields_of(name))
            self._stack.push_async_exit(opened)
            self._targets[key] = opened
        return self._targets[key]

    async def publish(
        self,
        scope: Scope,
        to: Destination,
        content: str,
        content_hash: str,
        piece: Piece[Any],
        *,
        update: bool,
    ) -> Publication:
        """See Wires."""
        target = self.target(to)
        return await publish_piece(self._store, scope, target, content, content_hash, piece, update=update)

    async def tell(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        """See Wires."""
        settings = NotifySettings.from_connection(connection, **connections.fields_of(connection))
        await notify(settings, event, payload)

    async def known(self, ids: Sequence[str]) -> Collection[str]:
        """See Wires."""
        return await self._store.run(
            self._run.account_id, Tx.values, "flow_claimed", flow=self._run.workflow_id, ids=list(ids)
        )


class BoundWires:
    """The ``Wires`` of one item."""

    def __init__(self, wires: RunWires, scope: Scope) -> None:
        self.run_id = wires.run_id
        self.condition, self.fetch, self.target = wires.condition, wires.fetch, wires.target
        self.tell, self.known = wires.tell, wires.known
        self._wires, self._scope = wires, scope

    async def publish(
        self, to: Destination, content: str, content_hash: str, piece: Piece[Any], *, update: bool = False
    ) -> Publication:
        """See Wires."""
        return await self._wires.publish(self._scope, to, content, content_hash, piece, update=update)
