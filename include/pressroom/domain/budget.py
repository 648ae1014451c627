"""How careful estimates are."""

from decimal import Decimal

ESTIMATE_BUFFER = Decimal("1.2")
"""What is available must cover an estimate this many times before work begins. For credits and for cents."""
