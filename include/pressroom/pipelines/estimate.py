"""The credits that a run is expected to need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

ESTIMATE_BUFFER = Decimal("1.2")
"""How many times the available credits or cents must cover an estimate before work begins."""


@dataclass(frozen=True)
class Estimate:
    """Expected credits and items by stage."""

    credits: Mapping[str, Decimal]
    items: Mapping[str, int]

    @property
    def total(self) -> Decimal:
        """Credits of the whole run."""
        return sum(self.credits.values(), Decimal(0))

    @property
    def required(self) -> Decimal:
        """The balance that the run needs to start."""
        return (self.total * ESTIMATE_BUFFER).quantize(Decimal("0.01"))

    def sufficient(self, balance: Decimal) -> bool:
        """Whether a balance covers the estimate with its buffer."""
        return balance >= self.total * ESTIMATE_BUFFER
