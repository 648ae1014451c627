"""What a document may hold, looked at before a parser reads it."""

from __future__ import annotations

import re

from pressroom.domain.errors import PermanentError

MOST_ATTRIBUTES = 500
"""Of one tag. Parsers compare each with all before it."""
_LONG_TAG = re.compile(r"<[^<>]{1000,}+")


def refuse_crowded_tags(text: str, where: str) -> None:
    """Raises PermanentError for a tag with more attributes than any document needs.

    A ``>`` in a value hides the rest of its tag from this look. The process's limits see that.
    """
    for tag in _LONG_TAG.finditer(text):
        number = max(tag[0].count("="), len(tag[0].split()) - 1)
        if number > MOST_ATTRIBUTES and tag[0][1:2].isalpha():
            raise PermanentError(f"{where}: a tag has {number:,} attributes: {MOST_ATTRIBUTES} at most")
