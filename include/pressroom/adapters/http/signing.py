"""Signatures of webhooks, sent and received, as Standard Webhooks has them (https://www.standardwebhooks.com).

Three headers: ``webhook-id``, the same whenever a message is sent again; ``webhook-timestamp``, Unix seconds;
``webhook-signature``: one or more ``v1,<base64 of HMAC-SHA256>``, with blanks between, as while a secret is
being exchanged. Signed are id, time and body. Receivers have libraries for it, in most languages.

A secret that begins with ``whsec_`` is base64, as such libraries make them; any other is taken as it is, and
a library, which reads every secret as base64, is given the base64 of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from pressroom.domain.errors import ConfigurationError

TOLERANCE_SECONDS = 300.0
"""How old a signature may be, or how far ahead."""

_ID, _TIME, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_LONGEST = 1000
_ENCODED = "whsec_"


def sign(message: str, body: bytes, secret: str, *, at: float) -> dict[str, str]:
    """The headers of a signed request. ``message``: what it is about, the same whenever it is sent again.

    Another body makes it another message. ``at``: Unix seconds. Raises ConfigurationError without a secret.
    """
    id = f"msg_{hashlib.sha256(message.encode() + b' ' + body).hexdigest()[:32]}"
    signature = _key(secret).sign(id, datetime.fromtimestamp(int(at), UTC), body.decode())
    return {_ID: id, _TIME: str(int(at)), _SIGNATURE: signature}


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> str | None:
    """The id of a message that was signed by this secret lately; None for every other.

    A receiver that refuses replays remembers the ids. Raises ConfigurationError without a secret.
    """
    key = _key(secret)
    signed = {name: headers.get(name, "") for name in (_ID, _TIME, _SIGNATURE)}
    if any(len(value) > _LONGEST for value in signed.values()):
        return None
    try:
        key.verify(body, signed, json_parse=False)
    except (WebhookVerificationError, ValueError, TypeError):
        # The library's own error, and what it lets through of a header that is not of the form.
        return None
    return signed[_ID]


def check_secret(secret: str) -> None:
    """Raises ConfigurationError when nothing can be signed with it."""
    _key(secret)


def _key(secret: str) -> Webhook:
    encoded = secret.strip()
    try:
        if not encoded.startswith(_ENCODED):
            return Webhook(secret.encode())
        # Decoded here: the library leaves out what is not base64, and so gets another key, or a short one.
        encoded = encoded.removeprefix(_ENCODED).rstrip("=")
        return Webhook(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except EmptyWebhookSecretError:
        raise ConfigurationError("there is no secret to sign with") from None
    except ValueError:
        raise ConfigurationError("the secret begins with whsec_, and the rest of it is not base64") from None
