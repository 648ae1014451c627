"""Signatures of webhooks, sent and received: ``Pressroom-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256>``.

What is signed is the time, a full stop and the body's bytes, so neither can be exchanged, and what was
overheard is of no use once it is older than the tolerance.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

SIGNATURE_HEADER = "Pressroom-Signature"
TOLERANCE_SECONDS = 300.0

_LONGEST = 1000
_PART = re.compile(r"(t)=([0-9]{1,12})|(v1)=([0-9a-f]{64})|[a-z][a-z0-9]*=[^,\s]*")


@dataclass(frozen=True)
class Proven:
    """A signature that holds. Both together are the same for a request that is sent again by somebody who
    overheard it, and only for that: whoever refuses replays remembers them for twice the tolerance.

    ``at``: Unix seconds, when it was signed; ``digest``: the HMAC in hex.
    """

    at: int
    digest: str


def sign(body: bytes, secret: str, *, at: int) -> str:
    """The header's value. ``at``: Unix seconds. Raises ValueError without a secret."""
    return f"t={at},v1={_digest(body, secret, at)}"


def verify(
    header: str, body: bytes, secret: str, *, now: float, tolerance: float = TOLERANCE_SECONDS
) -> Proven | None:
    """The signature, when the header holds one of this body by this secret; otherwise None.

    It must be at most ``tolerance`` seconds from ``now`` (Unix seconds), earlier or later. A header may hold
    several ``v1``, as while a secret is being exchanged. Takes the same time wherever a forged one differs.
    Raises ValueError without a secret.
    """
    times, digests = _parts(header)
    if len(times) != 1 or not digests or not abs(now - times[0]) <= tolerance:
        return None
    expected = _digest(body, secret, times[0])
    # All are compared: where the right one stands is nobody's business either.
    matches = [hmac.compare_digest(expected, digest) for digest in digests]
    return Proven(times[0], expected) if any(matches) else None


def _parts(header: str) -> tuple[list[int], list[str]]:
    """Times and v1 digests; none when the header is not of the form. It may have parts of later versions."""
    times: list[int] = []
    digests: list[str] = []
    if len(header) > _LONGEST:
        return [], []
    for part in header.split(","):
        found = _PART.fullmatch(part.strip(" \t"))
        if found is None:
            return [], []
        if found[1]:
            times.append(int(found[2]))
        elif found[3]:
            digests.append(found[4])
    return times, digests


def _digest(body: bytes, secret: str, at: int) -> str:
    if not secret:
        raise ValueError("no secret to sign with")
    return hmac.new(secret.encode(), f"{at}.".encode("ascii") + body, hashlib.sha256).hexdigest()
