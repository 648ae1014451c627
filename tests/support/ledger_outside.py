"""An outside that is a fake, but for the publication ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pressroom.domain.publishing import Publication, Submission, Target
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing.attempt import publish_once
from pressroom.engine.publishing.claim import Timing
from pressroom.pipelines.tools import Destination
from pressroom.store.database import Store
from pressroom.testing_flows import FakeOutside


class LedgerOutside(FakeOutside):
    """Publishes for ``scope``. ``target_of`` opens a target; the fakes' own, when it is not given."""

    def __init__(
        self,
        store: Store,
        scope: CostScope,
        target_of: Callable[[Destination], Target[Any]] | None = None,
        timing: Timing | None = None,
    ) -> None:
        super().__init__()
        self._store, self._scope, self._target_of, self._timing = store, scope, target_of, timing

    def target(self, to: Destination) -> Target[Any]:
        """See Outside."""
        return self._target_of(to) if self._target_of else super().target(to)

    async def publish(self, to: Destination, submission: Submission[Any]) -> Publication:
        """Through the ledger."""
        return await publish_once(
            self._store, self._scope, self.target(to), to.target_name, submission, self._timing
        )
