"""The port to the conditions of flows. ``pressroom.adapters.expressions`` is what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

VARIABLES = ("item", "packets", "results", "run")
"""What a condition may speak of.

``item``: the fields of its source item; ``packets``: a list of {step, kind, data}, oldest first;
``results``: step name → that step's last result; ``run``: facts on the run.
"""

MOST_CHARS = 500


class Expression(Protocol):
    """A condition that was read and found to be sound. Evaluating changes nothing, and may be repeated."""

    @property
    def text(self) -> str:
        """As it was written."""
        ...

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value as JSON. Raises PermanentError: a key is missing, types do not fit, it took too long."""
        ...

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Its value, which must be true or false. Raises PermanentError when it is neither."""
        ...


class Expressions(Protocol):
    """Reads conditions."""

    def __call__(self, text: str) -> Expression:
        """Raises DefinitionError: not of the language, an unknown name, too long or too deep."""
        ...
