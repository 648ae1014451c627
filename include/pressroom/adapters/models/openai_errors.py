"""Every exception of the ``openai`` SDK as one of ours.

The SDK's own texts can quote a key or a header, so ours are written here and scrubbed, and the caller raises
them ``from None``: a chained traceback would print the original. Statuses are read by the table of
``adapters.http.errors``.
"""

from __future__ import annotations

import json

import openai

from pressroom.adapters.http import errors
from pressroom.adapters.http.errors import OWN_ADDRESS, ErrorRow, Refusal, error_of, retry_after, scrub
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    PermanentError,
    PressroomError,
    TransientError,
    TruncatedAnswer,
)

_NO_MONEY = "insufficient_quota|billing_hard_limit_reached|billing_not_active"
_FILTERED = "content_filter|content_policy_violation|moderation_blocked|ResponsibleAIPolicyViolation"
# The code of a refusal is here what the SDK reads as code and type, with a blank between.
_ROWS = (
    ErrorRow(ConfigurationError, code=f"(.* )?({_NO_MONEY})( .*)?"),
    ErrorRow(TransientError, {409}),
    OWN_ADDRESS,
    ErrorRow(FilteredAnswer, code=f"(.* )?({_FILTERED})( .*)?"),
)


def said(error: openai.APIError) -> str:
    """What the server said of its refusal, in its words."""
    _, words = errors.said(error.body) if error.body else ("", "")
    return words or str(error.body or error.message)


def translate(error: Exception, *, connection: str, secret: str = "") -> PressroomError:
    """Our error for one that came out of the SDK. ``secret``: the API key, kept out of the text."""
    where = f"connection {connection!r}"
    if isinstance(error, openai.APITimeoutError):
        return TransientError(f"{where}: no answer in time")
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        reason = f": {type(cause).__name__} {cause}" if cause else ""
        return TransientError(scrub(f"{where}: not reachable{reason}", secret))
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError | UnicodeDecodeError):
        return TransientError(f"{where}: the server's answer is not what the API promises")
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, where, secret)
    if isinstance(error, openai.LengthFinishReasonError):
        return TruncatedAnswer(f"{where}: the answer reached the token limit")
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return FilteredAnswer(f"{where}: the provider's content filter stopped the answer")
    if isinstance(error, openai.APIError):
        return TransientError(scrub(f"{where}: {said(error)}", secret))
    if type(error).__name__.startswith(("WebSocket", "InvalidWebhook")):  # features that are not used here
        return PermanentError(f"{where}: {type(error).__name__}")
    if isinstance(error, openai.OpenAIError):  # raised before a request is made: credentials, options
        return ConfigurationError(scrub(f"{where}: {error}", secret))
    return PermanentError(scrub(f"{where}: {type(error).__name__}: {error}", secret))


def _by_status(error: openai.APIStatusError, where: str, secret: str) -> PressroomError:
    text = scrub(f"{where}: the server answered {error.status_code}: {said(error)}", secret)
    code = " ".join(str(name) for name in (error.code, error.type) if name)
    wait = retry_after(error.response.headers)
    return error_of(Refusal(error.status_code, code), text, _ROWS, retry_after=wait)
