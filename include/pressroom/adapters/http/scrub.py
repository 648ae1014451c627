"""Keeps keys out of what is shown: the words of a server can repeat what it was sent."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(bearer\s+\S+|authorization\s*[:=]\s*\S+(\s+\S+)?|x-api-key\s*[:=]\s*\S+|x-mc-auth\s*[:=]\s*\S+"
    r"|usertoken\s*[:=]\s*[^&\s]+|api[-_]key\s*[:=]\s*\S+|(?<![\w-])(sk|rk|pk|sess|key)-[\w*.-]{6,})",
    re.IGNORECASE,
)


def scrub(text: str, secret: str = "") -> str:
    """The text, short, on one line, without ``secret`` or anything that looks like a key."""
    if secret:
        text = text.replace(secret, "[hidden]")
    return " ".join(_SECRET.sub("[hidden]", text).split())[:500]
