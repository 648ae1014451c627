"""What a run is expected to need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

ESTIMATE_BUFFER = Decimal("1.2")
"""What is available must cover an estimate this many times before work begins. For credits and for cents."""


@dataclass(frozen=True)
class Estimate:
    """Expected credits, and expected items, per stage."""

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
