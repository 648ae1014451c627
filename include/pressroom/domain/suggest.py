"""The "did you mean" of every message about a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 200
"""What is longer is like no name, and would take long to compare."""


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """A sentence to append: the nearest of ``valid``, else all of them when they are few, else nothing."""
    known = sorted(valid)
    word = str(given)[:LONGEST].casefold()
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold(): name for name in known}
        near = [folded[key] for key in difflib.get_close_matches(word, folded, n=1, cutoff=0.6)]
    if near:
        return f". Did you mean {near[0]!r}?"
    if known and len(known) <= 12:
        return f". Valid: {', '.join(known)}"
    return ""
