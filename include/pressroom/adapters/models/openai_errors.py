"""Every refusal of a model's server as one of our errors, whether the SDK raises it or a body holds it.

An error says whom it concerns, by the server's code and words and not by its status alone: the set-up
(ConfigurationError), one item (an AnswerError), the moment (TransientError), or what only a batch can tell
(RequestRefused). The SDK's own texts can quote a key or a header, so ours are written here and scrubbed, and
the caller raises them ``from None``: a chained traceback would print the original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from pressroom.adapters.http import errors
from pressroom.adapters.http.errors import OWN_ADDRESS, ErrorRow, Refusal, error_of, retry_after, scrub
from pressroom.adapters.models.replies import NoCompletion
from pressroom.adapters.models.reset_times import stated_wait
from pressroom.adapters.models.whole_answers import NoWholeAnswer
from pressroom.domain.errors import (
    ConfigurationError,
    FilteredAnswer,
    OutOfMoney,
    PermanentError,
    PressroomError,
    RequestRefused,
    ServiceDown,
    TransientError,
    TruncatedAnswer,
    UnknownOutcome,
)
from pressroom.domain.json_answers import read_value
from pressroom.domain.text import storable

_REFUSING = frozenset(range(400, 500)) - {401, 402, 408, 409, 425, 429}
_OWN_REFUSING = _REFUSING - {403, 404, 410}

_NO_MONEY_CODES = (
    "insufficient_quota|billing_hard_limit_reached|billing_not_active|exceeded_current_quota_error|arrearage|1113"
    "|insufficient_(balance|credits?|funds|user_quota)|credits?_exhausted|payment_required|accountoverdueerror"
)
# "Quota" alone is no sign: Gemini and Scaleway say it of a limit per minute.
_NO_MONEY_WORDS = (
    r"credit balance is too low|balance is (insufficient|too low|not enough)|余额不足|欠费|in arrears"
    r"|insufficient (account )?(balance|credits?|funds)|out of credits|all available credits"
    r"|(monthly )?spending limit|requires more credits|n.t have any credits"
    r"|credits? (are|is|have been) (depleted|exhausted|used up)"
)
_ACCOUNT_WORDS = (
    r"(account|organi[sz]ation|subscription).{0,60}"
    r"(suspend|deactivat|terminat|disabled|banned|not active|restricted)|inactive subscription"
)
_KEY_CODES = (
    r"(invalid|expired|missing|incorrect|wrong)_?api_?key|api_?key_?(invalid|expired|missing)|unauthenticated"
)
_KEY_WORDS = (
    r"api.?key.{0,30}(not valid|invalid|expired|revoked|missing|not found|leaked)"
    r"|(invalid|incorrect|expired|missing|no|wrong) (api.?key|token|credentials?)"
)
_FILTER_CODES = (
    r"content_?filter\w*|content_policy_violation|moderation_blocked|responsibleaipolicyviolation|invalid_prompt"
    r"|data_?inspection_?failed|contentfilter|1301|prohibited_content|content_moderation\w*|safety\w*"
)
_FILTER_WORDS = (
    r"\bflagged\b|content exists risk|inappropriate content|content management policy|content.?filter"
    r"|ResponsibleAIPolicyViolation|(prompt|input|content|request|message).{0,60}violat\w+"
    r"|violat\w+.{0,60}(content|usage) polic|不安全|敏感内容|data_inspection_failed|requires moderation"
)
_SIZE_CODES = "context_length_exceeded|exceed_context_size_error|string_above_max_length|request_too_large"
_SIZE_WORDS = (
    r"context (length|window|size)|(prompt|input|message)s? (is|are) too long|too many (input )?tokens"
    r"|request too large|reduce the length|exceeds? the (maximum|model's)"
)
_MODEL_CODES = (
    r"model_?not_?found|model_decommissioned|invalid_model\w*|unknown_model|unsupported_model|model_not_supported"
    r"|deployment_?not_?found|modelnotopen|1211"
)
_MODEL_WORDS = (
    r"\bmodel\b.{0,100}?\b(not (be )?found|does ?n.t exist|does not exist|not exist|decommissioned|deprecated"
    r"|no longer|retired|shut ?down|removed|not a valid|is invalid|not available|is not supported|no access"
    r"|not have access)|(invalid|unknown|unsupported|no such|not a valid) model|no endpoints found"
    r"|deployment.{0,60}(does not exist|not found)"
)
_ENDPOINT_WORDS = (
    r"v1/responses|only support\w* (stream|v1/|the responses)|stream(ing)?( mode)? (is )?(required|only)"
    r"|enable_thinking|not a chat model|use the (responses|completions) (api|endpoint)"
)
_MISSED_CODES = r"\b(json_validate_failed|tool_use_failed)\b"
# The code of a refusal is here every name that its body has for it, with blanks between.
_ANY = r"(.* )?({})( .*)?"
_ROWS = (
    ErrorRow(OutOfMoney, {402}),
    ErrorRow(OutOfMoney, code=_ANY.format(_NO_MONEY_CODES)),
    ErrorRow(OutOfMoney, {*_REFUSING, 429}, words=_NO_MONEY_WORDS),
    ErrorRow(ConfigurationError, _REFUSING, words=_ACCOUNT_WORDS),
    ErrorRow(ConfigurationError, _REFUSING, code=_ANY.format(_KEY_CODES)),
    ErrorRow(ConfigurationError, _REFUSING, words=_KEY_WORDS),
    ErrorRow(FilteredAnswer, code=_ANY.format(_FILTER_CODES)),
    ErrorRow(FilteredAnswer, _REFUSING, words=_FILTER_WORDS),
    ErrorRow(RequestRefused, _OWN_REFUSING, code=_ANY.format(_SIZE_CODES)),
    ErrorRow(RequestRefused, _OWN_REFUSING, words=_SIZE_WORDS),
    # A request above the limit of a minute is refused however long it waits.
    ErrorRow(RequestRefused, {429}, words="request too large"),
    ErrorRow(ConfigurationError, _REFUSING, code=_ANY.format(_MODEL_CODES)),
    ErrorRow(ConfigurationError, _REFUSING, words=_MODEL_WORDS),
    ErrorRow(ConfigurationError, _REFUSING, words=_ENDPOINT_WORDS),
    ErrorRow(TransientError, {409}),
    OWN_ADDRESS,
    ErrorRow(RequestRefused, _OWN_REFUSING),
    ErrorRow(ServiceDown, range(500, 600)),
)
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "WriteTimeout", "WriteError")
_CODE_KEYS = ("code", "type", "status", "reason", "error_code")
_WORD_KEYS = ("message", "detail", "msg", "error", "title", "param", "raw", "reasons", "loc")
_DEPTH = 6
_WORDS_KEPT = 4000


def said(error: openai.APIError) -> str:
    """What the server said of its refusal, in its words."""
    _, words = errors.said(error.body) if error.body else ("", "")
    return words or str(error.body or error.message)


def all_said(body: Any) -> str:
    """Everything in an error's body that is about the error, and not a copy of what was sent or written."""
    return " ".join(_leaves(body, _WORD_KEYS) if isinstance(body, dict | list) else [str(body)])[:_WORDS_KEPT]


