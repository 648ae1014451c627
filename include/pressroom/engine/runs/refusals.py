"""Whether refused requests concern their items or the set-up: only what the batch sees tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.errors import ConfigurationError, RequestRefused
from pressroom.engine.money.ledger import CostScope
from pressroom.pipelines.stage import Stage

ALIKE = 3
"""So many items that are refused in the same words, with nothing done, are no chance."""

# Ids and numbers differ from one refusal to the next: of a request, of a prompt's tokens.
_OWN = re.compile(r"\w*\d[\w-]*")


@dataclass(frozen=True)
class RefusedItem:
    """An item whose request a service refused."""

    item: Any
    scope: CostScope
    error: RequestRefused


class Refusals:
    """The refused items of a batch, set aside until it is known whom the refusal concerns."""

    def __init__(self, stage: Stage[Any, Any]) -> None:
        self._stage = stage
        self.aside: list[RefusedItem] = []

    def add(self, refused: RefusedItem) -> bool:
        """Set one aside. Returns whether there are enough alike to suspect the set-up that they share."""
        self.aside.append(refused)
        return sum(self._kind(other) == self._kind(refused) for other in self.aside) >= ALIKE

    def common(self) -> RefusedItem | None:
        """The first, when all were refused in the same words and they are more than one; else None."""
        kinds = {self._kind(refused) for refused in self.aside}
        return self.aside[0] if len(self.aside) > 1 and len(kinds) == 1 else None

    def of_setup(self, setup: str) -> Sequence[RefusedItem]:
        """Those that share a part of the set-up."""
        return [refused for refused in self.aside if self._stage.setup_of(refused.item) == setup]

    def _kind(self, refused: RefusedItem) -> tuple[str, str]:
        return self._stage.setup_of(refused.item), _OWN.sub("#", str(refused.error))


def as_setup_error(refused: RefusedItem, number: int) -> ConfigurationError:
    """The error for the whole batch."""
    return ConfigurationError(
        f"{refused.error} (the first {number} items are refused in the same words and nothing is done,"
        " so the set-up is wrong)"
    )