def codes_in(body: Any) -> str:
    """Every name in an error's body for what went wrong, with blanks between."""
    return " ".join(dict.fromkeys(_leaves(body, _CODE_KEYS)))[:_WORDS_KEPT]


def _leaves(value: Any, keys: tuple[str, ...], depth: int = _DEPTH) -> Iterator[str]:
    """The texts and numbers under any of the keys, at any depth; texts may be JSON of their own."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for key, entry in value.items():
            if key in keys and isinstance(entry, str | int) and not isinstance(entry, bool):
                yield str(entry)
                entry = read_value(str(entry))  # a gateway quotes the body of the server behind it
            if key in keys and isinstance(entry, list):
                yield from (str(part) for part in entry if isinstance(part, str | int))
            if isinstance(entry, dict | list):
                yield from _leaves(entry, keys, depth - 1)
    elif isinstance(value, list):
        for entry in value[:20]:
            yield from _leaves(entry, keys, depth - 1)


def missed(error: openai.APIStatusError, secret: str = "") -> tuple[str, str] | None:
    """What the model wrote, and the server's words, when a refusal means that the model missed the schema.

    Groq checks the answer itself. None for all other refusals.
    """
    body = error.body if isinstance(error.body, dict) else {}
    if error.status_code != 400 or not (
        "failed_generation" in body or re.search(_MISSED_CODES, codes_in(body), re.IGNORECASE)
    ):
        return None
    written = body.get("failed_generation")
    return storable(written) if isinstance(written, str) else "", scrub(said(error), secret)


def translate(error: Exception, *, connection: str, secret: str = "") -> PressroomError:
    """Our error for one that came out of the SDK. ``secret``: the API key, kept out of the text."""
    where = f"connection {connection!r}"
    if isinstance(error, openai.APIConnectionError):
        return _unanswered(error, where, secret)
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError | UnicodeDecodeError):
        return TransientError(f"{where}: the server's answer is not what the API promises")
    if isinstance(error, openai.APIStatusError):
        return _refused(error.status_code, error.body, said(error), where, secret, error.response.headers)
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


def translate_body(answer: NoCompletion, *, connection: str, secret: str = "") -> PressroomError:
    """Our error for a success that holds no completion: gateways put errors of others into one."""
    where = f"connection {connection!r}"
    if answer.error:
        _, words = errors.said({"error": answer.error})
        ours = _refused(_status_in(answer.error), answer.error, words, where, secret, {})
    else:
        ours = TransientError(scrub(f"{where}: {answer.shown}", secret))
    ours.usage = answer.usage
    return ours


def _status_in(error: Any) -> int:
    code = str(error.get("code") or error.get("status") or "") if isinstance(error, dict) else ""
    return int(code) if re.fullmatch("[45][0-9]{2}", code) else 500


def _refused(
    status: int, body: Any, words: str, where: str, secret: str, headers: Mapping[str, str]
) -> PressroomError:
    text = scrub(f"{where}: the server answered {status}: {words}", secret)
    whole = all_said(body) or words
    wait = retry_after(headers)
    if wait is None and status == 429:
        wait = stated_wait(headers, body, whole)
    return error_of(Refusal(status, codes_in(body), whole), text, _ROWS, retry_after=wait)


def _unanswered(error: openai.APIConnectionError, where: str, secret: str) -> PressroomError:
    """A request without a whole answer. What the provider may have worked on is an UnknownOutcome."""
    cause = error.__cause__
    name = type(cause).__name__ if cause else ""
    if isinstance(error, openai.APITimeoutError) and name not in _UNSENT:
        limits = error.request.extensions.get("timeout") or {}
        seconds = limits.get("read")
        within = f" within {seconds:g} s (the connection's timeout_seconds)" if seconds else " in time"
        return UnknownOutcome(f"{where}: no answer{within}")
    if name == "RemoteProtocolError" and "complete message body" in str(cause):
        return UnknownOutcome(scrub(f"{where}: the answer broke off: {cause}", secret))
    if isinstance(error, NoWholeAnswer):
        return UnknownOutcome(scrub(f"{where}: {error}", secret))
    reason = f": {name} {cause}" if cause else ""
    return ServiceDown(scrub(f"{where}: not reachable{reason}", secret))
